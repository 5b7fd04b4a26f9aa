"""Show a run on the terminal: one line per stage, and meanwhile a bar with rate and time left, or plain lines."""

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
_REASONS_SHOWN = 2


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
    _printed_at: float = 0.0
    _n_partitions: int = 0
    _bar: Progress | None = None
    _bar_task: TaskID | None = None

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Start the bar; nothing is printed of a stage without anything to do."""
        self._printed_at = time.monotonic()
        self._pace = Pace(n_due, n_rows_due)
        self._n_partitions = n_partitions
        if stage.grain == "observe" or not n_due:
            return
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
        elif isinstance(event, Retried):
            again = f"{stage.name}/{task.partition} is tried again: {first_line(event.message)}"
            self.console.print(again, markup=False)
        self._show(stage)

    def end(self, stage: Stage, seconds: float) -> None:
        """Remove the bar and print the stage's line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._pace.n_due and (stage.grain != "observe" or self._pace.n_kept):
            self.console.print(self._line(stage, seconds), markup=False)

    def _line(self, stage: Stage, seconds: float) -> str:
        """Return what a stage was given, kept and rejected in this run: one line that is complete by itself."""
        pace = self._pace
        n_rejected = sum(pace.reasons.values())
        given = f"{pace.n_rows:>13,} given" if stage.grain != "observe" else " " * 19
        line = f"{stage.name:<17}{given}{pace.n_kept:>13,} kept{n_rejected:>13,} rejected{seconds:>9,.1f} s"
        biggest = [f"{reason} {n:,}" for reason, n in pace.reasons.most_common(_REASONS_SHOWN)]
        if len(pace.reasons) > _REASONS_SHOWN:
            biggest.append("…")
        if self._n_partitions > pace.n_due:
            before = f"({self._n_partitions - pace.n_due:,} of {self._n_partitions:,} partitions were done)"
            return f"{line}  {', '.join(biggest)} {before}".replace("   (", "  (")
        return f"{line}  {', '.join(biggest)}".rstrip()

    def _show(self, stage: Stage) -> None:
        pace = self._pace
        if self._bar is not None and self._bar_task is not None:
            self._bar.update(self._bar_task, completed=pace.n_ended, speed=pace.words())
        elif not self.console.is_terminal and time.monotonic() - self._printed_at > _PLAIN_EVERY_S:
            self._printed_at = time.monotonic()
            self.console.print(f"{stage.name}: {pace.n_ended} of {pace.n_due} partitions, {pace.words()}")


@dataclass(frozen=True)
class Both:
    """Two watchers that act as one."""

    first: Watcher
    second: Watcher

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Pass the begin of a stage on to both."""
        self.first.begin(stage, n_partitions, n_due, n_rows_due)
        self.second.begin(stage, n_partitions, n_due, n_rows_due)

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        """Pass an event on to both."""
        self.first.see(stage, task, event)
        self.second.see(stage, task, event)

    def end(self, stage: Stage, seconds: float) -> None:
        """Pass the end of a stage on to both."""
        self.first.end(stage, seconds)
        self.second.end(stage, seconds)
