"""The forecast of a build by shipped rates, and by the receipts of its pilot, which predict the whole."""

import json
import random
from pathlib import Path

import pytest

from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.preflight.forecast import Forecaster
from flows.preflight.growth import growth
from flows.preflight.history import Run
from flows.preflight.machine import bench_rate
from flows.settings import load_settings
from stages import STAGES
from tests.small_build import Build

PER_ROW, PER_PARTITION, PER_PROCESS = 0.004, 0.3, 2.5


def forecaster(build: Path, *overrides: str) -> Forecaster:
    settings = load_settings("demo", ["download.urls_per_partition=40", *overrides], STAGES)
    return Forecaster(Ledger(Store(build), STAGES, settings), {"cc3m": 1.0}, 0, build)


def runs_of(stage: str, n_partitions: int, n_rows: int, rng: random.Random) -> list[Run]:
    found = []
    for n in range(n_partitions):
        rows = rng.randint(n_rows // 2, n_rows)
        cpu_s = (PER_ROW * rows + PER_PARTITION + PER_PROCESS * (n < 2)) * rng.uniform(0.95, 1.05)
        found.append(Run(stage, f"{n:05d}", rows, rows, {}, cpu_s, cpu_s * 3, 0, 0, 0, n, n + 1, f"w{n % 2}", 0.1))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_the_forecast_from_a_pilot_is_near_the_cost_of_the_whole(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    found = forecaster(tmp_path)
    found._pilot = 0.1
    found._runs["download"] = runs_of("download", 10, 40, rng)
    found._runs["filter"] = [Run("filter", "cc3m-0", 9000, 300, {"outside_pilot": 2700}, 1, 1, 0, 0, 0, 0, 1, "w", 0.1)]
    found._growth = lambda: growth(  # type: ignore[method-assign]
        found._latest("filter"), [], 0.1, 1.0
    )
    one = next(one for one in found.forecast() if one.stage == "download")
    n_rows = 10 * sum(run.n_rows for run in found._runs["download"])
    assert one.n_rows == n_rows and one.share_left > 0.8
    # Slices of hosts seldom fill a partition, so the whole has ten times the pilot's.
    expected = PER_ROW * n_rows + PER_PARTITION * 100 + PER_PROCESS * 2
    assert abs(one.cpu_s / expected - 1) < 0.2
    assert abs(one.wall_s / (expected * 3 / 2) - 1) < 0.2
    assert one.basis.startswith("this build: 10 partitions")


def test_a_stage_that_was_partly_run_scales_the_later_ones(tmp_path: Path) -> None:
    found = forecaster(tmp_path)
    found._runs["filter"] = [Run("filter", "cc3m-0", 9000, 300, {}, 1, 1, 0, 0, 0, 0, 1, "w")]
    found._completion = lambda stage, runs: 4.0  # type: ignore[method-assign, assignment]
    rows = {one.stage: one.n_rows for one in found.forecast()}
    assert rows["download"] == pytest.approx(1200)


def test_what_a_setting_made_stale_is_left_to_do(finished: Build) -> None:
    def left(build: Build) -> dict[str, float]:
        return {one.stage: one.share_left for one in Forecaster(build.ledger(), {}, 0, build.root).forecast()}

    assert not any(left(finished).values())
    other = left(finished.with_settings(dedup={"max_distance": 2}))
    again = {name for name, share in other.items() if share}
    assert {"cluster", "drop_duplicates", "set_thresholds", "describe_geometa", "plan_shards"} <= again
    assert all(other[name] == 1 for name in again) and not again & {"filter", "download", "screen", "draw_captions"}


def test_without_a_build_each_stage_states_the_source_of_its_rate(tmp_path: Path) -> None:
    forecast = forecaster(tmp_path).forecast()
    assert [one.stage for one in forecast] == [stage.name for stage in STAGES]
    assert all(one.basis.startswith("shipped: ") for one in forecast)
    assert all(one.low <= 1 <= one.high and one.cpu_s >= 0 for one in forecast)
    labelled = {one.stage: one.n_rows for one in forecast}
    assert labelled["draw_captions"] == 0 and labelled["download"] == 12_563


def test_the_light_detector_has_a_rate_of_its_own_measured_on_a_core(tmp_path: Path) -> None:
    large, light = (
        next(one for one in forecaster(tmp_path, *words).forecast() if one.stage == "score_detector")
        for words in ((), ("outliers.detector=rs-lite0",))
    )
    assert large.n_rows == light.n_rows and "YOLO11x" in large.basis and "EfficientNet-Lite0" in light.basis
    assert large.gpu_s > 0 and light.gpu_s == 0
    assert light.cpu_s > 0.037 * light.n_rows and light.wall_s <= light.cpu_s


@pytest.mark.parametrize(
    ("unit", "expected"), [("CPU s per 1 M rows", 3e-6), ("CPU ms an image", 3e-3), ("furlongs", None)]
)
def test_a_benchmark_is_converted_from_its_unit(tmp_path: Path, unit: str, expected: float | None) -> None:
    rows = [{"case": "other", "value": 9, "unit": unit}, {"case": "screen, of 500 px", "value": 3, "unit": unit}]
    (tmp_path / "screen.json").write_text(json.dumps({"rows": rows}))
    assert bench_rate(tmp_path, "screen: screen, of") == expected
    assert bench_rate(tmp_path, "nothing: x") is None


def test_longer_captions_outside_the_pilot_make_place_names_dearer(tmp_path: Path) -> None:
    def forecast(measured: dict[str, int]) -> float:
        found = forecaster(tmp_path)
        found._pilot = 0.1
        counts = {"outside_pilot": 2700}
        found._runs["filter"] = [
            Run("filter", "cc3m-0", 9000, 300, counts, 1, 1, 0, 0, 0, 0, 1, "w", 0.1, measured=measured)
        ]
        found._runs["tag_places"] = [
            Run("tag_places", f"text-{n}", 300, 300, {}, 3, 3, 0, 0, 0, n, n + 1, "w", 0.1) for n in range(4)
        ]
        found._growth = lambda: growth(found._latest("filter"), [], 0.1, 1.0)  # type: ignore[method-assign]
        return next(one.cpu_s for one in found.forecast() if one.stage == "tag_places")

    equal, longer = ({"n_characters": 30_000, "n_characters_left": n} for n in (270_000, 540_000))
    assert forecast(equal) == pytest.approx(forecast({}))
    assert forecast(longer) == pytest.approx(1.9 * forecast(equal), rel=0.01)
