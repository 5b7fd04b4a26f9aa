"""Show a run on the terminal: a bar with rate and time left, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from flows.executor import Advanced, Event, Poisoned, Retried
from flows.worker import Committed, Failed, Task
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
    _started: float = 0.0
    _n_rows_due: int = 0
    _rows: dict[str, int] = field(default_factory=dict)
    _n_done: int = 0
    _n_due: int = 0
    _told: float = 0.0
    _bar: Progress | None = None
    _bar_task: TaskID | None = None

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Say what is due, and start the bar."""
        self._started = self._told = time.monotonic()
        self._rows, self._n_done, self._n_due, self._n_rows_due = {}, 0, n_due, n_rows_due
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
        if isinstance(event, Advanced):
            self._rows[task.partition] = event.n_rows
        elif isinstance(event, Committed):
            self._rows[task.partition] = event.n_given
            self._n_done += 1
            self.n_run += event.is_new
            if stage.grain == "observe":
                seen = f"{event.n_kept:,} rows" if event.n_kept else "nothing new"
                self.console.print(f"{stage.name}: {seen}", markup=False)
        elif isinstance(event, Retried):
            told = f"{stage.name}/{task.partition} is tried again: {_first_line(event.message)}"
            self.console.print(told, markup=False)
        elif isinstance(event, Failed | Poisoned):
            self._n_done += 1
        self._show(stage)

    def end(self, stage: Stage, seconds: float) -> None:
        """Remove the bar and say how long it took."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._n_due and stage.grain != "observe":
            rows = sum(self._rows.values())
            rate = f", {rows / seconds:,.0f} rows/s" if rows and seconds > 0.05 else ""
            self.console.print(f"{stage.name}: {self._n_done} of {self._n_due} partitions in {seconds:.1f} s{rate}")

    def _show(self, stage: Stage) -> None:
        if self._bar is not None and self._bar_task is not None:
            self._bar.update(self._bar_task, completed=self._n_done, speed=self._speed())
        elif not self.console.is_terminal and time.monotonic() - self._told > _PLAIN_EVERY_S:
            self._told = time.monotonic()
            self.console.print(f"{stage.name}: {self._n_done} of {self._n_due} partitions, {self._speed()}")

    def _speed(self) -> str:
        rows, seconds = sum(self._rows.values()), time.monotonic() - self._started
        if not rows or seconds < 0.5:
            return ""
        # Source rows are not known before they are read: the filter's share is that of its files.
        share = self._n_done / self._n_due if rows > self._n_rows_due else rows / self._n_rows_due
        left = f", {_duration(seconds / share - seconds)} left" if share else ""
        return f"{rows / seconds:,.0f} rows/s{left}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""
