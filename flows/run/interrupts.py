"""Ctrl-C and SIGTERM, counted rather than raised: an exception in the middle of a pipe message would break it."""

from __future__ import annotations

import signal
import threading


class Interrupted(Exception):
    """The user stopped the run; partitions ended whole or were abandoned whole."""


class Interrupts:
    """A context manager; `n` is how often the user asked to stop. From the third time on Python's own way holds."""

    def __init__(self) -> None:
        self.n = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._count)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._restore()

    def _count(self, number: int, frame: object) -> None:
        self.n += 1
        if self.n > 1:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before.clear()
