"""Bring stages up to date: refuse on missing input, list what is due, run it, and say what came of it.

Receipts decide; nothing here remembers anything between two runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.ledger.ledger import Ledger, PartitionState
from flows.run.events import Poisoned, Watcher
from flows.run.executor import Executor
from flows.run.worker import Committed, Failed, Task
from stages.contract import ContractError, InputError, Stage


@dataclass
class StageFailure(Exception):
    """Some partitions of a stage have no receipt; the others have."""

    stage: Stage
    failures: Sequence[Failed | Poisoned]
    n_done: int
    n_partitions: int

    def __str__(self) -> str:
        lines = [f"{self.stage.name}: {len(self.failures)} of {self.n_partitions} partitions failed:"]
        lines += [f"  {f.partition}: {f.message.rstrip()}" for f in self.failures[:10]]
        if len(self.failures) > 10:
            lines.append(f"  … and {len(self.failures) - 10} more: `make status` names them")
        others = "the other" if self.n_done + len(self.failures) == self.n_partitions else "of the others"
        lines.append(f"{others} {self.n_done} are done and stay done; mend the cause and run the same command again")
        return "\n".join(lines)


@dataclass
class Runner:
    """Runs stages of one build.

    Attributes:
        ledger: what is done and due.
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
        """Bring the stages of a module up to date, in order.

        Raises:
            InputError: when an input is missing or stale, or the disk is too small.
            StageFailure: when partitions failed.
            ContractError: when a stage broke its contract.
        """
        stages = [stage for stage in self.ledger.stages if stage.module == module]
        for position, stage in enumerate(stages):
            if stage.keeps == "all":
                self._run_passes(stage, stages[position + 1])
            elif stage.keeps == "latest":
                self._observe(stage)
            else:
                self.run_stage(stage)

    def run_stage(self, stage: Stage) -> None:
        """Run the partitions of a stage that have no current receipt."""
        problem = self.ledger.inputs_ready(stage)
        if problem:
            raise InputError(f"{stage.name} cannot start: {problem}")
        state = self.ledger.state(stage)
        tasks = [self._task(stage, partition) for partition in state.due]
        self._check_disk(stage, tasks)
        self._run(stage, tasks, len(state.partitions))

    def _run_passes(self, opener: Stage, worker: Stage) -> None:
        # A pass that was opened is finished before the next is opened: a killed one is never left half done.
        while True:
            passes = self.ledger.state(opener).partitions
            if passes:
                if not self.ledger.state(worker).is_complete:
                    self.before_pass(len(passes) - 1)
                self.run_stage(worker)
            if not self._observe(opener):
                return

    def _observe(self, stage: Stage) -> bool:
        """Make a numbered observation; return False when there was nothing new to record."""
        problem = self.ledger.inputs_ready(stage)
        if problem:
            raise InputError(f"{stage.name} cannot start: {problem}")
        found = self.ledger.store.observations(stage.writes.name, stage.name)
        name = f"{len(found):03d}"
        task = self._task(stage, PartitionState(name, self.ledger.fingerprint(stage, name), None))
        self._run(stage, [task], 1)
        return len(self.ledger.store.observations(stage.writes.name, stage.name)) > len(found)

    def _run(self, stage: Stage, tasks: list[Task], n_partitions: int) -> None:
        started = time.monotonic()
        by_name = {task.partition: task for task in tasks}
        failures: list[Failed | Poisoned] = []
        n_done = n_partitions - len(tasks)
        has_new = False
        self.watcher.begin(stage, n_partitions, len(tasks), sum(task.n_given for task in tasks))
        try:
            for event in self.executor.run(tasks):
                self.watcher.see(stage, by_name[event.partition], event)
                if isinstance(event, Committed):
                    n_done += 1
                    has_new |= event.is_new
                if isinstance(event, Failed | Poisoned):
                    failures.append(event)
                    self._note(stage, by_name[event.partition], event)
                if isinstance(event, Failed) and event.kind in ("contract", "disk"):
                    break  # it would be the same in every other partition
        finally:
            self.watcher.end(stage, time.monotonic() - started)
            if has_new:  # to conclude all states anew costs seconds where there are thousands of receipts
                self.ledger.refresh()
        self._raise_failures(stage, failures, n_done, n_partitions)

    def _raise_failures(self, stage: Stage, failures: list[Failed | Poisoned], n_done: int, n_partitions: int) -> None:
        if not failures:
            return
        for failure in failures:
            if isinstance(failure, Failed) and failure.kind == "contract":
                raise ContractError(failure.message)
        raise StageFailure(stage, failures, n_done, n_partitions)

    def _task(self, stage: Stage, partition: PartitionState) -> Task:
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
            has_model=stage.has_model,
            build=ledger.store.root,
            sources=self.sources,
            memory_gb=ledger.settings.run.memory_gb,
        )

    def _note(self, stage: Stage, task: Task, event: Failed | Poisoned) -> None:
        folder = self.ledger.store.folder(stage.writes.name, task.partition, task.fingerprint)
        self.ledger.store.note_failure(folder, event.message)

    def _check_disk(self, stage: Stage, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        needed = sum(task.n_given for task in tasks) * stage.bytes_per_row
        reserve = self.ledger.settings.run.reserve_gb * 1e9
        free = self.ledger.store.free_bytes()
        if free < needed + reserve:
            raise InputError(
                f"{stage.name} needs about {needed / 1e9:.2f} GB under {self.ledger.store.root}"
                f" ({sum(t.n_given for t in tasks):,} rows of about {stage.bytes_per_row:,} bytes) and"
                f" {reserve / 1e9:.2f} GB that stay free (run.reserve_gb); {free / 1e9:.2f} GB are free."
                " Free some space (`make gc` removes what no receipt needs) or build on a larger disk"
            )
