"""Compare the main memory of this machine with the needs of the workers that a run starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from flows.preflight.gaps import Gap, with_less
from flows.run.memory import least_gb, most_gb, needed_gb
from flows.settings import Settings
from stages.contract import InputError, Stage

_N_NAMED = 8  # stages in one gap


def memory_gaps(
    stages: Sequence[Stage], settings: Settings, total_bytes: float, n_workers: Callable[[Stage], int]
) -> Iterator[Gap]:
    """Yield a gap for each stage of which no partition fits, and one each for all that would be stopped or run fewer.

    Args:
        stages: those with remaining work.
        settings: of the build.
        total_bytes: that all workers together may hold.
        n_workers: returns how many partitions of a stage run at once if memory allows.
    """
    fewer: list[str] = []
    killed: dict[str, tuple[float, float]] = {}
    for stage in stages:
        try:
            each_gb, needs = needed_gb(stage, settings), (least_gb(stage, settings), most_gb(stage, settings))
        except InputError:
            continue  # a gap of the model
        if needs[0] > settings.run.memory_gb:
            killed[stage.name] = needs
        if needs[0] * 1e9 > total_bytes:
            yield Gap(
                "memory", stage.name,
                f"one partition needs at least {needs[0]:.1f} GB, all workers may hold {total_bytes / 1e9:.1f} GB"
                " (run.total_memory_gb)",
                f"run this stage on a machine with more memory{with_less(settings.profile)}",
            )  # fmt: skip
        elif not stage.is_whole and n_at_once(each_gb, total_bytes) < n_workers(stage):
            fewer.append(
                f"{stage.name} {n_at_once(each_gb, total_bytes)} of {n_workers(stage)} ({each_gb:.1f} GB each)"
            )
    if killed:
        yield _killed_gap(killed, settings.run.memory_gb)
    if fewer:
        yield Gap(
            "memory", "fewer partitions at once",
            f"all workers may hold {total_bytes / 1e9:.1f} GB (run.total_memory_gb): {', '.join(fewer)}",
            "lower run.workers, so that each gets more threads, or use a machine with more memory", False,
        )  # fmt: skip


def _killed_gap(killed: Mapping[str, tuple[float, float]], limit_gb: float) -> Gap:
    """Return the gap of stages whose workers would be stopped for their memory.

    Args:
        killed: least and most that a worker of each needs, GB.
        limit_gb: above which a worker is stopped.
    """
    largest = sorted(killed.items(), key=lambda item: -item[1][0])
    words = ", ".join(f"{name} {least:.1f} GB" for name, (least, _) in largest[:_N_NAMED])
    more = f" and {len(largest) - _N_NAMED} more" if len(largest) > _N_NAMED else ""
    enough_gb = math.ceil(max(most for _, most in killed.values()))
    return Gap(
        "memory", "run.memory_gb",
        f"a worker is stopped above {limit_gb:g} GB, and needs at least: {words}{more}",
        f"SET='run.memory_gb={enough_gb}' is enough",
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
