"""Load the next batch of images in threads while the model works on the current one.

The stages choose the images and the size of a batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")
_MOST_THREADS = 8  # sixteen were slower on sixteen cores (520 against 700 images/s): they wait for Python's global lock


def cut(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield rows in batches; the last may be smaller."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def load_ahead(
    batches: Iterable[Sequence[T]], load: Callable[[T], U], n_threads: int
) -> Iterator[tuple[Sequence[T], list[U]]]:
    """Yield each batch with the results of `load` for its items, in order; meanwhile the next batch is loaded.

    An exception in `load` is raised when its batch is due.

    Args:
        batches: at most two are held here.
        load: must be thread-safe.
        n_threads: 0 for one per CPU core, at most 8.
    """
    n_threads = n_threads or min(len(os.sched_getaffinity(0)), _MOST_THREADS)
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="load")
    waiting: tuple[Sequence[T], list[Future[U]]] | None = None
    try:
        for batch in batches:
            following = batch, [pool.submit(load, item) for item in batch]
            if waiting:
                yield waiting[0], [future.result() for future in waiting[1]]
            waiting = following
        if waiting:
            yield waiting[0], [future.result() for future in waiting[1]]
    finally:
        pool.shutdown(cancel_futures=True)
