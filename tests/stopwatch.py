"""Times and repeats what a test does so that a machine that stands still for a while does not fail it."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

_TICK_S = 0.02
_MAX_TICK_S = 0.2  # a longer one means that this process, or the machine, was held up
_MAX_TRIES = 20

Found = TypeVar("Found")


class Stopwatch:
    """Counts the seconds of its block, but not those in which this process or the machine was held up.

    Attributes:
        seconds: the time so far; each tick counts at most _MAX_TICK_S.
        was_held_up: whether a tick took longer.
    """

    def __init__(self) -> None:
        self.seconds, self.was_held_up = 0.0, False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _count(self) -> None:
        last = time.monotonic()
        has_ended = False
        while not has_ended:
            has_ended = self._ended.wait(_TICK_S)
            now = time.monotonic()
            self.was_held_up |= now - last > _MAX_TICK_S
            self.seconds += min(now - last, _MAX_TICK_S)
            last = now


def undisturbed(act: Callable[[], Found]) -> Found:
    """Return what a function finds while nothing is held up; it is called again until then, _MAX_TRIES times at most.

    For what depends on time-outs shorter than such a delay. What is asserted of the result is asserted by the caller.
    """
    for _ in range(_MAX_TRIES):
        with Stopwatch() as watch:
            found = act()
        if not watch.was_held_up:
            break
    return found
