"""The progress of a verification: partitions, bytes, rate and time left.

Not for the progress of a run: that is `flows/watch`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TextIO

_PLAIN_EVERY_S = 10.0  # a log of an hour stays readable
_SHOWN_EVERY_S = 0.2
_TOO_SOON_S = 2.0  # a rate over less says nothing


@dataclass
class Progress:
    """The figures of a verification.

    Attributes:
        n_due, bytes_due: partitions to check, and the bytes of their files.
        n_done, bytes_done: of these, those checked.
    """

    n_due: int
    bytes_due: int
    n_done: int = 0
    bytes_done: int = 0
    _started: float = field(default_factory=lambda: time.monotonic())

    def advance(self, n_bytes: int) -> None:
        """Count one more partition."""
        self.n_done += 1
        self.bytes_done += n_bytes

    def words(self, now: float | None = None) -> str:
        """Return the finished work, the rate, and the time left once it can be estimated."""
        said = (
            f"verify: {self.n_done:,} of {self.n_due:,} partitions,"
            f" {self.bytes_done / 1e9:,.2f} of {self.bytes_due / 1e9:,.2f} GB"
        )
        seconds = (time.monotonic() if now is None else now) - self._started
        if seconds < _TOO_SOON_S or not self.bytes_done:
            return said
        # Small files cost by their number, large ones by their bytes: the slower of the two decides.
        share = min(self.n_done / self.n_due, self.bytes_done / self.bytes_due)
        left = seconds / share - seconds
        return f"{said}, {self.bytes_done / seconds / 1e6:,.1f} MB/s, {_duration(left)} left"


class ProgressLine:
    """Prints progress: on a terminal one line in place, elsewhere a line every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._printed_at = time.monotonic()
        self._width = 0

    def show(self, progress: Progress) -> None:
        """Print the progress, if it is time to."""
        now = time.monotonic()
        if now - self._printed_at < (_SHOWN_EVERY_S if self._is_terminal else _PLAIN_EVERY_S):
            return
        self._printed_at = now
        said = progress.words(now)
        if self._is_terminal:
            self._stream.write(f"\r{said.ljust(self._width)}")
            self._width = len(said)
        else:
            self._stream.write(f"{said}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Make room for a line of another kind."""
        if self._width:
            self._stream.write(f"\r{' ' * self._width}\r")
            self._stream.flush()
            self._width = 0


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
