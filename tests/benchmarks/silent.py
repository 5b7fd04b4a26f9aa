"""A watcher without output."""

from flows.run.events import Event
from flows.run.worker import Task
from stages.contract import Stage


class Silent:
    """Watches a run and prints nothing."""

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Do nothing."""

    def grow(self, stage: Stage, n_due: int, n_rows_due: int) -> None:
        """Do nothing."""

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        """Do nothing."""

    def end(self, stage: Stage, is_whole: bool) -> None:
        """Do nothing."""
