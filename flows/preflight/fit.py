"""Fixed and per-row cost of a stage, fitted to the partitions that were run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flows.preflight.history import Run
from flows.preflight.volumes import is_rs3

_ENOUGH = 4  # partitions for a fit of three costs
_LEAST_SPREAD = 0.3  # standard deviation over mean of the rows of partitions
_LARGEST_FIXED = 0.9  # share of the cheapest run that may be fixed cost
_OPENING_S = 0.05  # CPU seconds; tools that are found open take less


@dataclass(frozen=True)
class Cost:
    """The cost of a stage, in seconds of CPU or by the clock.

    Attributes:
        per_row_s: seconds per row.
        per_partition_s: seconds per partition, of any size.
        per_process_s: seconds per worker process, for imports and opening tools.
    """

    per_row_s: float
    per_partition_s: float
    per_process_s: float

    def total_s(self, n_rows: float, n_partitions: float, n_processes: float) -> float:
        """Return the cost of a number of rows, partitions and processes."""
        return self.per_row_s * n_rows + self.per_partition_s * n_partitions + self.per_process_s * n_processes


def fit_cost(runs: Sequence[Run], *, by_clock: bool, fixed_s: float, has_few: bool = False) -> Cost:
    """Return the cost that explains the runs of a stage best: least squares, no cost below 0.

    Rows of one partition count as their share of all: a large partition weighs more than a small one.

    Args:
        runs: finished partitions of one stage, at least one.
        by_clock: seconds by the clock instead of CPU seconds.
        fixed_s: fixed cost of a process, used if too few partitions or sizes were run to fit it.
        has_few: whether the number of partitions is fixed and their size grows with the corpora, as in gpe. If all are
            of nearly one size, a fit cannot separate the cost of a row and of a partition: all is counted for the rows.
    """
    from scipy.optimize import nnls

    # A partition without a row may load the code for rows, or not: it would pass for a first one that did.
    with_rows = [run for run in runs if run.n_rows]
    runs = with_rows if len(with_rows) >= _ENOUGH else runs
    seconds = np.array([run.wall_s if by_clock else run.cpu_s for run in runs])
    rows = np.array([run.n_rows for run in runs], float)
    first, n_processes = _is_first(runs), len({run.process for run in runs})
    opening = [
        run.tools_s if by_clock else run.tools_cpu_s for run, is_first in zip(runs, first, strict=True) if is_first
    ]
    opened_s = float(np.mean(opening))
    if len(set(rows)) < 2 or len(runs) < _ENOUGH:
        # Too few to tell fixed and per-row cost apart: every process pays the fixed cost that is known.
        fixed = min(fixed_s, _LARGEST_FIXED * float(seconds[first > 0].min()))
        n_rows = float(rows.sum())
        per_row = max(0.0, float(seconds.sum()) - fixed * float(first.sum())) / n_rows if n_rows else 0.0
        return Cost(per_row, 0.0, fixed + opened_s)
    is_alike = has_few and float(np.std(rows)) < _LEAST_SPREAD * float(np.mean(rows))
    ones = np.zeros(len(runs)) if is_alike else np.ones(len(runs))
    # Screen loads other code for the first image of the web in a process than for the first labelled one.
    first_of_half = _is_first(runs, by_half=True)
    per_row, per_partition, per_first = nnls(np.column_stack([rows, ones, first_of_half]), seconds)[0]
    per_process = float(per_first) * float(first_of_half.sum()) / n_processes
    return Cost(float(per_row), float(per_partition), per_process + opened_s)


def in_characters(runs: Sequence[Run]) -> tuple[Sequence[Run], float]:
    """Return the runs with their characters in place of rows, and the characters of a row.

    The runs as they are, and 1, if some did not count characters: an earlier version made their receipts.
    """
    if not all("n_characters" in run.measured for run in runs):
        return runs, 1.0
    sized = [replace(run, n_rows=run.measured["n_characters"]) for run in runs]
    return sized, sum(run.n_rows for run in sized) / sum(run.n_rows for run in runs)


def _is_first(runs: Sequence[Run], *, by_half: bool = False) -> np.ndarray:
    """Return which runs were the first of the stage in their process, or of their half: these include the imports.

    A run that opened its tools again, since another stage had its process meanwhile, is a first one too.
    """
    seen: set[tuple[str, bool]] = set()
    first = []
    for run in sorted(runs, key=lambda run: run.started):
        key = (run.process, by_half and is_rs3(run.partition))
        if key not in seen or run.tools_cpu_s > _OPENING_S:
            first.append(id(run))
        seen.add(key)
    return np.array([float(id(run) in first) for run in runs])
