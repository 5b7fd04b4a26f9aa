"""Compare the main memory of this machine with the needs of the workers that a run starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from flows.preflight.gaps import Gap, with_less
from flows.run.memory import needed_gb, weights_gb
from flows.settings import Settings
from stages.contract import InputError, Stage


def memory_gaps(
    stages: Sequence[Stage], settings: Settings, total_bytes: float, n_workers: Callable[[Stage], int]
) -> Iterator[Gap]:
    """Yield a gap for each stage of which no partition fits, and one for all that run fewer at once than planned.

    Args:
        stages: those with remaining work.
        settings: of the build.
        total_bytes: that all workers together may hold.
        n_workers: returns how many partitions of a stage run at once if memory allows.
    """
    fewer: list[str] = []
    for stage in stages:
        try:
            each_gb = needed_gb(stage, settings)
            least_gb = stage.memory_gb + weights_gb(stage, settings) / 2  # at half precision
        except InputError:
            continue  # a gap of the model
        if least_gb * 1e9 > total_bytes:
            yield Gap(
                "memory", stage.name,
                f"one partition needs at least {least_gb:.1f} GB, all workers may hold {total_bytes / 1e9:.1f} GB"
                " (run.total_memory_gb)",
                f"run this stage on a machine with more memory{with_less(settings.profile)}",
            )  # fmt: skip
        elif not stage.is_whole and n_at_once(each_gb, total_bytes) < n_workers(stage):
            fewer.append(
                f"{stage.name} {n_at_once(each_gb, total_bytes)} of {n_workers(stage)} ({each_gb:.1f} GB each)"
            )
    if fewer:
        yield Gap(
            "memory", "fewer partitions at once",
            f"all workers may hold {total_bytes / 1e9:.1f} GB (run.total_memory_gb): {', '.join(fewer)}",
            "lower run.workers, so that each gets more threads, or use a machine with more memory", False,
        )  # fmt: skip


def n_fitting(stage: Stage, settings: Settings, total_bytes: float, n_workers: int) -> int:
    """Return how many partitions of a stage run at once; n_workers if its model is unknown, which is a gap itself."""
    try:
        return min(n_workers, n_at_once(needed_gb(stage, settings), total_bytes))
    except InputError:
        return n_workers


def n_at_once(each_gb: float, total_bytes: float) -> int:
    """Return how many partitions fit in memory, at least 1: a single one is always started."""
    return max(1, int(total_bytes / 1e9 / each_gb))
