"""bench-global: CPU time and memory of every stage over whole tables, at two sizes and extrapolated to RS5M's.

Each size has its share of the memory that is allowed at RS5M's size, so that queries spill as they would there.
"""

from __future__ import annotations

import math
import multiprocessing as mp
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from flows.run.events import Event
from flows.run.executor import Happened
from flows.run.toolbox import Toolbox
from flows.run.worker import Task, prepare_libraries, try_partition
from stages.contract import Uses
from tests.benchmarks.global_build import REAL, SETTINGS, bring_up_to_date
from tests.benchmarks.harness import BENCH, IS_TOY, Goal, Row, peak_resident_gb, report, sized

N_CANDIDATES = (sized(600_000, 300), sized(2_000_000, 600))
N_RS5M = 6_100_000
MAX_GB, MAX_CPU_EXPONENT, MAX_CPU_MIN = 4.0, 1.15, 13.0
_N_THREADS = 2
_LEAST_GB = 1.0  # with 0.6, DuckDB had 0.25 GB for queries: too little for plan_pictures, whatever spills
_LEAST_CPU_S = 2.0  # below this, a stage's fixed cost hides its cost per row


@dataclass(frozen=True)
class Cost:
    """Cost of all partitions of a stage in one process: CPU seconds, peak resident memory."""

    cpu_s: float
    resident_gb: float


@dataclass
class MeasuringExecutor:
    """Runs each real stage in its own process and records its cost; the others run in this process."""

    costs: dict[str, Cost] = field(default_factory=dict)
    _tasks: list[Task] = field(default_factory=list)

    def has_room(self, uses: Uses, memory_gb: float) -> bool:
        """Return True: all partitions of a stage are accepted at once."""
        return True

    def start(self, task: Task, uses: Uses, memory_gb: float) -> None:
        """Accept a partition."""
        self._tasks.append(task)

    def is_busy(self) -> bool:
        """Return whether partitions wait."""
        return bool(self._tasks)

    def listen(self) -> Iterator[Happened]:
        """Run the partitions of one stage; yield one event for each."""
        tasks = [task for task in self._tasks if task.stage == self._tasks[0].stage]
        self._tasks = [task for task in self._tasks if task.stage != self._tasks[0].stage]
        yield from zip(tasks, self._run(tasks), strict=True)

    def wind_down(self, end: float) -> Iterator[Happened]:
        """Yield nothing, since no partition is running."""
        return iter(())

    def abandon(self) -> None:
        """Forget the waiting partitions."""
        self._tasks.clear()

    def _run(self, tasks: Sequence[Task]) -> list[Event]:
        if tasks[0].stage not in {stage.name for stage in REAL}:
            toolbox = Toolbox()
            return [try_partition(task, toolbox, lambda n_rows: None) for task in tasks]
        events, cost = _measure(tasks) if IS_TOY else _measure_apart(tasks)
        before = self.costs.get(tasks[0].stage, Cost(0, 0))  # download passes are opened one by one
        cost = Cost(before.cpu_s + cost.cpu_s, max(before.resident_gb, cost.resident_gb))
        self.costs[tasks[0].stage] = cost
        if not IS_TOY:  # a stage may take minutes
            print(f"{tasks[0].stage}: {cost.cpu_s:.1f} CPU s, {cost.resident_gb:.2f} GB", file=sys.stderr, flush=True)
        return events


def _measure_apart(tasks: Sequence[Task]) -> tuple[list[Event], Cost]:
    ours, theirs = mp.get_context("spawn").Pipe()
    process = mp.get_context("spawn").Process(target=_send_measured, args=(theirs, list(tasks)))
    process.start()
    theirs.close()
    events, cost = ours.recv()
    process.join()
    return events, cost


def _send_measured(pipe: Connection, tasks: Sequence[Task]) -> None:
    prepare_libraries(_N_THREADS)
    pipe.send(_measure(tasks))


def _measure(tasks: Sequence[Task]) -> tuple[list[Event], Cost]:
    started = time.process_time()
    toolbox = Toolbox()
    with toolbox.stack:
        events: list[Event] = [try_partition(task, toolbox, lambda n_rows: None) for task in tasks]
    return events, Cost(time.process_time() - started, peak_resident_gb())


def main() -> None:
    """Build both sizes, print and write build/bench/global.json."""
    small, large = (_costs(n) for n in N_CANDIDATES)
    rows, goals, total_s = [], [], 0.0
    share_gb = memory_gb(N_CANDIDATES[1])
    for name, cost in large.items():
        exponent = growth(small[name].cpu_s, cost.cpu_s)
        cpu_s = at_rs5m(small[name].cpu_s, cost.cpu_s)
        per_row = (cost.resident_gb - small[name].resident_gb) / (N_CANDIDATES[1] - N_CANDIDATES[0])
        gb = cost.resident_gb + max(0.0, per_row) * (N_RS5M - N_CANDIDATES[1])
        total_s += cpu_s
        ratio = cost.cpu_s / small[name].cpu_s
        rows.append(Row(f"{name}: CPU at {N_CANDIDATES[1]:,}", cost.cpu_s, "s", small[name].cpu_s, ratio))
        rows.append(Row(f"{name}: exponent of CPU over rows", exponent, ""))
        rows.append(Row(f"{name}: memory at {N_CANDIDATES[1]:,}", cost.resident_gb, "GB", small[name].resident_gb))
        goals.append(Goal(f"{name}: GB at {N_CANDIDATES[1]:,}", cost.resident_gb, share_gb))
        goals.append(Goal(f"{name}: GB at {N_RS5M:,}, extrapolated", gb, MAX_GB))
        if cost.cpu_s >= _LEAST_CPU_S:
            goals.append(Goal(f"{name}: exponent of CPU over rows", exponent, MAX_CPU_EXPONENT))
    goals.append(Goal(f"CPU of all at {N_RS5M:,}, min", total_s / 60, MAX_CPU_MIN))
    report("global", rows, goals)


def memory_gb(n_candidates: int) -> float:
    """Return the share of MAX_GB of a build of n_candidates, and no less than a worker needs for anything."""
    return max(_LEAST_GB, MAX_GB * n_candidates / N_RS5M)


def at_rs5m(small_s: float, large_s: float) -> float:
    """Return the cost at RS5M's size: on the line through both sizes, or by their power where it grows faster.

    A line separates the fixed cost of a stage's process, most of what the small stages take, from the cost per row.
    """
    exponent = growth(small_s, large_s)
    if exponent > 1:
        return large_s * float((N_RS5M / N_CANDIDATES[1]) ** exponent)
    per_row_s = (large_s - small_s) / (N_CANDIDATES[1] - N_CANDIDATES[0])
    return large_s + max(0.0, per_row_s) * (N_RS5M - N_CANDIDATES[1])


def growth(small_s: float, large_s: float) -> float:
    """Return the exponent of cost as a power of the number of rows."""
    return math.log(large_s / small_s) / math.log(N_CANDIDATES[1] / N_CANDIDATES[0])


def _costs(n_candidates: int) -> dict[str, Cost]:
    executor = MeasuringExecutor()
    settings = (*SETTINGS, f"run.memory_gb={memory_gb(n_candidates):.2f}")
    bring_up_to_date(BENCH / f"global-{n_candidates}", n_candidates, executor, settings)
    return executor.costs


if __name__ == "__main__":
    main()
