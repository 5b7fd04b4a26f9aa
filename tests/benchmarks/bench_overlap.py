"""bench-overlap: wall time of a build with a slow download, its stages side by side and one module after the other.

Both run in one process with workers that keep their models open, so that the difference is the order alone.
"""

from __future__ import annotations

import itertools
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from flows.demo.generated import GeneratedWorld
from flows.ledger.ledger import Ledger
from flows.ledger.readiness import half_of
from flows.ledger.store import Store
from flows.preflight.history import Run, read_history
from flows.run.executor import LocalExecutor
from flows.run.runner import Runner
from flows.settings import load_settings
from stages import MODULES, STAGES
from stages.contract import WHOLE, Stage
from stages.dedup.neighbours import components
from tests.benchmarks.harness import BENCH, IS_TOY, Goal, Row, report, sized
from tests.benchmarks.silent import Silent
from tests.benchmarks.slow_world import make_slow_world

N_ROWS = sized(700, 400)
DELAY_S = 0.01 if IS_TOY else 0.5
N_RUNS = sized(2, 1)
MAX_RATIO = 1.1  # of the wall time that is left if everything that need not wait runs beside the download
_TOY_MODULES = ("inventory", "filter", "plan", "download", "labelled")
# Four requests at once make the download last about as long as the captions of RS3, which do not wait for it.
_SETTINGS = ("download.allow_loopback=true", "download.n_threads=4")

Groups = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Timed:
    """One build: its wall time, s, and its partitions by time."""

    wall_s: float
    runs: Sequence[Run]

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all partitions and of opening their tools."""
        return sum(run.cpu_s + run.tools_cpu_s for run in self.runs)

    @property
    def download(self) -> tuple[float, float]:
        """When the first download partition began and the last one ended, in seconds since 1970."""
        runs = [run for run in self.runs if run.stage == "download"]
        return min(run.started for run in runs), max(run.finished for run in runs)

    @property
    def download_s(self) -> float:
        """Wall time of the download."""
        start, end = self.download
        return end - start

    @property
    def cpu_left_s(self) -> float:
        """CPU seconds of the partitions that began after the download's last one."""
        return sum(run.cpu_s + run.tools_cpu_s for run in self.runs if run.started >= self.download[1])


def main() -> None:
    """Build in turn both ways, print and write build/bench/overlap.json."""
    folder = BENCH / "overlap"
    shutil.rmtree(folder, ignore_errors=True)
    make_slow_world(folder / "world", N_ROWS, DELAY_S)
    modules = _TOY_MODULES if IS_TOY else MODULES
    components(np.arange(9, dtype=np.uint64), 1)  # compiled now, not in the first build
    serial, overlapped = [], []
    for n in range(N_RUNS):  # in turn, so that a busy machine disturbs both
        serial.append(build(folder / f"serial-{n}", folder / "world", [[module] for module in modules]))
        overlapped.append(build(folder / f"overlapped-{n}", folder / "world", [modules]))
    free = work_free_of_download(ledger_of(folder / "serial-0"))
    report("overlap", *compare(serial, overlapped, free))


def ledger_of(folder: Path) -> Ledger:
    """Return the state of a build of the demo profile."""
    return Ledger(Store(folder), STAGES, load_settings("demo", _SETTINGS, STAGES))


def build(folder: Path, world: Path, groups: Groups) -> Timed:
    """Build from nothing: modules of one group side by side, the groups one after the other."""
    folder.mkdir(parents=True)
    (folder / "world").symlink_to(world.resolve())
    ledger, server = ledger_of(folder), GeneratedWorld(folder / "world")
    started = time.perf_counter()
    with LocalExecutor(ledger.settings.run) as executor:
        runner = Runner(ledger, executor, Silent(), "stages:STAGES", server.sources, server.serve)
        try:
            for modules in groups:
                runner.run(modules)
        finally:
            server.stop()
    return Timed(time.perf_counter() - started, read_history(folder, STAGES))


def work_free_of_download(ledger: Ledger) -> Callable[[Run], bool]:
    """Return a function that tells whether a partition reads nothing of the download, directly or through others.

    Args:
        ledger: of a finished build.
    """
    stages = {stage.name: stage for stage in ledger.stages}

    @cache
    def is_free(name: str, partition: str) -> bool:
        stage = stages[name]
        return stage.module != "download" and all(is_free(*source) for source in _sources(ledger, stage, partition))

    return lambda run: is_free(run.stage, run.partition)


def _sources(ledger: Ledger, stage: Stage, partition: str) -> Iterable[tuple[str, str]]:
    """Yield stage and partition of everything that a partition waits for."""
    for reads in stage.reads:
        writer = ledger.writer[reads.table]
        if writer is stage:
            continue
        state, half = ledger.state(writer), ledger.halves[reads.table]
        is_by_partition = not reads.is_whole and partition != WHOLE
        if is_by_partition and partition in state.spans:
            names = {state.spans[partition].partition}
        elif is_by_partition and half and half != half_of(partition):
            continue
        else:
            names = {receipt.partition for receipt in state.receipts}
        yield from ((writer.name, name) for name in names)


def shared_wall_s(runs: Sequence[Run], is_counted: Callable[[Run], bool]) -> float:
    """Return the wall time that goes to some partitions: at each moment, their share of those that run."""
    moments = sorted({time for run in runs for time in (run.started, run.finished)})
    total_s = 0.0
    for start, end in itertools.pairwise(moments):
        running = [run for run in runs if run.started <= start and run.finished >= end]
        if running:
            total_s += (end - start) * sum(map(is_counted, running)) / len(running)
    return total_s


def compare(
    serial: Sequence[Timed], overlapped: Sequence[Timed], is_free: Callable[[Run], bool]
) -> tuple[list[Row], list[Goal]]:
    """Return the medians of both ways, and as a goal the wall time over what it would be without a needless wait."""

    def median(timed: Sequence[Timed], measure: Callable[[Timed], float]) -> float:
        return statistics.median(map(measure, timed))

    def row(case: str, measure: Callable[[Timed], float]) -> Row:
        value, floor = median(overlapped, measure), median(serial, measure)
        return Row(f"{case}: overlapped, one at a time", value, "s", floor, value / floor if floor else None)

    rows = [
        row("wall", lambda one: one.wall_s),
        row("CPU", lambda one: one.cpu_s),
        row("wall of the download", lambda one: one.download_s),
        row("CPU after the download", lambda one: one.cpu_left_s),
    ]
    free_s = median(serial, lambda one: shared_wall_s(_after_start(one), is_free))
    least_s = median(serial, lambda one: one.wall_s) - min(free_s, median(serial, lambda one: one.download_s))
    wall_s = median(overlapped, lambda one: one.wall_s)
    rows.append(Row("wall of what reads nothing of the download", free_s, "s"))
    rows.append(Row("wall: overlapped, without a needless wait", wall_s, "s", least_s, wall_s / least_s))
    return rows, [Goal("wall over that without a needless wait", wall_s / least_s, MAX_RATIO)]


def _after_start(timed: Timed) -> list[Run]:
    return [run for run in timed.runs if run.started >= timed.download[0]]


if __name__ == "__main__":
    main()
