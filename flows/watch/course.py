"""The course of a run: finished, running and pending stages with their figures, shown by the terminal and Prefect.

Updated only by the runner's events, in the main thread; another thread reads it under its lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from flows.ledger.store import Store
from flows.run.events import Event, Poisoned, Retried, Stalled
from flows.run.worker import Committed, Failed, Task
from flows.watch.attempts import Attempts
from flows.watch.pace import Pace, duration, first_line
from flows.watch.waves import StageRun, safe_markdown
from stages.contract import Stage


@dataclass
class Course:
    """A watcher that keeps the figures of a run to show.

    Attributes:
        stages: stages of the run, in order.
        store: store of the build; None if no download is watched.
        expected_s: forecast of the remaining seconds by stage; stages without a forecast have no entry.
        runs: one per stage with due partitions, in order of their start.
        is_done: stages that were complete before this run, or that are off.
        is_off: stages that a setting switches off.
        is_empty: stages in which nothing was due, known once a run has ended well.
        is_stopped: whether the run has ended before all stages were done.
        lines: lines for a log; the reader removes them.
        attempts: attempts of the download.
        corpora: kept rows by corpus, for each finished stage.
    """

    stages: Sequence[Stage]
    store: Store | None = None
    expected_s: Mapping[str, float] = field(default_factory=dict)
    runs: list[StageRun] = field(default_factory=list)
    is_done: set[str] = field(default_factory=set)
    is_off: set[str] = field(default_factory=set)
    is_empty: set[str] = field(default_factory=set)
    is_stopped: bool = False
    lines: list[str] = field(default_factory=list)
    attempts: Attempts = field(default_factory=Attempts)
    corpora: dict[str, dict[str, int]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    on_end: Callable[[StageRun], None] = field(default=lambda run: None)
    _current: dict[str, StageRun] = field(default_factory=dict)
    _started: float = field(default_factory=lambda: time.monotonic())

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Start a stage; without due partitions it is done."""
        with self.lock:
            self._current.pop(stage.name, None)
            if n_due:
                self._open(stage, n_partitions, n_due, n_rows_due)
            else:
                self.is_done.add(stage.name)

    def grow(self, stage: Stage, n_due: int, n_rows_due: int) -> None:
        """Add partitions that became due."""
        with self.lock:
            run = self._current.get(stage.name)
            if run is not None:
                run.grow(n_due, n_rows_due)
            elif n_due:
                self._open(stage, n_due, n_due, n_rows_due)

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        """Add an event to the figures."""
        if isinstance(event, Committed) and stage.name == "download" and self.store is not None:
            self.attempts.take(self.store, task)
        with self.lock:
            run = self._current.get(stage.name)
            if run is None:
                return
            run.take(event)
            if isinstance(event, Stalled):
                self.lines.append(f"{stage.name}/{event.partition}: {event.message}")
            elif isinstance(event, Retried):
                self.lines.append(f"{stage.name}/{event.partition} is tried again: {first_line(event.message)}")
            elif isinstance(event, Failed | Poisoned):
                self.lines.append(f"{stage.name}/{event.partition} failed: {first_line(event.message)}")

    def end(self, stage: Stage, is_whole: bool) -> None:
        """End a stage."""
        with self.lock:
            run = self._current.pop(stage.name, None)
            if run is None:
                return
            run.end(is_whole)
            if run.is_complete:
                self.is_done.add(stage.name)
            if run.has_begun or not run.is_cut_off:  # nothing of it ran: there is nothing to tell
                self.lines.append(f"{stage.name}: {run.summary()}")
        self.on_end(run)

    def conclude(self) -> None:
        """Note that the run has ended well: stages in which nothing was due are done too."""
        with self.lock:
            self.is_empty = {stage.name for stage in self.stages} - self.is_done
            self.is_done |= self.is_empty

    def stop(self) -> None:
        """Note that the run has ended by a failure or by the user: no further stage will run."""
        with self.lock:
            self.is_stopped = True

    def run_of(self, stage: Stage) -> StageRun | None:
        """Return the current run of a stage, or its last one."""
        return self._current.get(stage.name) or next(
            (r for r in reversed(self.runs) if r.stage.name == stage.name), None
        )

    @property
    def running(self) -> list[StageRun]:
        """The current runs."""
        return list(self._current.values())

    def _open(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        run = StageRun(len(self.runs), stage, max(n_partitions, n_due), Pace(n_due, n_rows_due))
        self.is_done.discard(stage.name)
        self.runs.append(run)
        self._current[stage.name] = run

    @property
    def share(self) -> float:
        """The share of finished stages in [0, 1]; stages differ widely in length."""
        n_done = sum(stage.name in self.is_done for stage in self.stages)
        parts = sum(run.pace.share for run in self.running if run.stage.name not in self.is_done)
        return min(1.0, (n_done + parts) / len(self.stages)) if self.stages else 1.0

    def summary(self) -> str:
        """Return the progress of the run in one line."""
        n_done = sum(stage.name in self.is_done for stage in self.stages)
        words = f"{n_done} of {len(self.stages)} stages done, {duration(time.monotonic() - self._started)} so far"
        running = ", ".join(f"{r.stage.name} {r.pace.share:.0%}" for r in self.running if r.has_begun and not r.is_idle)
        words = f"{words}; running: {running}" if running else words
        n_waiting = sum(not run.has_begun for run in self.running)
        return f"{words}; {n_waiting} more wait for a worker" if n_waiting else words

    def left(self) -> str:
        """Return the time left of the build, by the rates of the running stages and the forecast of the others.

        With pending stages it is a range: from running them concurrently, as far as they use different resources
        (network, GPU, cores), to running them one after another.
        """
        if self.is_stopped:
            return "none, the run has ended"
        running = {run.stage.name: run for run in self.running if run.has_begun}
        open_stages = [stage for stage in self.stages if stage.name not in self.is_done]
        measured = {name: run.pace.left_s for name, run in running.items()}
        forecast = {
            stage.name: self.expected_s[stage.name]
            * (1 - running[stage.name].pace.share if stage.name in running else 1)
            for stage in open_stages
            if measured.get(stage.name) is None and stage.name in self.expected_s
        }
        known = {name: left for name, left in measured.items() if left is not None} | forecast
        by_use: dict[str, float] = {}
        for stage in open_stages:
            by_use[stage.uses] = by_use.get(stage.uses, 0.0) + known.get(stage.name, 0.0)
        low, high = max(by_use.values(), default=0.0), sum(by_use.values())
        if not open_stages:
            return "nothing"
        if not known or not running.keys() <= known.keys():
            return "not known yet"
        if n_unknown := len(open_stages) - len(known):
            return f"at least {duration(max(known.values()))}: stages to come, without a rate yet: {n_unknown}"
        span = duration(low) if duration(low) == duration(high) else f"{duration(low)} to {duration(high)}"
        return f"{span}, by the forecast of `make preflight`" if forecast else span

    def markdown(self) -> str:
        """Return the stages with state and figures as Markdown, safe to render."""
        lines = [safe_markdown(self.summary()), "", f"Time left: {safe_markdown(self.left())}", ""]
        if any(run.n_partitions > run.pace.n_due for run in self.runs) or self.is_done - self._begun():
            lines += ["Rows are those of this run; partitions that an earlier run did are counted as done.", ""]
        lines += ["| stage | state | partitions | rows read | kept | rejected | rows/s | time left |"]
        lines += ["|---|---|---:|---:|---:|---:|---:|---:|", *map(self._row, self.stages)]
        return "\n".join(lines)

    def _begun(self) -> set[str]:
        return {run.stage.name for run in self.runs} | self.is_off | self.is_empty

    def _row(self, stage: Stage) -> str:
        run, name = self.run_of(stage), safe_markdown(stage.name)
        if run is None:
            return f"| {name} | {self._state_without_run(stage.name)} | | | | | | |"
        n_before = run.n_partitions - run.pace.n_due
        runs = [other for other in self.runs if other.stage.name == stage.name]
        cells = [
            name, _state(run), run.looks or f"{n_before + run.pace.n_ended:,} of {run.n_partitions:,}",
            f"{sum(r.n_given for r in runs):,}", f"{sum(r.pace.n_kept for r in runs):,}",
            f"{sum(sum(r.pace.reasons.values()) for r in runs):,}", _rate(run.rate), _left(run),
        ]  # fmt: skip
        return f"| {' | '.join(cells)} |"

    def _state_without_run(self, name: str) -> str:
        pending = "not done" if self.is_stopped else "to come"
        states = {"off": self.is_off, "nothing to do": self.is_empty, "done before": self.is_done}
        return next((state for state, names in states.items() if name in names), pending)

    def corpora_rows(self) -> list[dict[str, object]]:
        """Return one row per corpus: rows kept by finished stages, and partitions of running ones."""
        names = dict.fromkeys(corpus for kept in self.corpora.values() for corpus in kept)
        last = {stage.module: stage.name for stage in self.stages}.values()  # the last stage of each module
        running = [run for run in self.running if set(run.by_corpus) & set(names)]
        table = {f"{stage} kept": self.corpora[stage] for stage in last if stage in self.corpora}
        table |= {f"{run.stage.name}, partitions so far": dict(run.by_corpus) for run in running}
        return [{"corpus": c, **{column: counts.get(c, "") for column, counts in table.items()}} for c in names]


def _state(run: StageRun) -> str:
    if run.n_failed:
        return f"**{run.n_failed:,} failed**"
    if not run.is_over:
        return "running" if run.has_begun and not run.is_idle else "waits"
    if run.is_complete:
        return "done"
    return "stopped" if run.has_begun else "not run"


def _rate(rows_per_s: float | None) -> str:
    if not rows_per_s:
        return ""
    return f"{rows_per_s:,.0f}" if rows_per_s >= 10 else f"{rows_per_s:.2g}"


def _left(run: StageRun) -> str:
    left = None if run.is_over else run.pace.left_s
    return duration(left) if left is not None else ""
