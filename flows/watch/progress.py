"""Show a run on the terminal: a bar with rate and time left, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from flows.run.executor import Event, Retried
from flows.run.runner import Watcher
from flows.run.worker import Committed, Task
from flows.watch.pace import Pace, first_line
from stages.contract import Stage

_PLAIN_EVERY_S = 10.0  # a log of a run of days stays readable


@dataclass
class Terminal:
    """A watcher that prints.

    Attributes:
        console: where to.
        n_run: partitions that were run and committed so far, over all stages.
    """

    console: Console
    n_run: int = 0
    _pace: Pace = field(default_factory=Pace)
    _told: float = 0.0
    _bar: Progress | None = None
    _bar_task: TaskID | None = None

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Say what is due, and start the bar."""
        self._told = time.monotonic()
        self._pace = Pace(n_due, n_rows_due)
        done = n_partitions - n_due
        if stage.grain == "observe":
            return
        if not n_due:
            self.console.print(f"[dim]{stage.name}: nothing to do, {done} of {n_partitions} partitions done[/dim]")
            return
        if done:
            self.console.print(f"{stage.name}: {done} of {n_partitions} partitions are done already")
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description:16s}"), BarColumn(), MofNCompleteColumn(), TextColumn("partitions"),
                TimeElapsedColumn(), TextColumn("{task.fields[speed]}"),
            )  # fmt: skip
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._bar.start()
            self._bar_task = self._bar.add_task(stage.name, total=n_due, speed="")

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        """Take an event into the figures; print what a person must know."""
        self._pace.take(event)
        if isinstance(event, Committed):
            self.n_run += event.is_new
            if stage.grain == "observe":
                seen = f"{event.n_kept:,} rows" if event.n_kept else "nothing new"
                self.console.print(f"{stage.name}: {seen}", markup=False)
        elif isinstance(event, Retried):
            told = f"{stage.name}/{task.partition} is tried again: {first_line(event.message)}"
            self.console.print(told, markup=False)
        self._show(stage)

    def end(self, stage: Stage, seconds: float) -> None:
        """Remove the bar and say how long it took."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        pace = self._pace
        if pace.n_due and stage.grain != "observe":
            rate = f", {pace.n_rows / seconds:,.0f} rows/s" if pace.n_rows and seconds > 0.05 else ""
            self.console.print(f"{stage.name}: {pace.n_ended} of {pace.n_due} partitions in {seconds:.1f} s{rate}")

    def _show(self, stage: Stage) -> None:
        pace = self._pace
        if self._bar is not None and self._bar_task is not None:
            self._bar.update(self._bar_task, completed=pace.n_ended, speed=pace.words())
        elif not self.console.is_terminal and time.monotonic() - self._told > _PLAIN_EVERY_S:
            self._told = time.monotonic()
            self.console.print(f"{stage.name}: {pace.n_ended} of {pace.n_due} partitions, {pace.words()}")


@dataclass(frozen=True)
class Both:
    """Two watchers told as one."""

    first: Watcher
    second: Watcher

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Tell both of a stage's begin."""
        self.first.begin(stage, n_partitions, n_due, n_rows_due)
        self.second.begin(stage, n_partitions, n_due, n_rows_due)

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        """Tell both of an event."""
        self.first.see(stage, task, event)
        self.second.see(stage, task, event)

    def end(self, stage: Stage, seconds: float) -> None:
        """Tell both of a stage's end."""
        self.first.end(stage, seconds)
        self.second.end(stage, seconds)
