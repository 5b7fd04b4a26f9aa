"""Bring stages up to date: run partitions as they become due, all stages side by side, and report failures.

Receipts decide; no state is kept between two runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.ledger.ledger import Ledger
from flows.ledger.state import PartitionState
from flows.run.events import Poisoned, Watcher
from flows.run.executor import Executor
from flows.run.interrupts import Interrupts
from flows.run.loop import Loop
from flows.run.schedule import Schedule
from flows.run.worker import Failed, Task
from stages.contract import ContractError, InputError, Stage
from stages.plurals import briefly

_SHOWN = 10  # failures, and stages that wait, in a message


@dataclass
class StageFailure(Exception):
    """Some partitions of a stage have no receipt; the others have.

    Attributes:
        stage: the stage, the first if there are several.
        failures: its partitions that failed.
        n_done: its partitions that have their receipts.
        n_partitions: its partitions.
        waiting: names of the stages that were not finished because they read tables of failed stages.
        others: the failures of further stages.
    """

    stage: Stage
    failures: Sequence[Failed | Poisoned]
    n_done: int
    n_partitions: int
    waiting: Sequence[str] = ()
    others: Sequence[StageFailure] = ()

    def __str__(self) -> str:
        lines = [line for failure in (self, *self.others) for line in failure._lines()]
        if self.waiting:
            lines.append(f"not finished, because they wait for these: {briefly(self.waiting, _SHOWN)}")
        return "\n".join([*lines, "fix the cause and run the same command again"])

    def _lines(self) -> Iterator[str]:
        yield f"{self.stage.name}: {len(self.failures)} of {self.n_partitions} partitions failed:"
        for failure in self.failures[:_SHOWN]:
            yield f"  {failure.partition}: {failure.message.rstrip()}"
        if len(self.failures) > _SHOWN:
            yield f"  … and {len(self.failures) - _SHOWN} more: `make status` names them"
        if not self.n_done:
            return
        others = "the other" if self.n_done + len(self.failures) == self.n_partitions else "of the others"
        yield f"{others} {self.n_done} are done and stay done"


@dataclass
class Runner:
    """Runs stages of one build.

    Attributes:
        ledger: the state of the build.
        executor: runs partitions.
        watcher: receives the events.
        catalogue: `module:NAME` of the stages, for spawned workers.
        sources: the SOURCES folder.
        before_pass: called with the number of a download pass before its partitions run.
    """

    ledger: Ledger
    executor: Executor
    watcher: Watcher
    catalogue: str
    sources: Path
    before_pass: Callable[[int], None] = field(default=lambda number: None)

    def run_module(self, module: str) -> None:
        """Bring the stages of one module up to date; see `run`."""
        self.run([module])

    def run(self, modules: Sequence[str]) -> None:
        """Bring the stages of some modules up to date, side by side where none reads another's rows.

        Raises:
            InputError: when an input is missing or stale, or the disk is too small.
            StageFailure: when partitions failed; those that do not depend on them were run.
            ContractError: when a stage broke its contract.
            Interrupted: after Ctrl-C, when all partitions under way have ended or were abandoned.
        """
        stages = [stage for stage in self.ledger.stages if stage.module in modules]
        schedule = Schedule(self.ledger, stages)
        loop = Loop(self.ledger, schedule, self.executor, self.watcher, self.task, self.before_pass)
        try:
            with Interrupts() as interrupts:
                try:
                    loop.run(interrupts)
                finally:
                    loop.wind_down(interrupts)
        finally:
            loop.end()
            schedule.close()
        _raise_failures(self.ledger, schedule, loop)

    def task(self, stage: Stage, partition: PartitionState) -> Task:
        """Return all that a worker needs to run a partition."""
        ledger = self.ledger
        return Task(
            stage=stage.name,
            catalogue=self.catalogue,
            partition=partition.name,
            fingerprint=partition.fingerprint,
            params=ledger.plain_params(stage),
            resources=ledger.settings.resources(stage).model_dump(mode="json"),
            inputs={reads.name: ledger.pieces(reads, partition.name) for reads in stage.reads},
            input_digests=ledger.input_digests(stage, partition.name),
            tool_identities=ledger.tool_identities(stage),
            n_given=ledger.rows_given(stage, partition.name),
            build=ledger.store.root,
            sources=self.sources,
            memory_gb=ledger.settings.run.memory_gb,
        )


def _raise_failures(ledger: Ledger, schedule: Schedule, loop: Loop) -> None:
    failed = [begun for begun in loop.begun.values() if begun.failures]
    for failure in (failure for begun in failed for failure in begun.failures):
        if isinstance(failure, Failed) and failure.kind == "contract":
            raise ContractError(failure.message)
    unfinished = [stage for stage in schedule.unfinished() if stage not in [begun.stage for begun in failed]]
    found = []
    for begun in failed:
        state = ledger.state(begun.stage)
        # An observation that fails is no partition of its table: it has no receipt, now or before.
        n = len(state.partitions) + (begun.stage.keeps != "current")
        n_done = len(state.partitions) - state.n_due
        found.append(StageFailure(begun.stage, begun.failures, n_done, n))
    if found:
        found[0].others, found[0].waiting = found[1:], [stage.name for stage in unfinished]
        raise found[0]
    if unfinished:
        raise InputError(f"{unfinished[0].name} cannot start: {ledger.inputs_ready(unfinished[0])}")
