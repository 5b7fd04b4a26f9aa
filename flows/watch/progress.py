"""Show a run on the terminal: a line per finished stage, and bars with rate and time left, or plain lines."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn

from flows.run.events import Event, Retried, Stalled
from flows.run.worker import Committed, Task
from flows.watch.course import Course
from flows.watch.pace import first_line
from flows.watch.waves import StageRun
from stages.contract import Stage
from stages.plurals import counted

_PLAIN_EVERY_S = 10.0
_PLAIN_SHARE = 1 / 60  # of the time that a run took so far: the log of a run of days stays readable
_REASONS_SHOWN = 2
_LEAST_WIDTH = 80  # of a terminal, for bars and rates; a narrower one would cut each column to a few letters
_NAME_WIDTH = 21  # of the longest stage with a line of its own


@dataclass
class Terminal:
    """A watcher that prints.

    Attributes:
        console: where it prints.
        course: receives every event first; printed figures come from it.
        n_run: partitions that were run and committed so far, over all stages.
    """

    console: Console
    course: Course = field(default_factory=lambda: Course(()))
    n_run: int = 0
    _began: float = field(default_factory=lambda: time.monotonic())
    _printed_at: dict[str, float] = field(default_factory=dict)
    _bars: Progress | None = None
    _bar_of: dict[str, TaskID] = field(default_factory=dict)

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Start a bar; nothing is printed for a stage with nothing to do."""
        self.course.begin(stage, n_partitions, n_due, n_rows_due)
        self._show_bar(stage)

    def grow(self, stage: Stage, n_due: int, n_rows_due: int) -> None:
        """Lengthen the bar."""
        self.course.grow(stage, n_due, n_rows_due)
        self._show_bar(stage)

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        """Update the figures by an event; print a retry."""
        self.course.see(stage, task, event)
        if isinstance(event, Committed):
            self.n_run += event.is_new
        elif isinstance(event, Stalled):
            self.console.print(f"{stage.name}/{task.partition}: {event.message}", markup=False)
        elif isinstance(event, Retried):
            again = f"{stage.name}/{task.partition} is tried again: {first_line(event.message)}"
            self.console.print(again, markup=False)
        self._show(stage)

    def end(self, stage: Stage, is_whole: bool) -> None:
        """Remove the bar and print the stage's line."""
        run = self.course.run_of(stage)
        is_under_way = run is not None and not run.is_over
        self.course.end(stage, is_whole)
        bar = self._bar_of.pop(stage.name, None)
        if self._bars is not None and bar is not None:
            self._bars.remove_task(bar)
            if not self._bar_of:
                self._bars.stop()
                self._bars = None
        if run is not None and is_under_way and (stage.grain != "observe" or run.pace.n_kept):
            if line := self._line(run):
                self.console.print(line, markup=False)
            if stage.name == "download" and self.course.attempts.n_tried:
                for words in (self.course.attempts.words(), self.course.attempts.worst()):
                    self.console.print(f"{'':<{_NAME_WIDTH}}{words}".rstrip(), markup=False)

    def _show_bar(self, stage: Stage) -> None:
        run = self.course.run_of(stage)
        if stage.grain == "observe" or run is None or run.is_over or not self.console.is_terminal:
            return
        if self._bars is None:
            self._bars = Progress(*_columns(self.console.width), console=self.console, transient=True)
            self._bars.start()
        if stage.name not in self._bar_of:
            self._bar_of[stage.name] = self._bars.add_task(stage.name, total=run.pace.n_due, speed="")
        self._bars.update(self._bar_of[stage.name], total=run.pace.n_due)

    def _line(self, run: StageRun) -> str:
        """Return how many rows a stage was given, kept and rejected in this run, as one line; "" if it was stopped."""
        pace, stage = run.pace, run.stage
        failed = f"{run.n_failed:,} of {counted(pace.n_due, 'partition')} failed" if run.n_failed else ""
        if pace.n_ended == run.n_failed and (failed or not run.is_whole):  # nothing of it was recorded
            return failed and f"{stage.name:<{_NAME_WIDTH}}{failed}"
        n_rejected = sum(pace.reasons.values())
        # Tables that are reduced or read whole have no one row count to compare with.
        has_given = stage.grain in ("map", "count") or (stage.grain == "fan_out" and not stage.is_whole)
        given = f"{run.n_given:>13,} given" if has_given else " " * 19
        counts = f"{given}{pace.n_kept:>13,} kept{n_rejected:>13,} rejected"
        line = f"{stage.name:<{_NAME_WIDTH}}{counts}{pace.busy_s:>9,.1f} s"
        biggest = [f"{reason} {n:,}" for reason, n in pace.reasons.most_common(_REASONS_SHOWN)]
        if len(pace.reasons) > _REASONS_SHOWN:
            biggest.append("…")
        biggest += [failed] if failed else []
        if run.is_cut_off and not run.looks:  # looks at the world are not counted beforehand
            is_waiting = pace.n_ended == pace.n_due
            done = f"{pace.n_ended - run.n_failed:,} of {counted(pace.n_due, 'partition')} done"
            biggest.append("stopped while it waited for more partitions" if is_waiting else f"stopped: {done}")
        if run.n_partitions > pace.n_due:
            before = f"({run.n_partitions - pace.n_due:,} of {run.n_partitions:,} partitions were done)"
            return f"{line}  {', '.join(biggest)} {before}".replace("   (", "  (")
        return f"{line}  {', '.join(biggest)}".rstrip()

    def _show(self, stage: Stage) -> None:
        run, now = self.course.run_of(stage), time.monotonic()
        if run is None:
            return
        words = run.pace.words()
        if stage.name == "download" and self.course.attempts.n_tried:
            words = f"{words}; {self.course.attempts.words()}"
        bar = self._bar_of.get(stage.name)
        if self._bars is not None and bar is not None:
            self._bars.update(bar, completed=run.pace.n_ended, speed=words)
        every = max(_PLAIN_EVERY_S, (now - self._began) * _PLAIN_SHARE)
        is_over = run.is_over or run.pace.n_ended == run.pace.n_due  # its line follows at once
        printed_at = self._printed_at.setdefault(stage.name, now)  # not since it began: it waited for a worker
        if not self.console.is_terminal and not is_over and now - printed_at > every:
            self._printed_at[stage.name] = now
            self.console.print(
                f"{stage.name}: {run.pace.n_ended} of {run.pace.n_due} partitions{', ' if words else ''}{words}",
                markup=False,
            )
            if len(self.course.stages) > 1:
                self.console.print(f"build: {self.course.summary()}; time left: {self.course.left()}", markup=False)


def _columns(width: int) -> tuple[ProgressColumn, ...]:
    """Return what a bar's line is made of on a terminal with so many columns."""
    name, count, elapsed = TextColumn("{task.description:16s}"), MofNCompleteColumn(), TimeElapsedColumn()
    if width < _LEAST_WIDTH:
        return name, count, elapsed
    return name, BarColumn(), count, TextColumn("partitions"), elapsed, TextColumn("{task.fields[speed]}")
