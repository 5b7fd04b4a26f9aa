"""Keep a Prefect server in step with a run, call by call; a failed call is made up for at the next step.

Nothing is queued: each step compares the run with the part that the server has received. So a server that was down for
a day, or comes back with an empty database, gets the current state. For one thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from flows.ask.report import printable
from flows.watch.closing import bury, close_earlier_attempt
from flows.watch.course import Course
from flows.watch.memory import Figure, Memory
from flows.watch.pace import first_line
from flows.watch.waves import StageRun, Wave

if TYPE_CHECKING:
    from flows.watch.orchestrate import Outcome, Scribe

LONGEST_MESSAGE = 1000  # characters
_RUNNER_ENDED = "Runner is shutting down."  # Prefect's message where nobody has asked for an end of the run
_CANNOT_SUSPEND = "a run cannot be suspended, so it goes on: cancel it and retry it later; finished partitions are kept"
_FLOW_CANCELS_WITHIN_S = 15.0  # a runner that was started after the flow does not know it, and never ends it
_NO_PARAMETERS = ("name", "flow", "deployment")
_SHOWN_EVERY_S = 2.0
_SHOWN_SHARE = 1 / 100  # of the time so far
_SHOWN_AT_LEAST_EVERY_S = 60.0
_LINES_AT_ONCE = 200


@dataclass(frozen=True)
class Door:
    """The flow that started this process: its flow run, and the process it runs in."""

    run: str
    pid: int

    @property
    def is_open(self) -> bool:
        """True while the flow's process is alive: it passes on a cancellation, and ends its flow run itself."""
        return os.getppid() == self.pid


@dataclass
class Sync:
    """The part of a run that a server has received.

    Attributes:
        cancel: ends the run as Ctrl-C does.
    """

    scribe: Scribe
    course: Course
    memory: Memory
    said: Mapping[str, str]
    door: Door | None
    say: Callable[[str], None]
    cancel: Callable[[], None]
    run: str = ""
    is_cancelled: bool = False
    _is_known: bool = True  # the door's flow run is known to this server
    _was_suspended: bool = False  # then the flow ends without setting its state
    _cancelled_at: float = 0.0  # when a cancellation was first seen
    _token: str = field(default_factory=lambda: uuid4().hex[:8])  # a second attempt of a flow run has its own task runs
    _ids: dict[tuple[str, int, int], str] = field(default_factory=dict)
    _over: set[tuple[str, int, int]] = field(default_factory=set)
    _artifacts: dict[str, tuple[str, object]] = field(default_factory=dict)
    _shown_at: float = 0.0
    _started: float = field(default_factory=lambda: time.monotonic())

    def step(self, is_last: bool = False) -> None:
        """Make the calls that are due. Raises the scribe's errors; the next step goes on from there."""
        if not self.run:
            self._open()
        self._heed_state()
        every = min(_SHOWN_AT_LEAST_EVERY_S, (time.monotonic() - self._started) * _SHOWN_SHARE)
        is_due = is_last or time.monotonic() - self._shown_at >= max(_SHOWN_EVERY_S, every)
        if is_due:
            # First: a loaded server refuses calls, and a build has hundreds of stages and waves to show.
            self._show_build()
        self._log()
        for run in self._snapshot():
            self._show_stage(run)
        if is_due:
            for run in [run for run in self._snapshot() if ("stage", run.number, 0) in self._ids]:
                self._show_stage_figures(run)
            self._shown_at = time.monotonic()

    def finish(self, outcome: Outcome, message: str) -> None:
        """End all that is open; the flow run itself is left to the flow that started it, if that is still alive."""
        self.step(is_last=True)
        for run in self._snapshot():
            self._close_stage(run, *_ending_of(run, outcome, message))
        self.scribe.close_inside(self.run, outcome, message)
        if self._has_door and not self._was_suspended:
            self.memory.note(self.run, outcome, message)
            return
        self.scribe.close_run(self.run, outcome, message)
        self.memory.remove(self.run)

    def forget(self) -> None:
        """Start again from nothing: the server has another database."""
        if self.run:
            self.memory.remove(self.run)
        self.run, self._is_known = "", False
        self._ids.clear()
        self._over.clear()
        self._artifacts.clear()

    @property
    def _has_door(self) -> bool:
        return self.door is not None and self._is_known and self.door.is_open

    def _snapshot(self) -> list[StageRun]:
        with self.course.lock:
            return list(self.course.runs)

    def _open(self) -> None:
        given = self.door.run if self.door is not None and self._is_known else ""
        bury(self.scribe, self.memory, given)
        if given:
            close_earlier_attempt(self.scribe, given)
        name = f"{Path(self.said['profile']).stem} {self.said['name']}"
        parameters = {key: value for key, value in self.said.items() if value and key not in _NO_PARAMETERS}
        deployment = self.said.get("deployment", "")
        self.run = given or self.scribe.open_run(self.said["flow"], name, parameters, deployment=deployment)
        self.memory.add(self.run)
        self.say(f"Prefect: {self.scribe.page(self.run)}")

    def _heed_state(self) -> None:
        kind, message = self.scribe.state(self.run)
        if kind in ("CANCELLING", "CANCELLED") and message != _RUNNER_ENDED:
            if not self.is_cancelled and not self._flow_will_cancel(kind):
                self.is_cancelled = True
                self.say("cancelled in Prefect")
                self.cancel()
        elif kind in ("PAUSED", "SCHEDULED"):  # suspended or resumed: from here a cancellation would reach no flow
            if kind == "PAUSED" and not self._was_suspended:
                self.say(_CANNOT_SUSPEND)
            self._was_suspended = True
            self.scribe.reopen(self.run)
        elif kind != "RUNNING" and not self._has_door:
            self.scribe.reopen(self.run)

    def _flow_will_cancel(self, kind: str) -> bool:
        """True while a living flow may still pass a cancellation on; one that came after Suspend does not reach it."""
        self._cancelled_at = self._cancelled_at or time.monotonic()
        is_early = time.monotonic() - self._cancelled_at < _FLOW_CANCELS_WITHIN_S
        return self._has_door and kind == "CANCELLING" and is_early

    def _log(self) -> None:
        with self.course.lock:
            lines = self.course.lines[:_LINES_AT_ONCE]
        if lines and not self._has_door:  # a flow passes on all lines of its child
            self.scribe.log(self.run, [printable(line) for line in lines])
        with self.course.lock:
            del self.course.lines[: len(lines)]

    def last_lines(self) -> list[str]:
        """Return the last log lines that the server has not received; none if a flow passes them on."""
        with self.course.lock:
            lines = self.course.lines[-_LINES_AT_ONCE:]
        return [] if self._has_door else [printable(line) for line in lines]

    def _show_stage(self, run: StageRun) -> None:
        key, stage = ("stage", run.number, 0), run.stage.name
        if key in self._over:
            return
        if key not in self._ids:
            if not run.has_begun:
                return  # it waits for a worker: a run here would be shown as running
            parameters = {"partitions": run.n_partitions, "due": run.pace.n_due, "rows_due": run.pace.n_rows_due}
            task = self.scribe.open_task(self.run, stage, f"{self._token}-{run.number}", stage)
            self._ids["task", run.number, 0] = task
            self._ids[key] = self.scribe.open_run(stage, stage, parameters, parent_task=task)
        with self.course.lock:
            waves = list(run.waves)
        for wave in waves:
            self._show_wave(run, wave)
        if run.is_complete or (run.is_over and run.n_failed):
            self._close_stage(run, "FAILED" if run.n_failed else "COMPLETED", run.summary())

    def _show_wave(self, run: StageRun, wave: Wave) -> None:
        key = ("wave", run.number, wave.number)
        if key in self._over:
            return
        if key not in self._ids:
            name, task = f"{run.stage.name} wave", f"{self._token}-{wave.number}"
            self._ids[key] = self.scribe.open_task(self._ids["stage", run.number, 0], name, task, wave.name)
        if wave.is_over:
            outcome: Outcome = "FAILED" if wave.faults else "COMPLETED"
            message = "\n".join(wave.faults) if wave.faults else f"{wave.n_taken:,} partitions"
            self.scribe.close_task(self._ids[key], outcome, printable(message)[:LONGEST_MESSAGE])
            self._over.add(key)

    def _close_stage(self, run: StageRun, outcome: Outcome, message: str) -> None:
        key = ("stage", run.number, 0)
        if key in self._over or key not in self._ids:
            return
        self._show_stage_figures(run)
        child = self._ids[key]
        self.scribe.close_inside(child, outcome, message)
        self.scribe.close_run(child, outcome, message)
        self.scribe.close_task(self._ids["task", run.number, 0], outcome, message, child)
        self._over.add(key)

    def _show_build(self) -> None:
        for figure in self.figures():
            self._show(self.run, *figure)

    def figures(self) -> list[Figure]:
        """Return the current figures of the run's page: key, kind, content and description of each."""
        course = self.course
        with course.lock:
            share, summary, stages = course.share, course.summary(), course.markdown()
            corpora, attempts = course.corpora_rows(), course.attempts.markdown() if course.attempts.n_tried else ""
        found: list[Figure] = [
            ("build-progress", "progress", round(100 * share, 1), f"{summary}; time left: {course.left()}"),
            ("build-stages", "markdown", stages, "state and rows of each stage"),
        ]
        if corpora:
            found.append(("build-corpora", "table", corpora, "corpus by corpus: rows kept by each stage that ended"))
        if attempts:
            said = "outcome of this run's URLs so far"
            found.append(("download-attempts", "markdown", attempts, said))
        return found

    def _show_stage_figures(self, run: StageRun) -> None:
        if ("figures", run.number, 0) in self._over:
            return
        is_last = run.is_over and run.table is not None
        stage, child = run.stage.name.replace("_", "-"), self._ids["stage", run.number, 0]  # Prefect takes dashes
        with self.course.lock:
            share, summary, text = run.pace.share, run.summary(), run.markdown()
            if run.stage.name == "download" and self.course.attempts.n_tried:
                text += f"\n\n{self.course.attempts.markdown()}"
        self._show(child, f"progress-{stage}", "progress", round(100 * share, 1), summary)
        self._show(child, f"figures-{stage}", "markdown", text, "rate, time left, rejects and faults")
        if run.table is not None:
            self._show(child, f"table-{stage}", "table", run.table, "rows given, kept and rejected, by corpus")
        if is_last:
            self._over.add(("figures", run.number, 0))

    def _show(self, run: str, key: str, kind: str, data: object, description: str) -> None:
        known, content = f"{run}/{key}", (data, description)
        if known not in self._artifacts:
            self._artifacts[known] = (self.scribe.show(run, key, kind, data, description), content)
        elif self._artifacts[known][1] != content:
            artifact = self._artifacts[known][0]
            self.scribe.change(artifact, kind, data, description)
            self._artifacts[known] = (artifact, content)


def _ending_of(run: StageRun, outcome: Outcome, message: str) -> tuple[Outcome, str]:
    """Return how a stage ended that was open when the build ended: only one with failures of its own has failed."""
    if run.n_failed:
        return "FAILED", run.summary()
    if outcome == "COMPLETED":
        return outcome, run.summary()
    why = first_line(message).rstrip(":") or outcome.lower()
    return "CANCELLED", f"{run.summary()}; the build ended: {why}"[:LONGEST_MESSAGE]
