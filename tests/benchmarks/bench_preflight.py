"""bench-preflight: the forecast from a 10 % pilot against a full build: CPU seconds per stage, and a slow download.

Both builds use one generated world, whose web server answers after a seeded delay. At toy size only the stages
without a model run. The full size takes half an hour on two cores. For each large stage it prints the error of its
rows too: the rest is that of what a row costs, which differs by the load of the cores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.preflight.forecast import Forecaster
from flows.preflight.history import Run, read_history
from flows.preflight.stage_forecast import StageForecast
from flows.settings import load_settings
from stages import STAGES
from tests.benchmarks.harness import BENCH, IS_TOY, Goal, Row, report, sized
from tests.benchmarks.slow_world import make_slow_world

# 41,000 candidates: on fast cores, too, five stages take more than LEAST_S.
N_ROWS = sized(int(os.environ.get("N_ROWS", "150000")), 600)
PILOT = 0.1
DELAY_S = 0.1
LEAST_S = 30.0  # CPU seconds; stages below are not judged
MAX_ERROR = 0.2
N_STAGES = 5
_TOY_MODULES = ("inventory", "filter", "plan", "download", "labelled", "sample", "screen")
_SET = ("shard.n_shards=8", "outliers.rule=absolute")


def main() -> None:
    """Build pilot and whole, compare, print and write build/bench/preflight.json."""
    folder = BENCH / "preflight"
    shutil.rmtree(folder, ignore_errors=True)
    make_slow_world(folder / "world", N_ROWS, DELAY_S)
    builds = {name: folder / name for name in ("pilot", "full")}
    for name, build in builds.items():
        run_build(build, folder / "world", PILOT if name == "pilot" else 1.0)
    settings = load_settings("demo", [*_SET, "download.allow_loopback=true"], STAGES)
    ledger = Ledger(Store(builds["pilot"]), STAGES, settings)
    forecast = Forecaster(ledger, {"cc3m": 1.0}, 0, BENCH).forecast()
    rows, goals = compare(forecast, read_history(builds["full"], STAGES), settings.run.workers)
    report("preflight", rows, goals)


def run_build(build: Path, world: Path, pilot: float) -> None:
    """Run the demo profile on the world; at toy size only the first stages."""
    build.mkdir(parents=True)
    (build / "world").symlink_to(world.resolve())
    words = ["stage", *_TOY_MODULES] if IS_TOY else ["build"]
    words += [
        "--profile",
        "demo",
        "--build",
        str(build),
        f"--set=inventory.pilot={pilot}",
        *(f"--set={s}" for s in _SET),
    ]
    environment = {**os.environ, "PREFECT_API_URL": "", "DO_NOT_TRACK": "1"}
    subprocess.run([sys.executable, "-m", "flows.cli", *words], check=True, stdout=subprocess.DEVNULL, env=environment)


def compare(forecast: list[StageForecast], full: list[Run], n_workers: int) -> tuple[list[Row], list[Goal]]:
    """Return a row per stage, forecast over measured, and as goals the errors of the large stages."""
    rows, goals, n_large = [], [], 0
    for one in forecast:
        runs = [run for run in full if run.stage == one.stage]
        cpu_s = sum(run.cpu_s + run.tools_cpu_s for run in runs)
        if not cpu_s:
            continue
        rows.append(Row(f"{one.stage}: {one.n_rows:,.0f} rows", one.cpu_s, "CPU s", cpu_s, one.cpu_s / cpu_s))
        if cpu_s >= LEAST_S:
            n_large += 1
            n_rows = sum(run.n_rows for run in runs)
            rows.append(Row(f"{one.stage}: its rows", one.n_rows, "rows", n_rows, one.n_rows / n_rows))
            goals.append(Goal(f"{one.stage}: error of its CPU time", abs(one.cpu_s / cpu_s - 1), MAX_ERROR))
        if one.stage == "download":
            wall_s = sum(run.wall_s for run in runs) / min(n_workers, len(runs))
            rows.append(Row("download: by the clock", one.wall_s, "s", wall_s, one.wall_s / wall_s))
            goals.append(Goal("download: error of its time", abs(one.wall_s / wall_s - 1), MAX_ERROR))
    goals.append(Goal(f"stages above {LEAST_S:g} CPU s that are missing of {N_STAGES}", max(0, N_STAGES - n_large), 0))
    return rows, goals


if __name__ == "__main__":
    main()
