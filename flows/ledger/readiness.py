"""The partitions that can be run now, and those that become ready by the commit of another.

A partition is ready when its inputs, by partition or whole, are complete and current.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from flows.ledger.state import PartitionState, StageState
from schemas.corpora import labelled_codes
from stages.contract import WHOLE, Half, Reads, Stage

Due = list[tuple[Stage, PartitionState]]


class States(Protocol):
    """The members of the ledger that this module needs; the ledger imports this module."""

    @property
    def writer(self) -> Mapping[str, Stage]:
        """The stage that writes each table."""

    @property
    def readers(self) -> Mapping[str, Sequence[Stage]]:
        """The stages that read each table."""

    @property
    def halves(self) -> Mapping[str, Half]:
        """The half that the spans of each table belong to, "" for either."""

    def why_off(self, stage: Stage) -> str:
        """Return the setting or stage that switches a stage off, "" if it is on."""

    def state(self, stage: Stage) -> StageState:
        """Return a stage's partitions and receipts."""

    def is_concluded(self, stage: Stage) -> bool:
        """Return whether a stage's state is known without reading receipts."""

    def look_up(self, stage: Stage, name: str) -> PartitionState:
        """Return a partition whose inputs are all complete."""


def lacking(ledger: States, stage: Stage, but: Collection[str] = ()) -> str | None:
    """Return the first incomplete table that a stage reads, apart from those in `but`; None if all are complete."""
    if ledger.why_off(stage):
        return None
    for reads in stage.reads:
        if reads.table not in but and not _is_whole(ledger, reads, stage):
            return reads.table
    return None


def is_ready(ledger: States, stage: Stage, partition: str) -> bool:
    """Return whether all inputs of a partition are complete; those of other partitions need not be."""
    return all(_has(ledger, reads, stage, partition) for reads in stage.reads)


def partition_names(ledger: States, stage: Stage) -> list[str]:
    """Return the names of a stage's partitions, from the spans of its inputs that have their receipts."""
    if ledger.why_off(stage):
        return []
    if not stage.partitions_from:
        return [WHOLE]
    names = {name for table in stage.partitions_from for name in ledger.state(ledger.writer[table]).spans}
    return sorted(name for name in names if not stage.half or half_of(name) == stage.half)


def half_of(partition: str) -> str:
    """Return the half that a partition of source files belongs to, by its corpus."""
    return "rs3" if corpus_of(partition) in labelled_codes() else "pub11"


def corpus_of(partition: str) -> str:
    """Return the code of the corpus that a partition of source files belongs to: its name begins with it."""
    return partition.partition("-")[0]


def halves(writer: Mapping[str, Stage]) -> dict[str, Half]:
    """Return the half that the spans of each table belong to, "" if they may belong to either."""
    found: dict[str, Half] = {}
    for table, stage in writer.items():  # in the order of STAGES: inputs first
        of_inputs = {found.get(name, "") for name in stage.partitions_from}
        found[table] = stage.half or (of_inputs.pop() if len(of_inputs) == 1 else "")
    return found


def extend(ledger: States, stage: Stage, names: list[str] | None, due: Due) -> None:
    """List the partitions of a stage that became ready, and in turn those that their receipts make ready.

    Args:
        ledger: holds the states.
        stage: a stage whose partitions may be ready now.
        names: these partitions; None to look at all, since a whole input was completed.
        due: receives those without a receipt.
    """
    state = ledger.state(stage)
    was_complete = state.is_complete
    state.lacks = lacking(ledger, stage)
    if names is None:
        names = partition_names(ledger, stage)
    else:
        names = [name for name in names if _is_partition(ledger, stage, name)]
    done = []
    for name in names:
        if name not in state and (state.lacks is None or is_ready(ledger, stage, name)):
            partition = ledger.look_up(stage, name)
            state.put(partition)
            done += [name] if partition.receipt is not None else []
            due += [(stage, partition)] if partition.receipt is None else []
    if done or (state.is_complete and not was_complete):
        spread(ledger, stage, done, due)


def spread(ledger: States, stage: Stage, names: list[str], due: Due) -> None:
    """Extend the readers of a stage after some of its partitions, given by name, got their receipts."""
    is_over = ledger.state(stage).is_complete or bool(stage.split_by)
    for reader in ledger.readers.get(stage.writes.name, ()):
        if reader.keeps == "current" and ledger.is_concluded(reader):
            extend(ledger, reader, None if is_over else names, due)


def _is_partition(ledger: States, stage: Stage, name: str) -> bool:
    if ledger.why_off(stage):
        return False
    if stage.half and half_of(name) != stage.half:
        return False
    return any(name in ledger.state(ledger.writer[table]).spans for table in stage.partitions_from)


def _is_whole(ledger: States, reads: Reads, stage: Stage) -> bool:
    writer = ledger.writer[reads.table]
    if writer is stage:
        return True
    state = ledger.state(writer)
    is_absent = state.lacks is not None or (writer.keeps != "current" and not state.partitions)
    is_observing = writer.keeps != "current" and state.lacks is not None  # it is about to look again
    return not state.n_due and (not is_absent or (reads.is_optional and not is_observing))


def _has(ledger: States, reads: Reads, stage: Stage, partition: str) -> bool:
    if not reads.is_whole:
        writer = ledger.writer[reads.table]
        state = ledger.state(writer)
        # An earlier listing does not tell which partitions the next one will have.
        if partition in state.spans and (writer.keeps != "latest" or state.lacks is None):
            return True
        half = ledger.halves[reads.table]
        if half and half != half_of(partition):
            return True  # the table has nothing for this half
    return _is_whole(ledger, reads, stage)
