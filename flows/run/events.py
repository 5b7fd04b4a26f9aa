"""The events of a run, and the protocol of watchers that show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flows.run.worker import Committed, Failed, Task
from stages.contract import Stage


@dataclass(frozen=True)
class Advanced:
    """A partition under way: rows done so far."""

    partition: str
    n_rows: int


@dataclass(frozen=True)
class Stalled:
    """A partition that makes no progress and uses no CPU time, and since when; it goes on."""

    partition: str
    message: str


@dataclass(frozen=True)
class Retried:
    """A partition that is tried again, and why."""

    partition: str
    message: str


@dataclass(frozen=True)
class Poisoned:
    """A partition whose worker died or was stopped each time it was tried."""

    partition: str
    message: str


Event = Advanced | Stalled | Retried | Committed | Failed | Poisoned


class Watcher(Protocol):
    """Receives the events of a run and shows them; stages interleave, so everything is kept by `stage.name`."""

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """A stage begins, once a run: its first partitions are due.

        Args:
            stage: the stage.
            n_partitions: partitions known so far, done ones included.
            n_due: partitions to run.
            n_rows_due: about the number of rows that these are given.
        """

    def grow(self, stage: Stage, n_due: int, n_rows_due: int) -> None:
        """More partitions and rows are due, of a stage that has begun and not ended."""

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        """Something happened to a partition."""

    def end(self, stage: Stage, is_whole: bool) -> None:
        """The stage is over: nothing more of it runs. `is_whole` is False where a stopped run leaves some of it."""
