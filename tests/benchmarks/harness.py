"""Shared code of the benchmarks: paired timing, the printed table, and build/bench/<name>.json.

Not for tests: a missed goal is printed and written, and the exit code is still 0.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table
from scipy.special import gammaincinv

IS_TOY = os.environ.get("BENCH_SIZE") == "toy"  # set by tests; the figures then mean nothing
BENCH = Path("build") / ("bench-toy" if IS_TOY else "bench")
_PACKAGES = ("pyarrow", "duckdb", "polars", "pillow", "numpy", "pydantic")


@dataclass(frozen=True)
class Row:
    """One measured case; `floor` is its lower bound, measured in the same run."""

    case: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None


@dataclass(frozen=True)
class Goal:
    """A target of a case; it holds if value <= limit."""

    goal: str
    value: float
    limit: float

    @property
    def holds(self) -> bool:
        """Whether the goal is reached."""
        return self.value <= self.limit


@dataclass(frozen=True)
class Pairs:
    """Seconds of a case and of its floor, run in turn so that disturbances affect both."""

    value_s: tuple[float, ...]
    floor_s: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median of the pairs' ratios, which one slow run hardly changes."""
        return statistics.median(v / f for v, f in zip(self.value_s, self.floor_s, strict=True))

    def row(self, case: str, unit: str, scale: float = 1.0) -> Row:
        """Return the medians, times `scale`, as a row."""
        value, floor = statistics.median(self.value_s), statistics.median(self.floor_s)
        return Row(case, value * scale, unit, floor * scale, self.ratio)


def sized(full: int, toy: int) -> int:
    """Return the full size, or the toy size in tests."""
    return toy if IS_TOY else full


def run_pairs(value: Callable[[int], float], floor: Callable[[int], float], n: int) -> Pairs:
    """Run case and floor n times each, after one warm-up of each, and return their seconds.

    Args:
        value: runs the case and returns its seconds, without its clean-up; takes the number of the run.
        floor: the same for the floor.
        n: number of pairs; the case runs first in every other pair.
    """
    value(0), floor(0)
    values, floors = [], []
    for i in range(1, n + 1):
        if i % 2:
            values.append(value(i))
            floors.append(floor(i))
        else:
            floors.append(floor(i))
            values.append(value(i))
    return Pairs(tuple(values), tuple(floors))


def seconds(run: Callable[[], object]) -> float:
    """Return the wall time of a call in seconds."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def cpu_seconds(run: Callable[[], object]) -> float:
    """Return the CPU time of a call over all threads, which a shared machine disturbs less than wall time."""
    started = time.process_time()
    run()
    return time.process_time() - started


def process_costs(arguments: Sequence[str], n: int) -> tuple[float, float]:
    """Return the medians of wall time and CPU time of a Python process and its children, in seconds.

    Both include its start-up; its output is discarded.

    Raises:
        subprocess.CalledProcessError: the exit code is not 0.
    """

    def run_one() -> tuple[float, float]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall_s = seconds(lambda: subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return wall_s, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    walls_s, cpus_s = zip(*(run_one() for _ in range(n)), strict=True)
    return statistics.median(walls_s), statistics.median(cpus_s)


def peak_resident_gb() -> float:
    """Return the peak resident memory of this process in GB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


def machine() -> dict[str, object]:
    """Return a description of the machine and its packages."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{memory_bytes / 2**30:.0f} GiB",
        "gpu": _gpu(),
        "versions": {"python": platform.python_version(), "linux": platform.release()}
        | {name: version(name) for name in _PACKAGES},
    }


def most_events(n_found: int) -> float:
    """Return the 95 % upper bound of the mean of a Poisson count (Garwood 1936): 3.0 if none was found."""
    return float(gammaincinv(n_found + 1, 0.95))


def report(name: str, rows: Sequence[Row], goals: Sequence[Goal]) -> Path:
    """Print the rows and goals, write them to build/bench/<name>.json and return its path."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    found = machine()
    console.print(f"{name}: {found['cores']} cores, {found['memory']}, GPU: {found['gpu']}", markup=False)
    _print(console, ("case", "value", "floor", "ratio", "unit"), [_cells(row) for row in rows])
    _print(
        console,
        ("goal", "value", "limit", "holds"),
        [(g.goal, f"{g.value:.2f}", f"{g.limit:g}", "yes" if g.holds else "NO") for g in goals],
    )
    for goal in goals:
        if not goal.holds:
            console.print(f"does not hold: {goal.goal}: {goal.value:.2f}, at most {goal.limit:g}", style="red")
    path = BENCH / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "name": name,
        "machine": found,
        "rows": [asdict(row) for row in rows],
        "goals": [{**asdict(goal), "holds": goal.holds} for goal in goals],
    }
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    console.print(f"written: {path}", markup=False)
    return path


def _cells(row: Row) -> tuple[str, ...]:
    floor = "" if row.floor is None else f"{row.floor:,.3f}"
    ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
    return row.case, f"{row.value:,.3f}", floor, ratio, row.unit


def _print(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name in ("case", "goal", "unit") else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()


def _gpu() -> str:
    if not shutil.which("nvidia-smi"):
        return "none"
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")[0]
    return found or "none"
