"""A worker process: it serves partitions through a pipe and says that it lives.

Not for running a partition: that is `flows/run/worker.py`.
"""

from __future__ import annotations

import ctypes
import multiprocessing as mp
import os
import signal
import threading
import time
from multiprocessing.connection import Connection

from flows.run.machine import see_only
from flows.run.toolbox import Toolbox
from flows.run.without_pandas import leave_pandas_out
from flows.run.worker import SignOfLife, prepare_libraries, try_partition

_PR_SET_PDEATHSIG = 1
_ADVANCE_EVERY_S = 0.2


def worker_main(pipe: Connection, n_threads: int, device: str, beat_s: float) -> None:
    """Serve partitions until the pipe closes; progress, signs of life and results go back through it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's: it ends partitions whole
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # For img2dataset's thread pools: with "spawn" their locks have names, which a killed worker leaves behind.
    mp.set_start_method("fork", force=True)
    prepare_libraries(n_threads)
    leave_pandas_out()
    if device:
        see_only(device)
    line, toolbox = _Line(pipe, beat_s), Toolbox()
    with toolbox.stack:
        while True:
            try:
                task = pipe.recv()
            except (EOFError, ConnectionError):
                return
            if task is None:
                return
            line.busy.set()
            line.send(0)  # the deadline runs from here: a fresh worker has imported by now
            result = try_partition(task, toolbox, _Advance(line))
            line.busy.clear()
            line.send(result)


class _Line:
    """The worker's end of the pipe: while it is busy, a thread says that the process lives, whatever the stage does."""

    def __init__(self, pipe: Connection, beat_s: float) -> None:
        self.busy = threading.Event()
        self._pipe = pipe
        self._beat_s = beat_s
        self._lock = threading.Lock()
        threading.Thread(target=self._beat, daemon=True).start()

    def send(self, message: object) -> None:
        """Send a message, never in the middle of another; end the process if its supervisor is gone."""
        with self._lock:
            try:
                self._pipe.send(message)
            except ConnectionError:
                os._exit(1)  # from any thread, and at once: nobody is left to report to

    def _beat(self) -> None:
        while self.busy.wait():
            self.send(SignOfLife())
            time.sleep(self._beat_s)


class _Advance:
    """Sends the number of rows done, at most a few times a second."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._sent = 0.0

    def __call__(self, n_rows: int) -> None:
        now = time.monotonic()
        if now - self._sent >= _ADVANCE_EVERY_S:
            self._sent = now
            self._line.send(n_rows)
