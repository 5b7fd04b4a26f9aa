"""A watcher that says nothing, but stops at the first partition that fails."""

from flows.run.events import Event
from flows.run.worker import Task
from stages.contract import Stage


class Silent:
    """Watches a run without a word."""

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Say nothing."""

    def grow(self, stage: Stage, n_due: int, n_rows_due: int) -> None:
        """Say nothing."""

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        """Say nothing."""

    def end(self, stage: Stage, seconds: float) -> None:
        """Say nothing."""
