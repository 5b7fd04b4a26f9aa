"""Every benchmark runs at toy size and prints its figures; whether goals hold is not tested."""

import json
from pathlib import Path

import pytest

from flows.preflight.machine import bench_rate
from schemas.rate_manifests import load_rates
from tests.benchmarks.harness import most_events
from tests.benchmarks.toy_process import run_toy

_RATES = {rate.bench for rate in load_rates().values() if rate.bench}
NAMES = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def test_the_bound_of_rare_events_is_that_of_published_tables() -> None:
    assert [round(most_events(n), 2) for n in (0, 1, 3, 10)] == [3.00, 4.74, 7.75, 16.96]


def test_there_are_benchmarks() -> None:
    assert {"filter", "ledger", "models", "readers", "screen", "shard"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_and_prints_its_ratios(name: str, tmp_path: Path) -> None:
    found = run_toy(name, tmp_path)
    assert found.code == 0, found.stderr[-2000:]
    results = tmp_path / "build" / "bench-toy"
    written = json.loads((results / f"{name}.json").read_text())
    ratios = [row["ratio"] for row in written["rows"] if row["ratio"] is not None]
    assert ratios and all(ratio > 0 for ratio in ratios)
    assert written["goals"] and "ratio" in found.stdout
    for wanted in _RATES:  # make preflight reads them
        assert not wanted.startswith(f"{name}: ") or bench_rate(results, wanted)
