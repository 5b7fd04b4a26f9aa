"""Progress of a stage: rows, share, rate and time left, for the terminal and for Prefect.

Only time in which a partition runs counts: stages wait for workers, and for partitions of stages before them.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from flows.run.events import Advanced, Event, Poisoned
from flows.run.worker import Committed, Failed

_TOO_SOON_S = 0.5  # a rate over less says nothing
# A time left needs a basis: models are loaded and caches filled in the first seconds, and one partition is no rate.
_BASIS_S = 10.0
_BASIS_PARTITIONS = 3
_BASIS_SHARE = 0.1


@dataclass
class Pace:
    """The figures of one run of a stage.

    Attributes:
        n_due: partitions to run.
        n_rows_due: approximate number of their rows.
        n_rows: rows that were read so far.
        n_ended: partitions that ended, successfully or not.
        n_kept: rows that were kept so far.
        reasons: rows that were rejected so far, by reason.
    """

    n_due: int = 0
    n_rows_due: int = 0
    n_rows: int = 0
    n_ended: int = 0
    n_kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    _rows: dict[str, int] = field(default_factory=dict)
    _running: set[str] = field(default_factory=set)
    _ran_s: float = 0.0  # until _seen
    _seen: float = 0.0

    def take(self, event: Event) -> None:
        """Update the figures by an event."""
        self._ran_s, self._seen = self.busy_s, time.monotonic()
        if isinstance(event, Advanced):
            self._running.add(event.partition)
        else:
            self._running.discard(event.partition)
        if isinstance(event, Advanced | Committed):
            n_rows = event.n_rows if isinstance(event, Advanced) else event.n_given
            self.n_rows += n_rows - self._rows.get(event.partition, 0)
            self._rows[event.partition] = n_rows
        if isinstance(event, Committed):
            self.n_kept += event.n_kept
            self.reasons.update(event.reasons)
        self.n_ended += isinstance(event, Committed | Failed | Poisoned)

    @property
    def busy_s(self) -> float:
        """The seconds in which at least one partition ran."""
        return self._ran_s + (time.monotonic() - self._seen if self._running else 0.0)

    @property
    def share(self) -> float:
        """The share that is done, 0 to 1."""
        # Source rows are not known before they are read: the filter's share is that of its files.
        if self.n_rows > self.n_rows_due or not self.n_rows:
            return self.n_ended / self.n_due if self.n_due else 1.0
        return self.n_rows / self.n_rows_due

    @property
    def rate(self) -> float | None:
        """Rows per second of work; None if it is too early to estimate."""
        seconds = self.busy_s
        return self.n_rows / seconds if self.n_rows and seconds >= _TOO_SOON_S else None

    @property
    def left_s(self) -> float | None:
        """Estimated seconds of work until all due partitions are done; None if it is too early to estimate.

        None too while nothing has happened for longer than that: the last rows wait, for instance for a slow host.
        """
        seconds, share = self.busy_s, self.share
        has_basis = seconds >= _BASIS_S and (self.n_ended >= _BASIS_PARTITIONS or share >= _BASIS_SHARE)
        if not has_basis or not 0 < share < 1:
            return None
        left = seconds / share - seconds
        return left if left >= max(_TOO_SOON_S, time.monotonic() - self._seen) else None

    def words(self) -> str:
        """Return rate and time left in words; "" if it is too early to estimate."""
        rate, left = self.rate, self.left_s
        if rate is None:
            return ""
        return speed(rate) + (f", {duration(left)} left" if left is not None else "")


def duration(seconds: float) -> str:
    """Return a time in the unit that a person would use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def speed(rows_per_s: float) -> str:
    """Return a rate in words: per minute if it is below one row per second, such as captions drawn on a CPU."""
    return f"{rows_per_s:,.0f} rows/s" if rows_per_s >= 1 else f"{60 * rows_per_s:,.2g} rows/min"


def first_line(text: str) -> str:
    """Return the first line of a message."""
    return text.strip().splitlines()[0] if text.strip() else ""
