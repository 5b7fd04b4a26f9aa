"""Digests of the inputs of a stage's partitions, from the receipts of the tables that it reads.

Not for fingerprints: the ledger makes those of these digests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flows.ledger.depends import counted
from flows.ledger.digests import combine_each
from flows.ledger.readiness import States
from stages.contract import Reads, Stage
from stages.identity import digest_json

_ALL = ""  # in place of the name of a partition


@dataclass(eq=False, slots=True)
class _Input:
    """What one or several stages read of a table, and its digests by partition."""

    reads: Reads
    digests: dict[str, str] = field(default_factory=dict)


class InputDigests:
    """One digest per input of a partition, each computed once.

    Inputs that are made of the same receipts get their digests together: most of the time goes into waiting for the
    receipts to arrive from memory.
    """

    def __init__(self, states: States) -> None:
        self._states = states
        self._inputs: dict[Reads, _Input] = {}
        self._alike: dict[tuple[str, str, bool], list[_Input]] = {}
        self._of: dict[str, list[tuple[str, _Input]]] = {}

    def of(self, stage: Stage, partition: str) -> dict[str, str]:
        """Return one digest per input of a stage: of the columns read, in the partition or over all."""
        found = {}
        for name, one in self._of.get(stage.name) or self._add(stage):
            key = _ALL if one.reads.is_whole else partition
            digest = one.digests.get(key)
            if digest is None:
                self._compute(one.reads, key)
                digest = one.digests[key]
            found[name] = digest
        return found

    def forget(self) -> None:
        """Forget all digests."""
        for one in self._inputs.values():
            one.digests.clear()

    def forget_whole(self, table: str) -> None:
        """Forget the digests over all partitions of a table: one of them was added or replaced."""
        for one in self._inputs.values():
            if one.reads.table == table and one.reads.is_whole:
                one.digests.clear()

    def _add(self, stage: Stage) -> Sequence[tuple[str, _Input]]:
        """Return the inputs of a stage; the first call adds those of all stages that will need theirs."""
        for other in () if self._of else self._states.writer.values():
            if other.keeps == "current" and not self._states.why_off(other):
                self._of[other.name] = [(reads.name, self._input(other, reads)) for reads in other.reads]
        if stage.name not in self._of:
            self._of[stage.name] = [(reads.name, self._input(stage, reads)) for reads in stage.reads]
        return self._of[stage.name]

    def _input(self, stage: Stage, reads: Reads) -> _Input:
        reads = counted(stage, reads)
        if reads not in self._inputs:
            self._inputs[reads] = _Input(reads)
            self._alike.setdefault((reads.table, reads.section, reads.is_whole), []).append(self._inputs[reads])
        return self._inputs[reads]

    def _compute(self, reads: Reads, key: str) -> None:
        state = self._states.state(self._states.writer[reads.table])
        if reads.section == "counts":
            self._inputs[reads].digests[key] = digest_json([[r.partition, r.counts] for r in state.receipts_for()])
            return
        if reads.section == "rejects":
            spans = [(r.partition, r.rejects_digests) for r in state.receipts_for(key)]
        else:
            names = sorted(state.spans) if reads.is_whole else [key] if key in state.spans else []
            spans = [(name, state.spans[name].span_digests(name)) for name in names]
        alike = self._alike[reads.table, reads.section, reads.is_whole]
        digests = combine_each(spans, [one.reads.columns for one in alike])
        for one, digest in zip(alike, digests, strict=True):
            one.digests[key] = digest
