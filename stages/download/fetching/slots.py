"""At most N requests at once to one host, over the threads and processes of this machine. Not for rates per second."""

import fcntl
import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stages.download.fetching.faults import Refused

_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.2
# Lock files cannot be removed without a race, so their number is bounded: two hosts that share a name share a limit.
_NAME_DIGITS = 4


class HostSlots:
    """Slots per host: a semaphore for the threads here, and lock files for the other processes.

    A lock belongs to an open file, so the kernel frees it when its process dies; nothing is left to clean up.
    """

    def __init__(self, folder: Path | None, *, max_per_host: int) -> None:
        self._folder = folder
        self._max_per_host = max_per_host
        self._lock = threading.Lock()
        self._semaphores: dict[str, threading.Semaphore] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def hold(
        self,
        host: str,
        *,
        max_wait_s: float,
        check: Callable[[], None] = lambda: None,
        is_single: Callable[[], bool] = lambda: False,
    ) -> Iterator[float]:
        """Hold one slot of the host; the value is how long that took, in seconds.

        Args:
            host: its name, without the port.
            max_wait_s: longest wait.
            check: called during the wait, and once when the slot is free; an exception from it ends the wait.
            is_single: whether the host has only one slot at the moment; called again at each try.

        Raises:
            Refused: no slot came free in time.
        """
        started = time.monotonic()
        with self._lock:
            semaphore = self._semaphores.setdefault(host, threading.Semaphore(self._max_per_host))
        # The semaphore comes first: its waiters sleep, and only max_per_host threads a process poll the files.
        if not semaphore.acquire(timeout=max_wait_s):
            raise _no_slot(host)
        try:
            check()
            if self._folder is None:
                yield time.monotonic() - started
                return
            handle = self._lock_file(self._folder, host, started + max_wait_s, check, is_single)
            try:
                check()
                yield time.monotonic() - started
            finally:
                os.close(handle)
        finally:
            semaphore.release()

    def _lock_file(
        self, folder: Path, host: str, end: float, check: Callable[[], None], is_single: Callable[[], bool]
    ) -> int:
        """Return the open descriptor of a lock file that is ours until it is closed."""
        name = hashlib.sha256(host.encode()).hexdigest()[:_NAME_DIGITS]
        pause_s = _FIRST_PAUSE_S
        while True:
            for slot in range(1 if is_single() else self._max_per_host):
                handle = os.open(folder / f"{name}.{slot}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                with suppress(BlockingIOError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return handle
                os.close(handle)
            if time.monotonic() > end:
                raise _no_slot(host)
            check()
            # Uneven pauses: processes that started together must not knock together for ever.
            time.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _no_slot(host: str) -> Refused:
    return Refused("no_result", f"no slot for {host} came free in time; nothing was asked of it")
