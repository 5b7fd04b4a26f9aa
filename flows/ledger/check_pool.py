"""Run checks of partitions, in this process or in several; results come in the order of the checks.

Not for the checks themselves: they are in `partition_check.py`.
"""

from __future__ import annotations

import ctypes
import multiprocessing as mp
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

import pyarrow as pa

from flows.ledger.partition_check import Check, Checked, check_partition
from flows.ledger.store import Store
from flows.run.worker import find_stages
from stages.contract import InputError, Stage

_PR_SET_PDEATHSIG = 1
_AHEAD = 64  # checks per process that are handed out before the first of them ends: a large one keeps none waiting


def run_checks(
    checks: Iterable[Check], store: Store, stages: Sequence[Stage], catalogue: str, workers: int
) -> Iterator[Checked]:
    """Yield the result of each check.

    Args:
        checks: partitions to check.
        store: the build.
        stages: its stages.
        catalogue: `module:NAME` of the stages, by which another process finds them.
        workers: processes; with one, this process does it all.

    Raises:
        InputError: when a process was killed from outside.
    """
    if workers == 1:
        for check in checks:
            yield check_partition(check, store, stages)
        return
    waiting, running = iter(checks), deque[Future[Checked]]()
    pool = ProcessPoolExecutor(workers, mp.get_context("spawn"), _prepare)
    try:
        for check in islice(waiting, workers * _AHEAD):
            running.append(pool.submit(_check, check, store.root, catalogue))
        while running:
            yield running.popleft().result()
            for check in islice(waiting, 1):
                running.append(pool.submit(_check, check, store.root, catalogue))
    except BrokenProcessPool as error:
        raise InputError(
            "a process of `verify` was killed, perhaps by a lack of memory: go on with RESUME=yes, in fewer processes"
            " with SET='run.workers=1'"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    pa.set_cpu_count(1)


def _check(check: Check, root: Path, catalogue: str) -> Checked:
    return check_partition(check, Store(root), find_stages(catalogue))
