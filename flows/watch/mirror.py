"""Show a run in Prefect as it goes, from threads of its own: a watcher that no run waits for or fails with.

What is written there is in `flows.watch.orchestrate`; nothing here imports Prefect before a server is used.
"""

from __future__ import annotations

import importlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flows.ask.report import printable, stage_report
from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.run.events import Event, Watcher
from flows.run.executor import Interrupted
from flows.run.runner import StageFailure
from flows.run.worker import Task
from flows.watch.pace import Pace, first_line
from flows.watch.progress import Both
from flows.watch.ui import API_URL, NO_TELEMETRY, UI_HOME, find_api_url
from flows.watch.waves import StageRun, Wave
from stages.contract import ContractError, InputError, Stage

if TYPE_CHECKING:
    from flows.watch.orchestrate import Outcome, Scribe

MEMORY = ".prefect-runs.json"  # in the build folder: flow runs that nobody ended yet
_TICK_S = 1.0
_TRIES = 3  # of a call that was refused
_AGAIN_S = 0.3
_LAST_WORDS_S = 15.0  # for the last events after the run; 0 if the server stopped answering
_AFTER_STOP_S = 3.0  # after Ctrl-C a person waits
_LONGEST_MESSAGE = 1000  # characters

Job = Callable[["Scribe"], None]


@contextmanager
def mirrored(
    watcher: Watcher, ledger: Ledger, said: Mapping[str, str], say: Callable[[str], None]
) -> Iterator[Watcher]:
    """Yield a watcher that passes events to the given one, and to a Prefect server if there is one.

    Args:
        watcher: receives every event, with or without a server.
        ledger: of the build that is run.
        said: what the run was asked for, by name: the parameters of the flow run.
        say: prints a line.
    """
    api_url = find_api_url(say)
    if not api_url:
        yield watcher
        return
    _prepare(api_url)
    memory = ledger.store.root / MEMORY
    mirror = Mirror(lambda: _connect(api_url, memory), ledger, said, say)
    with mirror:
        yield Both(watcher, mirror)


@dataclass
class Mirror:
    """The watcher; a context manager around a run."""

    connect: Callable[[], Scribe]
    ledger: Ledger
    said: Mapping[str, str]
    say: Callable[[str], None]
    _calls: queue.SimpleQueue[Job | None] = field(default_factory=queue.SimpleQueue)
    _reports: queue.SimpleQueue[StageRun | None] = field(default_factory=queue.SimpleQueue)
    _runs: list[StageRun] = field(default_factory=list)
    _current: dict[str, StageRun] = field(default_factory=dict)
    _off: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Mirror:
        self._tell(lambda scribe: self._open_build(scribe))
        for work in (self._work, self._report):
            # Not daemons: one that is still importing or asking when the interpreter ends aborts the process.
            self._threads.append(threading.Thread(target=self._guard, args=(work,)))
            self._threads[-1].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        outcome, message = _outcome_of(error)
        try:
            self._say_last_words(outcome, message, _LAST_WORDS_S if error is None else _AFTER_STOP_S)
        finally:  # the threads end with what they do just now: the interpreter waits for them
            self._off.set()
            self._reports.put(None)
            self._calls.put(None)

    def _say_last_words(self, outcome: Outcome, message: str, patience_s: float) -> None:
        self._reports.put(None)
        end = time.monotonic() + patience_s
        self._wait(self._threads[1], end)
        self._tell(lambda scribe: scribe.close_build(outcome, message))
        self._calls.put(None)
        self._wait(self._threads[0], end)
        if not self._off.is_set() and self._threads[0].is_alive():
            self.say(f"Prefect did not get the last updates: its server took longer than {patience_s:g} s")

    def begin(self, stage: Stage, n_partitions: int, n_due: int, n_rows_due: int) -> None:
        """Show a stage where something is due."""
        if not n_due:
            return
        run = StageRun(len(self._runs), stage, n_partitions, Pace(n_due, n_rows_due))
        self._runs.append(run)
        parameters = {"partitions": n_partitions, "due": n_due, "rows_due": n_rows_due}
        self._tell(lambda scribe: scribe.open_stage(run.number, stage.name, parameters))
        self._tell(lambda scribe: _show_figures(scribe, run))
        self._current[stage.name] = run

    def grow(self, stage: Stage, n_due: int, n_rows_due: int) -> None:
        """Take in that more is due; the next tick shows it."""
        run = self._current[stage.name]
        run.n_partitions += n_due
        run.pace.n_due += n_due
        run.pace.n_rows_due += n_rows_due

    def see(self, stage: Stage, task: Task, event: Event) -> None:
        """Show waves beginning and ending."""
        run = self._current.get(stage.name)
        if run is None:
            return
        wave, is_new = run.take(event)
        if is_new:
            self._tell(lambda scribe: scribe.open_wave(run.number, stage.name, wave.number, wave.name))
        if wave.is_over:
            outcome, message = _outcome_of_wave(wave)
            self._tell(lambda scribe: scribe.close_wave(run.number, wave.number, outcome, message))

    def end(self, stage: Stage, seconds: float) -> None:
        """Show a stage's end; one that was broken off ends with the build."""
        run = self._current.pop(stage.name, None)
        if run is None:
            return
        run.seconds = seconds
        self._tell(lambda scribe: _show_figures(scribe, run))
        if run.pace.n_ended == run.pace.n_due:
            outcome: Outcome = "FAILED" if run.n_failed else "COMPLETED"
            self._tell(lambda scribe: scribe.close_stage(run.number, outcome, run.summary()))
        self._reports.put(run)

    def _tell(self, job: Job) -> None:
        if not self._off.is_set():
            self._calls.put(job)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # whatever goes wrong in showing a run must not reach the run
            if not self._off.is_set():
                self._off.set()
                what = printable(first_line(str(error)) or type(error).__name__)
                self.say(f"Prefect gets no further updates: {what}. The run goes on")

    def _work(self) -> None:
        if self._off.is_set():
            return  # before seconds of import
        scribe = self.connect()
        shown_at = 0.0
        while not self._off.is_set():
            try:
                job = self._calls.get(timeout=_TICK_S)
            except queue.Empty:
                job = _nothing
            if job is None:
                return
            _try_hard(job, scribe)
            if time.monotonic() - shown_at > _TICK_S:
                shown_at = time.monotonic()
                for run in [run for run in list(self._current.values()) if run.number in scribe.stages_open]:
                    _try_hard(lambda scribe, run=run: _show_figures(scribe, run), scribe)  # type: ignore[misc]

    def _report(self) -> None:
        # With a ledger of its own: the runner's is not for two threads.
        ledger = Ledger(Store(self.ledger.store.root), self.ledger.stages, self.ledger.settings)
        while (run := self._reports.get()) is not None and not self._off.is_set():
            ledger.refresh()
            rows = stage_report(ledger, run.stage).rows
            self._tell(lambda scribe, run=run, rows=rows: scribe.show_table(  # type: ignore[misc]
                run.number, _key("table", run), rows, "rows given, kept and rejected, by corpus"
            ))  # fmt: skip

    def _open_build(self, scribe: Scribe) -> None:
        scribe.open_build(f"{self.said['profile']} {self.ledger.store.root.name}", self.said)
        self.say(f"Prefect: {scribe.page}")

    def _wait(self, thread: threading.Thread, end: float) -> None:
        while thread.is_alive() and not self._off.is_set() and time.monotonic() < end:
            thread.join(0.05)


def _show_figures(scribe: Scribe, run: StageRun) -> None:
    scribe.show_progress(run.number, _key("progress", run), 100 * run.pace.share, run.summary())
    scribe.show_markdown(run.number, _key("figures", run), run.markdown(), "rate, time left and faults")


def _key(kind: str, run: StageRun) -> str:
    return f"{kind}-{run.stage.name}".replace("_", "-")  # Prefect takes lower case and dashes


def _try_hard(job: Job, scribe: Scribe) -> None:
    """Do a job; one that the server did not even take is tried again: nothing was written twice then."""
    for n_left in reversed(range(_TRIES)):
        try:
            job(scribe)
            return
        except scribe.refusals:
            if not n_left:
                raise
            time.sleep(_AGAIN_S)


def _nothing(scribe: Scribe) -> None:
    """Do nothing: a tick."""


def _outcome_of(error: BaseException | None) -> tuple[Outcome, str]:
    if error is None:
        return "COMPLETED", ""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return "CANCELLED", "stopped by the user; what was finished stays finished"
    is_known = isinstance(error, StageFailure | ContractError | InputError)
    return "FAILED" if is_known else "CRASHED", printable(str(error))[:_LONGEST_MESSAGE]


def _outcome_of_wave(wave: Wave) -> tuple[Outcome, str]:
    if wave.faults:
        return "FAILED", printable("\n".join(wave.faults))[:_LONGEST_MESSAGE]
    return "COMPLETED", f"{wave.n_partitions} partitions" if wave.n_partitions > 1 else ""


def _connect(api_url: str, memory: Path) -> Scribe:
    scribe: Scribe = importlib.import_module("flows.watch.orchestrate").connect(api_url, memory)
    return scribe


def _prepare(api_url: str) -> None:
    """Set up Prefect's client, before it is imported, to send nothing elsewhere and to leave trying again to us."""
    os.environ.update(NO_TELEMETRY)
    os.environ["PREFECT_CLIENT_MAX_RETRIES"] = "0"
    if API_URL not in os.environ:  # found by ourselves: the client reads that server's settings, not the user's
        os.environ["PREFECT_HOME"] = str(Path(os.environ[UI_HOME]).resolve())
        os.environ[API_URL] = api_url
