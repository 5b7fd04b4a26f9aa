"""The finished and due work: the partitions of every stage, their expected fingerprints and their receipts.

Decides from receipts alone; it reads no data file and runs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pyarrow as pa

from flows.ledger.declared import as_declared
from flows.ledger.depends import tool_identities, why_off
from flows.ledger.digests import FINGERPRINT_LENGTH
from flows.ledger.fingerprint import Constants
from flows.ledger.input_digests import InputDigests
from flows.ledger.pieces import Piece, read_input
from flows.ledger.readiness import Due, corpus_of, halves, is_ready, lacking, partition_names, spread
from flows.ledger.receipt import observation_fingerprint
from flows.ledger.state import PartitionState, StageState
from flows.ledger.store import Store
from flows.settings import Settings
from schemas.tables import SOURCE_LISTING
from stages.collector import collector_paused
from stages.contract import WHOLE, InputError, Reads, Stage
from stages.readers.rs5m_list.names import sample_corpora


class Ledger:
    """The state of a build under its settings.

    After a commit, call `take`, or `refresh` if the committed partitions are not known.

    Attributes:
        writer: the stage that writes each table.
        readers: the stages that read each table.
        halves: the half that the spans of each table belong to, "" for either.
    """

    def __init__(self, store: Store, stages: tuple[Stage, ...], settings: Settings) -> None:
        self.store = store
        self.stages = stages
        self.settings = settings
        self.writer = {stage.writes.name: stage for stage in stages}
        self.readers: dict[str, list[Stage]] = {}
        for stage in stages:
            for table in dict.fromkeys(reads.table for reads in stage.reads):
                self.readers.setdefault(table, []).append(stage)
        self.halves = halves(self.writer)
        self._held: set[str] = set()
        self._states: dict[str, StageState] = {}
        self._digests = InputDigests(self)
        self._tools: dict[str, dict[str, Mapping[str, str]]] = {}
        self._params: dict[str, dict[str, Any]] = {}
        self._constants: dict[str, Constants] = {}
        self._off: dict[str, str] = {}

    def refresh(self) -> None:
        """Forget the concluded states and digests; receipts that were read are kept."""
        self._states.clear()
        self._digests.forget()
        self._forget_corpora()

    def state(self, stage: Stage) -> StageState:
        """Return a stage's partitions and receipts."""
        if stage.name not in self._states:
            with collector_paused():
                self._states[stage.name] = self._conclude(stage)
        return self._states[stage.name]

    def inputs_ready(self, stage: Stage, but: Collection[str] = ()) -> str:
        """Return "" if every input but some tables is complete, else a sentence on how to get the missing one."""
        table = lacking(self, stage, but)
        return "" if table is None else self._why(table)

    def is_concluded(self, stage: Stage) -> bool:
        """Return whether a stage's state is known; if not, `state` computes it."""
        return stage.name in self._states

    def hold(self, stages: Iterable[Stage]) -> None:
        """Treat the observations of these stages, and no others, as not final: they are about to observe again."""
        names = {stage.name for stage in stages}
        if names != self._held:
            self._held = names
            self.refresh()

    def release(self, stage: Stage) -> Due:
        """Treat a stage's last observation as final; return the partitions that become due."""
        self._held.discard(stage.name)
        self._states[stage.name] = self._conclude(stage)
        self._digests.forget_whole(stage.writes.name)
        self._forget_corpora()
        due: Due = []
        spread(self, stage, list(self._states[stage.name].spans), due)
        return due

    def take(self, stage: Stage, partition: PartitionState) -> Due:
        """Record that a partition was committed; return the partitions that become due. Nothing else is checked.

        Raises:
            InputError: when its receipt is gone or damaged again.
        """
        name, fingerprint = partition.name, partition.fingerprint
        receipt = as_declared(self.store, stage, self.store.receipt(stage.writes.name, name, fingerprint))
        if receipt is None:
            raise InputError(f"the receipt of {stage.name}/{name} is gone or damaged: run the same command again")
        self.state(stage).put(PartitionState(name, fingerprint, receipt))
        self._digests.forget_whole(stage.writes.name)
        due: Due = []
        spread(self, stage, [name], due)
        return due

    def input_digests(self, stage: Stage, partition: str) -> dict[str, str]:
        """Return one digest per input: of the columns read, in the partition or over all."""
        return self._digests.of(stage, partition)

    def pieces(self, reads: Reads, partition: str) -> list[Piece]:
        """Return the locations of an input's rows, in the order of span names."""
        state = self.state(self.writer[reads.table])
        if reads.section == "counts":
            return [Piece(r.partition, counts=tuple(sorted(r.counts.items()))) for r in state.receipts_for()]
        if reads.section == "rejects":
            chosen = state.receipts_for("" if reads.is_whole else partition)
            files = [(r.partition, r.rejects_file, r.body["rejects"]) for r in chosen]
            return [Piece(p, file, 0, -1, body["n_rows"], (), body["sha256"]) for p, file, body in files if file]
        names = sorted(state.spans) if reads.is_whole else [partition] if partition in state.spans else []
        found = []
        for name in names:
            receipt = state.spans[name]
            span = receipt.spans[name]
            sha256 = receipt.body["kept"]["sha256"]
            found.append(Piece(name, receipt.kept_file, span.first_group, span.n_groups, span.n_rows, (), sha256))
        return found

    def read(self, reads: Reads, partition: str = WHOLE) -> pa.Table:
        """Return an input's rows."""
        return read_input(self.store, reads, self.writer[reads.table], self.pieces(reads, partition))

    def rows_given(self, stage: Stage, partition: str) -> int:
        """Return about how many rows a partition is given: those of the largest input that its keys come from.

        For progress and disk. Without keys, those of the first input.
        """
        of_keys = [reads for reads in stage.reads if reads.name in stage.given.names] or stage.reads[:1]
        return max((sum(piece.n_rows for piece in self.pieces(reads, partition)) for reads in of_keys), default=0)

    def look_up(self, stage: Stage, name: str) -> PartitionState:
        """Return a partition whose inputs are all complete, with its receipt if it has one."""
        fingerprint = self.fingerprint(stage, name)
        receipt = self.store.receipt(stage.writes.name, name, fingerprint)
        return PartitionState(name, fingerprint, as_declared(self.store, stage, receipt))

    def _conclude(self, stage: Stage) -> StageState:
        if stage.keeps != "current":
            receipts = self.store.observations(stage.writes.name, stage.name)
            if stage.keeps == "latest":
                receipts = receipts[-1:]
            seen = [
                PartitionState(r.partition, r.fingerprint, r)
                for r in receipts
                if as_declared(self.store, stage, r) is not None
            ]
            state = StageState(stage, seen, self._why)
            state.lacks = stage.writes.name if stage.name in self._held else None
            return state
        lacks = lacking(self, stage)
        names = partition_names(self, stage)
        if lacks is not None:
            names = [name for name in names if is_ready(self, stage, name)]
        state = StageState(stage, [self.look_up(stage, name) for name in names], self._why)
        state.lacks = lacks
        return state

    def _why(self, table: str) -> str:
        stage = self.writer[table]
        if stage.name in self._held:
            return f"{stage.name} is not finished"
        state = self.state(stage)
        return state.blocked or self.describe_due(state)

    def fingerprint(self, stage: Stage, partition: str) -> str:
        """Return the digest of all that a partition's rows depend on."""
        if stage.keeps != "current":
            return observation_fingerprint(stage.name, partition)
        if stage.name not in self._constants:
            constants: dict[str, Any] = {"stage": stage.name}
            if not stage.is_accumulating:
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
        """Return the identities of a stage's tools and dependencies, by name."""
        if stage.name not in self._tools:
            corpora = self.corpora() if any(one.is_by_corpus for one in stage.depends) else ()
            self._tools[stage.name] = tool_identities(stage, self.settings, self.store, corpora)
        return self._tools[stage.name]

    def corpora(self) -> frozenset[str]:
        """Return the codes of the corpora that the build has, by the last listing of its sources."""
        listing = self.writer.get(SOURCE_LISTING.name)
        spans = self.state(listing).spans if listing is not None else ()
        return sample_corpora({corpus_of(name) for name in spans})

    def _forget_corpora(self) -> None:
        """Forget the identities that depend on the corpora of the last listing."""
        for stage in self.stages:
            if any(one.is_by_corpus for one in stage.depends):
                self._tools.pop(stage.name, None)
                self._constants.pop(stage.name, None)

    def why_off(self, stage: Stage) -> str:
        """Return the setting or stage that switches a stage off, "" if it is on."""
        if stage.name not in self._off:
            self._off[stage.name] = why_off(stage, self.settings, self.writer)
        return self._off[stage.name]

    def describe_due(self, state: StageState) -> str:
        """Return a sentence on the partitions that a stage lacks, and the command that makes them."""
        stage, n_due = state.stage, len(state.due)
        table = stage.writes.name
        if not state.partitions:
            return f"{table} is missing: run `make stage-{stage.module}` first"
        stale = sum(bool(self.store.fingerprints(table, p.name)) for p in state.due)
        what = f"{n_due} of {len(state.partitions)} partitions of {table} are missing"
        if stale:
            what += f" ({stale} stale: made with other settings or input, or by an earlier version)"
        return f"{what}: run `make stage-{stage.module}` first"


def short(fingerprint: str) -> str:
    """Return the part of a fingerprint that names its folder."""
    return fingerprint[:FINGERPRINT_LENGTH]
