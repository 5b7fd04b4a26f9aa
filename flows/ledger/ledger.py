"""What is done and what is due: the partitions of every stage, their expected fingerprints, their receipts.

Decides from receipts alone; it reads no data file and runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from flows.ledger.digests import FINGERPRINT_LENGTH, combine
from flows.ledger.fingerprint import Constants
from flows.ledger.pieces import Piece, read_input
from flows.ledger.receipt import Receipt, collector_paused, observation_fingerprint
from flows.ledger.store import Store
from flows.settings import Settings
from schemas.corpora import labelled_codes
from schemas.fields import FIELD
from stages.contract import WHOLE, Dependency, Reads, Stage, Tool
from stages.identity import digest_json


@dataclass(frozen=True)
class PartitionState:
    """One partition as it should be now, and its receipt where it is."""

    name: str
    fingerprint: str
    receipt: Receipt | None


@dataclass(frozen=True)
class StageState:
    """All partitions of a stage; `blocked` says why they cannot be listed yet."""

    stage: Stage
    partitions: tuple[PartitionState, ...]
    blocked: str = ""

    @cached_property
    def due(self) -> tuple[PartitionState, ...]:
        """The partitions without a current receipt."""
        return tuple(p for p in self.partitions if p.receipt is None)

    @property
    def is_complete(self) -> bool:
        """True where every partition has its receipt."""
        return not self.blocked and not self.due

    @cached_property
    def receipts(self) -> tuple[Receipt, ...]:
        """The current receipts."""
        return tuple(p.receipt for p in self.partitions if p.receipt is not None)

    @cached_property
    def parts(self) -> dict[str, Receipt]:
        """The receipt that holds each part of the stage's table."""
        return {part: receipt for receipt in self.receipts for part in receipt.parts}


class Ledger:
    """The state of a build under its settings. Make a new one, or call `refresh`, after something was committed."""

    def __init__(self, store: Store, stages: tuple[Stage, ...], settings: Settings) -> None:
        self.store = store
        self.stages = stages
        self.settings = settings
        self.writer = {stage.writes.name: stage for stage in stages}
        self._states: dict[str, StageState] = {}
        self._digests: dict[tuple[str, Reads], str] = {}
        self._tools: dict[str, dict[str, Mapping[str, str]]] = {}
        self._params: dict[str, dict[str, Any]] = {}
        self._constants: dict[str, Constants] = {}
        self._counted: dict[str, tuple[tuple[str, Reads], ...]] = {}

    def refresh(self) -> None:
        """Forget what was concluded; receipts that were read stay read."""
        self._states.clear()
        self._digests.clear()

    def state(self, stage: Stage) -> StageState:
        """Return a stage's partitions and receipts."""
        if stage.name not in self._states:
            with collector_paused():
                self._states[stage.name] = self._conclude(stage)
        return self._states[stage.name]

    def inputs_ready(self, stage: Stage) -> str:
        """Return "" when every input is complete, else a sentence on what is missing and how to get it."""
        for reads in stage.reads:
            writer = self.writer[reads.table]
            if writer is stage:
                continue
            state = self.state(writer)
            is_absent = bool(state.blocked) or (writer.keeps != "current" and not state.partitions)
            if is_absent and not reads.is_optional:
                return state.blocked or self.describe_due(state)
            if state.due:
                return self.describe_due(state)
        return ""

    def input_digests(self, stage: Stage, partition: str) -> dict[str, str]:
        """Return one digest per input: of the columns read, in the partition or over all."""
        if stage.name not in self._counted:
            self._counted[stage.name] = tuple((reads.name, counted(stage, reads)) for reads in stage.reads)
        return {name: self._input_digest(reads, partition) for name, reads in self._counted[stage.name]}

    def pieces(self, reads: Reads, partition: str) -> list[Piece]:
        """Return the locations of an input's rows, in the order of part names."""
        state = self.state(self.writer[reads.table])
        if reads.section == "counts":
            return [Piece(r.partition, counts=tuple(sorted(r.counts.items()))) for r in _by_name(state.receipts)]
        if reads.section == "rejects":
            chosen = [r for r in _by_name(state.receipts) if reads.is_whole or r.partition == partition]
            files = [(r.partition, r.rejects_file, r.body["rejects"]) for r in chosen]
            return [Piece(p, file, 0, -1, body["n_rows"], (), body["sha256"]) for p, file, body in files if file]
        names = sorted(state.parts) if reads.is_whole else [partition] if partition in state.parts else []
        found = []
        for name in names:
            receipt = state.parts[name]
            part = receipt.parts[name]
            sha256 = receipt.body["kept"]["sha256"]
            found.append(Piece(name, receipt.kept_file, part.first_group, part.n_groups, part.n_rows, (), sha256))
        return found

    def read(self, reads: Reads, partition: str = WHOLE) -> pa.Table:
        """Return an input's rows."""
        return read_input(self.store, reads, self.writer[reads.table], self.pieces(reads, partition))

    def rows_given(self, stage: Stage, partition: str) -> int:
        """Return about how many rows a partition is given: those of its first input, for progress and disk."""
        if not stage.reads:
            return 0
        return sum(piece.n_rows for piece in self.pieces(stage.reads[0], partition))

    def _conclude(self, stage: Stage) -> StageState:
        if stage.keeps != "current":
            receipts = self.store.observations(stage.writes.name, stage.name)
            if stage.keeps == "latest":
                receipts = receipts[-1:]
            return StageState(stage, tuple(PartitionState(r.partition, r.fingerprint, r) for r in receipts))
        problem = self.inputs_ready(stage)
        if problem:
            return StageState(stage, (), problem)
        states = []
        for name in self._partition_names(stage):
            fingerprint = self.fingerprint(stage, name)
            states.append(PartitionState(name, fingerprint, self.store.receipt(stage.writes.name, name, fingerprint)))
        return StageState(stage, tuple(states))

    def _partition_names(self, stage: Stage) -> list[str]:
        if not stage.partitions_from:
            return [WHOLE]
        names = {name for table in stage.partitions_from for name in self.state(self.writer[table]).parts}
        return sorted(name for name in names if not stage.half or half_of(name) == stage.half)

    def fingerprint(self, stage: Stage, partition: str) -> str:
        """Return the digest of all that a partition's rows depend on."""
        if stage.keeps != "current":
            return observation_fingerprint(stage.name, partition)
        if stage.name not in self._constants:
            constants: dict[str, Any] = {"stage": stage.name}
            if not stage.is_settled:
                constants |= {
                    "version": stage.version,
                    "params": self.plain_params(stage),
                    "tools": self.tool_identities(stage),
                }
            self._constants[stage.name] = Constants.of(constants)
        return self._constants[stage.name].fingerprint(self.input_digests(stage, partition), partition)

    def plain_params(self, stage: Stage) -> dict[str, Any]:
        """Return a stage's parameters as plain values, as written in fingerprints and receipts."""
        if stage.name not in self._params:
            self._params[stage.name] = self.settings.params(stage).model_dump(mode="json")
        return self._params[stage.name]

    def tool_identities(self, stage: Stage) -> dict[str, Mapping[str, str]]:
        """Return what the results of a stage's tools depend on."""
        if stage.name not in self._tools:
            params = self.settings.params(stage)
            used: tuple[Tool | Dependency, ...] = (*stage.tools, *stage.depends)
            self._tools[stage.name] = {one.name: dict(one.identity(params)) for one in used}
        return self._tools[stage.name]

    def _input_digest(self, reads: Reads, partition: str) -> str:
        key = ("" if reads.is_whole else partition, reads)
        if key not in self._digests:
            self._digests[key] = self._digest(reads, partition)
        return self._digests[key]

    def _digest(self, reads: Reads, partition: str) -> str:
        state = self.state(self.writer[reads.table])
        if reads.section == "counts":
            return digest_json([[r.partition, r.counts] for r in _by_name(state.receipts)])
        if reads.section == "rejects":
            chosen = [r for r in state.receipts if reads.is_whole or r.partition == partition]
            return combine({r.partition: r.rejects_digests for r in chosen}, reads.columns)
        names = state.parts if reads.is_whole else [partition] if partition in state.parts else []
        return combine({name: state.parts[name].parts[name].digests for name in names}, reads.columns)

    def describe_due(self, state: StageState) -> str:
        """Return a sentence on what a stage lacks, and the command that makes it."""
        stage, n_due = state.stage, len(state.due)
        table = stage.writes.name
        if not state.partitions:
            return f"{table} is missing: run `make stage-{stage.module}` first"
        stale = sum(bool(self.store.fingerprints(table, p.name)) for p in state.due)
        what = f"{n_due} of {len(state.partitions)} partitions of {table} are missing"
        if stale:
            what += f" ({stale} stale: made with other settings or other input)"
        return f"{what}: run `make stage-{stage.module}` first"


def counted(stage: Stage, reads: Reads) -> Reads:
    """Return an input with the columns that the stage's rows depend on.

    The place of bytes changes no row, but a stage that copies a location into its own rows must follow when they move.
    """
    copied = stage.writes.schema.names
    kinds = {"value": True, "measured": False}
    columns = tuple(c for c in reads.columns if kinds.get(FIELD[c].kind, c in copied))
    return replace(reads, columns=columns)


def half_of(partition: str) -> str:
    """Return the half that a partition of source files belongs to, by the corpus code that its name begins with."""
    return "rs3" if partition.partition("-")[0] in labelled_codes() else "pub11"


def short(fingerprint: str) -> str:
    """Return the part of a fingerprint that names its folder."""
    return fingerprint[:FINGERPRINT_LENGTH]


def _by_name(receipts: tuple[Receipt, ...]) -> list[Receipt]:
    return sorted(receipts, key=lambda receipt: receipt.partition)
