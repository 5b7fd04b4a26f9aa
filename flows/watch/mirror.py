"""Show a run in Prefect while it goes on, from separate threads: no run waits for Prefect or fails with it.

The content is decided in `flows.watch.sync`; nothing here imports Prefect before a server is used.
"""

from __future__ import annotations

import importlib
import os
import queue
import signal
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
from flows.run.interrupts import Interrupted
from flows.run.runner import StageFailure
from flows.watch.course import Course
from flows.watch.memory import MEMORY, Memory
from flows.watch.pace import first_line
from flows.watch.sync import LONGEST_MESSAGE, Door, Sync
from flows.watch.ui import API_URL, FLOW_RUN, NO_TELEMETRY, UI_HOME, find_api_url
from flows.watch.waves import StageRun
from stages.contract import ContractError, InputError

if TYPE_CHECKING:
    from flows.watch.orchestrate import Outcome, Scribe

_NO_CORPUS = (None, "all", "Total")  # all: of rows without a sample, such as counts
_TICK_S = 1.0
_LONGEST_TICK_S = 15.0  # while the server is away
_LAST_WORDS_S = 15.0  # for the last calls after the run; a single try if the server is away
_SAID_AFTER = 3  # calls in a row that were lost
_LONGEST_ERROR = 120  # characters
_AFTER_STOP_S = 3.0  # after Ctrl-C a person waits


@contextmanager
def mirrored(course: Course, ledger: Ledger, said: Mapping[str, str], say: Callable[[str], None]) -> Iterator[None]:
    """Show a run on a Prefect server, if there is one, until the block ends.

    Args:
        course: the figures of the run, which the runner's events update.
        ledger: state of the build.
        said: the run's name, its flow, the deployment that starts the same or "", and the parameters of the flow run.
        say: prints a line.
    """
    api_url = find_api_url(say)
    if not api_url:
        yield
        return
    _prepare(api_url)
    with Mirror(lambda: _connect(api_url), course, ledger, said, say, door=_door()):
        yield


@dataclass
class Mirror:
    """Two threads beside a run: one makes the calls, one computes the tables of finished stages."""

    connect: Callable[[], Scribe]
    course: Course
    ledger: Ledger
    said: Mapping[str, str]
    say: Callable[[str], None]
    door: Door | None = None
    cancel: Callable[[], None] = field(default=lambda: os.kill(os.getpid(), signal.SIGTERM))
    _reports: queue.SimpleQueue[StageRun | None] = field(default_factory=queue.SimpleQueue)
    _wake: threading.Event = field(default_factory=threading.Event)  # the run has ended
    _off: threading.Event = field(default_factory=threading.Event)  # no further call
    _threads: list[threading.Thread] = field(default_factory=list)
    _last: tuple[Outcome, str] = ("COMPLETED", "")
    _n_lost: int = 0

    def __enter__(self) -> Mirror:
        self.course.on_end = self._reports.put
        for work, what, is_all in ((self._work, "further updates", True), (self._report, "tables by corpus", False)):
            # Not daemons: one that is still importing or asking when the interpreter ends aborts the process.
            self._threads.append(threading.Thread(target=self._guard, args=(work, what, is_all)))
            self._threads[-1].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._last = _outcome_of(error)
        if error is None:
            self.course.conclude()
        else:
            self.course.stop()
        end = time.monotonic() + (_LAST_WORDS_S if error is None else _AFTER_STOP_S)
        try:
            self._reports.put(None)
            self._wait(self._threads[1], end)
            self._wake.set()
            self._wait(self._threads[0], end)
            has_flow = self.door is not None and self.door.is_open  # it says how the run ended
            if not self._off.is_set() and self._threads[0].is_alive() and not has_flow:
                self.say("Prefect did not get the last updates in time: the next run on this build sends them")
        finally:  # the threads end after their current call: the interpreter waits for them
            self._off.set()
            self._wake.set()
            self._reports.put(None)

    def _guard(self, work: Callable[[], None], what: str, is_all: bool) -> None:
        try:
            work()
        except Exception as error:  # whatever goes wrong in showing a run must not reach the run
            if not self._off.is_set():
                if is_all:
                    self._off.set()
                why = printable(first_line(str(error)) or type(error).__name__)
                self.say(f"Prefect gets no {what}: {why}. The run goes on")

    def _work(self) -> None:
        if self._off.is_set():
            return  # before seconds of import
        scribe = self.connect()
        memory = Memory(self.ledger.store.root / MEMORY)
        sync = Sync(scribe, self.course, memory, self.said, self.door, self.say, self.cancel)
        tick, is_last = _TICK_S, False
        while not (self._off.is_set() or is_last):
            is_last = self._wake.is_set()
            try:
                sync.finish(*self._last) if is_last else sync.step()
            except scribe.gone:
                sync.forget()
                is_last = False
                continue
            except scribe.lost as error:
                self._note_loss(scribe.words_on(error) or type(error).__name__, is_last)
                tick = min(_LONGEST_TICK_S, tick * 2)
            else:
                self._note_return()
                tick = _TICK_S
            self._wake.wait(tick)
        if sync.run and self._wake.is_set():
            self._leave_word(memory, sync)

    def _leave_word(self, memory: Memory, sync: Sync) -> None:
        if any(entry.run == sync.run for entry in memory.read()):  # not closed
            memory.note(sync.run, *self._last, sync.figures(), sync.last_lines())

    def _note_loss(self, words: str, is_last: bool) -> None:
        self._n_lost += 1  # in a row: a loaded server refuses a call now and then
        if self._n_lost == _SAID_AFTER or (is_last and self._n_lost < _SAID_AFTER):
            what = printable(words)[:_LONGEST_ERROR]
            self.say(f"Prefect does not answer: {what}. The run goes on, and is shown again when Prefect is back")

    def _note_return(self) -> None:
        if self._n_lost >= _SAID_AFTER:
            self.say("Prefect answers again")
        self._n_lost = 0

    def _report(self) -> None:
        # With a ledger of its own: the runner's is not for two threads.
        ledger = Ledger(Store(self.ledger.store.root), self.ledger.stages, self.ledger.settings)
        self._note_done(ledger)
        while (run := self._reports.get()) is not None and not self._off.is_set():
            ledger.refresh()
            rows = [dict(row) for row in stage_report(ledger, run.stage).rows] if run.is_complete else []
            kept = {str(row["corpus"]): int(str(row["kept"])) for row in rows if row.get("corpus") not in _NO_CORPUS}
            with self.course.lock:
                run.table = rows
                if kept:
                    self.course.corpora[run.stage.name] = kept

    def _note_done(self, ledger: Ledger) -> None:
        for stage in self.course.stages:
            state = ledger.state(stage)
            if self._off.is_set():
                return
            with self.course.lock:
                if is_off := bool(ledger.why_off(stage)):
                    self.course.is_off.add(stage.name)
                has_ended = state.is_complete and (state.partitions or is_off)
                if has_ended and self.course.run_of(stage) is None:
                    self.course.is_done.add(stage.name)

    def _wait(self, thread: threading.Thread, end: float) -> None:
        while thread.is_alive() and not self._off.is_set() and time.monotonic() < end:
            thread.join(0.05)


def _outcome_of(error: BaseException | None) -> tuple[Outcome, str]:
    if error is None:
        return "COMPLETED", ""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return "CANCELLED", "stopped by the user; finished partitions are kept"
    is_known = isinstance(error, StageFailure | ContractError | InputError)
    return "FAILED" if is_known else "CRASHED", printable(str(error))[:LONGEST_MESSAGE]


def _door() -> Door | None:
    run, _, pid = os.environ.get(FLOW_RUN, "").partition(":")
    return Door(run, int(pid)) if run and pid else None


def _connect(api_url: str) -> Scribe:
    scribe: Scribe = importlib.import_module("flows.watch.orchestrate").connect(api_url)
    return scribe


def _prepare(api_url: str) -> None:
    """Set up Prefect's client before it is imported: no telemetry, no retries of its own."""
    os.environ.update(NO_TELEMETRY)
    os.environ["PREFECT_CLIENT_MAX_RETRIES"] = "0"
    if API_URL not in os.environ:  # found by ourselves: the client reads that server's settings, not the user's
        os.environ["PREFECT_HOME"] = str(Path(os.environ[UI_HOME]).resolve())
        os.environ[API_URL] = api_url
