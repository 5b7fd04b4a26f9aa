"""Which partitions are due now, over all wanted stages: decided from the ledger, as each is committed.

Not for running them: that is the executor. Nothing here remembers anything between two runs.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence

from flows.ledger.ledger import Ledger
from flows.ledger.readiness import lacking
from flows.ledger.state import PartitionState
from stages.contract import InputError, Stage


class Schedule:
    """The partitions that are due and not begun, by stage.

    Attributes:
        n_open: partitions of each stage, by its name, that are due or run.
    """

    def __init__(self, ledger: Ledger, stages: Sequence[Stage]) -> None:
        """Queue the due partitions of the wanted stages.

        Raises:
            InputError: when one reads a table that is not complete and that none of them makes.
        """
        self._ledger = ledger
        self._stages = stages
        self._queues: dict[str, deque[PartitionState]] = {stage.name: deque() for stage in stages}
        self._added: list[tuple[Stage, PartitionState]] = []
        self.n_open: Counter[str] = Counter()
        self._observing = [stage for stage in stages if stage.keeps != "current"]
        self._failed = list[Stage]()  # of these; none is tried again in this run
        self._refuse_missing()
        ledger.hold(self._observing)
        self._add([(stage, p) for stage in stages for p in ledger.state(stage).due])
        self._observe()

    def next(self, has_room: Callable[[Stage], bool]) -> tuple[Stage, PartitionState] | None:
        """Return the first partition, in the order of STAGES, for which there is room, and take it off."""
        for stage in self._stages:
            if self._queues[stage.name] and has_room(stage):
                return stage, self._queues[stage.name].popleft()
        return None

    def take_added(self) -> Iterator[tuple[Stage, list[PartitionState]]]:
        """Yield the partitions that became due, by stage."""
        added, self._added = self._added, []
        for stage in self._stages:
            partitions = [partition for owner, partition in added if owner is stage]
            if partitions:
                yield stage, partitions

    def commit(self, stage: Stage, partition: PartitionState, is_new: bool) -> None:
        """Record that a partition has its receipt, or that an observation found nothing new."""
        self.n_open[stage.name] -= 1
        if stage.keeps == "latest" or (stage.keeps == "all" and not is_new):
            self._observing.remove(stage)
            self._add(self._ledger.release(stage))
        else:
            self._add(self._ledger.take(stage, partition))
        self._observe()

    def fail(self, stage: Stage) -> None:
        """Record that a partition has ended without a receipt."""
        self.n_open[stage.name] -= 1
        if stage in self._observing:
            self._failed.append(stage)

    def is_over(self, stage: Stage) -> bool:
        """Return whether nothing more of a stage will run."""
        if stage in self._failed:
            return not self.n_open[stage.name]
        if stage in self._observing:
            return False
        return not self.n_open[stage.name] and self._ledger.state(stage).lacks is None

    def unfinished(self) -> list[Stage]:
        """Return the stages that are not complete."""
        return [s for s in self._stages if s in self._observing or not self._ledger.state(s).is_complete]

    def close(self) -> None:
        """Let the ledger follow the receipts again, however the run ended."""
        self._ledger.hold(())

    def _refuse_missing(self) -> None:
        wanted = {stage.writes.name for stage in self._stages}
        for stage in self._stages:
            problem = self._ledger.inputs_ready(stage, but=wanted)
            if problem:
                raise InputError(f"{stage.name} cannot start: {problem}")

    def _observe(self) -> None:
        # A pass that was opened is finished before the next is opened: a killed one is never left half done.
        for stage in (stage for stage in self._observing if stage not in self._failed):
            if not self.n_open[stage.name] and lacking(self._ledger, stage) is None:
                found = self._ledger.store.observations(stage.writes.name, stage.name)
                name = f"{len(found):03d}"
                self._add([(stage, PartitionState(name, self._ledger.fingerprint(stage, name), None))])

    def _add(self, due: Sequence[tuple[Stage, PartitionState]]) -> None:
        for stage, partition in due:
            if stage.name in self._queues:
                self._queues[stage.name].append(partition)
                self._added.append((stage, partition))
                self.n_open[stage.name] += 1
