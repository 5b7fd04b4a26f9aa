"""The loop of a run: due partitions go to the executor while it has room, events go to ledger and watcher.

It runs in the main thread and waits for nothing but a worker's next message.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flows.ledger.ledger import Ledger
from flows.ledger.state import PartitionState
from flows.run.events import Event, Poisoned, Watcher
from flows.run.executor import Executor
from flows.run.interrupts import Interrupted, Interrupts
from flows.run.memory import needed_gb
from flows.run.schedule import Schedule
from flows.run.worker import Committed, Failed, Task
from stages.contract import InputError, Stage


@dataclass
class Begun:
    """A stage with partitions that were due in this run."""

    stage: Stage
    failures: list[Failed | Poisoned] = field(default_factory=list)
    is_over: bool = False


@dataclass
class Loop:
    """One run over all wanted stages.

    Attributes:
        ledger: the state of the build.
        schedule: the due partitions.
        executor: runs them.
        watcher: receives the events.
        make_task: returns all that a worker needs to run a partition.
        before_pass: called with the number of a download pass before its partitions run.
        begun: the stages with partitions that were due, by name.
    """

    ledger: Ledger
    schedule: Schedule
    executor: Executor
    watcher: Watcher
    make_task: Callable[[Stage, PartitionState], Task]
    before_pass: Callable[[int], None]
    begun: dict[str, Begun] = field(default_factory=dict)
    _running: dict[tuple[str, str], tuple[Stage, PartitionState]] = field(default_factory=dict)
    _needed_gb: dict[str, float] = field(default_factory=dict)
    _is_ending: bool = False
    _n_bytes: int = 0  # that partitions which are due or run may take, about

    def run(self, interrupts: Interrupts) -> None:
        """Run until nothing is due and nothing runs.

        Raises:
            InputError: when the disk is too small.
            Interrupted: when the user asked to stop; partitions may still run.
        """
        self._announce()
        while not self._must_stop():
            if interrupts.n:
                raise Interrupted
            self._hand_out()
            if not self.executor.is_busy():
                return
            for task, event in self.executor.listen():
                self._take(task, event)

    def wind_down(self, interrupts: Interrupts) -> None:
        """Let partitions that run end for a while; a second Ctrl-C abandons them at once."""
        self._is_ending = True
        end = time.monotonic() + self.ledger.settings.run.grace_s
        while self._running and self.executor.is_busy() and time.monotonic() < end and interrupts.n < 2:
            for task, event in self.executor.wind_down(end):
                self._take(task, event)

    def end(self) -> None:
        """Abandon the running partitions, and tell the watcher that all stages are over."""
        self.executor.abandon()
        for begun in self.begun.values():
            self._end(begun, is_whole=False)

    def _must_stop(self) -> bool:
        # It would be the same in every other partition.
        failures = (failure for begun in self.begun.values() for failure in begun.failures)
        return any(isinstance(failure, Failed) and failure.kind in ("contract", "disk") for failure in failures)

    def _hand_out(self) -> None:
        while True:
            found = self.schedule.next(lambda stage: self.executor.has_room(stage.uses, self._memory_gb(stage)))
            if found is None:
                return
            stage, partition = found
            self._running[stage.name, partition.name] = found
            self.executor.start(self.make_task(stage, partition), stage.uses, self._memory_gb(stage))

    def _memory_gb(self, stage: Stage) -> float:
        if stage.name not in self._needed_gb:
            self._needed_gb[stage.name] = needed_gb(stage, self.ledger.settings)
        return self._needed_gb[stage.name]

    def _row_bytes(self, stage: Stage) -> int:
        return stage.row_bytes(self.ledger.settings.params(stage))

    def _announce(self) -> None:
        for stage, partitions in self.schedule.take_added():
            n_rows = sum(self.ledger.rows_given(stage, partition.name) for partition in partitions)
            self._n_bytes += n_rows * self._row_bytes(stage)
            self._check_disk(stage, n_rows)
            if stage.name in self.begun:
                self.watcher.grow(stage, len(partitions), n_rows)
            else:
                self.begun[stage.name] = Begun(stage)
                n_known = 1 if stage.keeps != "current" else len(self.ledger.state(stage).partitions)
                self.watcher.begin(stage, n_known, len(partitions), n_rows)
            openers = [self.ledger.writer[table] for table in stage.partitions_from]
            for opener in (opener for opener in openers if opener.keeps == "all"):
                self.before_pass(len(self.ledger.state(opener).partitions) - 1)

    def _take(self, task: Task, event: Event) -> None:
        stage, partition = self._running[task.stage, task.partition]
        self.watcher.see(stage, task, event)
        if not isinstance(event, Committed | Failed | Poisoned):
            return
        del self._running[task.stage, task.partition]
        self._n_bytes -= task.n_given * self._row_bytes(stage)
        if isinstance(event, Committed):
            self.schedule.commit(stage, partition, event.is_new)
        else:
            self.schedule.fail(stage)
            self.begun[stage.name].failures.append(event)
            folder = self.ledger.store.folder(stage.writes.name, task.partition, task.fingerprint)
            self.ledger.store.note_failure(folder, event.message)
        if not self._is_ending:
            self._announce()
        for begun in self.begun.values():
            if not begun.is_over and self.schedule.is_over(begun.stage):
                self._end(begun, is_whole=True)

    def _end(self, begun: Begun, is_whole: bool) -> None:
        if not begun.is_over:
            begun.is_over = True
            self.watcher.end(begun.stage, is_whole)

    def _check_disk(self, stage: Stage, n_rows: int) -> None:
        reserve = self.ledger.settings.run.reserve_gb * 1e9
        free = self.ledger.store.free_bytes()
        if free < self._n_bytes + reserve:
            needed = n_rows * self._row_bytes(stage)
            others = self._n_bytes - needed
            beside = f", other partitions about {_size(others)}," if others > 0 else ""
            raise InputError(
                f"{stage.name} needs about {_size(needed)} under {self.ledger.store.root}"
                f" ({n_rows:,} rows of about {self._row_bytes(stage):,} bytes){beside} and"
                f" {_size(reserve)} that stay free (run.reserve_gb); free: {_size(free)}."
                " Free some space (`make gc` removes what no receipt needs) or build on a larger disk"
            )


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.2f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.1f} MB"
