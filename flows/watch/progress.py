"""Show a run on the terminal: one line per stage, and meanwhile a bar with rate and time left, or plain lines."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from flows.run.events import Event, Retried, Watcher
from flows.run.worker import Committed, Task
from flows.watch.pace import Pace, first_line
from stages.contract import Stage

_PLAIN_EVERY_S = 10.0  # a log of a run of days stays readable
_REASONS_SHOWN = 2


@dataclass
class _Shown:
    """A stage that has begun: its figures, and its bar if there is one."""

    n_partitions: int
    pace: Pace
    bar: TaskID | None = None
    printed_at: float = field(default_factory=lambda: time.monotonic())


@dataclass
class Terminal:
    """A watcher that prints.

    Attributes:
        console: where to.
        n_run: partitions that were run and committed so far, over all stages.
    """

    console: Console
    n_run: int = 0
    _shown: dict[str, _Shown] = field(default_factory=dict)
    _bars: Progress | None = None

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Start the bar; nothing is printed of a stage without anything to do."""
        shown = self._shown[stage.name] = _Shown(n_partitions, Pace(n_due, n_rows_due))
        if stage.grain == "observe" or not n_due or not self.console.is_terminal:
            return
        if self._bars is None:
            columns = (
                TextColumn("{task.description:16s}"), BarColumn(), MofNCompleteColumn(), TextColumn("partitions"),
                TimeElapsedColumn(), TextColumn("{task.fields[speed]}"),
            )  # fmt: skip
            self._bars = Progress(*columns, console=self.console, transient=True)
            self._bars.start()
        shown.bar = self._bars.add_task(stage.name, total=n_due, speed="")

    def grow(self, stage: Stage, n_due: int, n_rows_due: int) -> None:
        """Lengthen the bar."""
        shown = self._shown[stage.name]
        shown.n_partitions += n_due
        shown.pace.n_due += n_due
        shown.pace.n_rows_due += n_rows_due
        if self._bars is not None and shown.bar is not None:
            self._bars.update(shown.bar, total=shown.pace.n_due)

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        """Take an event into the figures; print what a person must know."""
        shown = self._shown[stage.name]
        shown.pace.take(event)
        if isinstance(event, Committed):
            self.n_run += event.is_new
        elif isinstance(event, Retried):
            again = f"{stage.name}/{task.partition} is tried again: {first_line(event.message)}"
            self.console.print(again, markup=False)
        self._show(stage, shown)

    def end(self, stage: Stage, seconds: float) -> None:
        """Remove the bar and print the stage's line."""
        shown = self._shown.pop(stage.name)
        if self._bars is not None and shown.bar is not None:
            self._bars.remove_task(shown.bar)
        if self._bars is not None and not self._bars.tasks:
            self._bars.stop()
            self._bars = None
        if shown.pace.n_due and (stage.grain != "observe" or shown.pace.n_kept):
            self.console.print(_line(stage, shown, seconds), markup=False)

    def _show(self, stage: Stage, shown: _Shown) -> None:
        pace = shown.pace
        if self._bars is not None and shown.bar is not None:
            self._bars.update(shown.bar, completed=pace.n_ended, speed=pace.words())
        elif not self.console.is_terminal and time.monotonic() - shown.printed_at > _PLAIN_EVERY_S:
            shown.printed_at = time.monotonic()
            self.console.print(f"{stage.name}: {pace.n_ended} of {pace.n_due} partitions, {pace.words()}")


def _line(stage: Stage, shown: _Shown, seconds: float) -> str:
    """Return what a stage was given, kept and rejected in this run: one line that is complete by itself."""
    pace = shown.pace
    n_rejected = sum(pace.reasons.values())
    given = f"{pace.n_rows:>13,} given" if stage.grain != "observe" else " " * 19
    line = f"{stage.name:<17}{given}{pace.n_kept:>13,} kept{n_rejected:>13,} rejected{seconds:>9,.1f} s"
    biggest = [f"{reason} {n:,}" for reason, n in pace.reasons.most_common(_REASONS_SHOWN)]
    if len(pace.reasons) > _REASONS_SHOWN:
        biggest.append("…")
    if shown.n_partitions > pace.n_due:
        before = f"({shown.n_partitions - pace.n_due:,} of {shown.n_partitions:,} partitions were done)"
        return f"{line}  {', '.join(biggest)} {before}".replace("   (", "  (")
    return f"{line}  {', '.join(biggest)}".rstrip()


@dataclass(frozen=True)
class Both:
    """Two watchers that act as one."""

    first: Watcher
    second: Watcher

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Pass the begin of a stage on to both."""
        self.first.begin(stage, n_partitions, n_due, n_rows_due)
        self.second.begin(stage, n_partitions, n_due, n_rows_due)

    def grow(self, stage: Stage, n_due: int, n_rows_due: int) -> None:
        """Pass on to both that more is due."""
        self.first.grow(stage, n_due, n_rows_due)
        self.second.grow(stage, n_due, n_rows_due)

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        """Pass an event on to both."""
        self.first.see(stage, task, event)
        self.second.see(stage, task, event)

    def end(self, stage: Stage, seconds: float) -> None:
        """Pass the end of a stage on to both."""
        self.first.end(stage, seconds)
        self.second.end(stage, seconds)
