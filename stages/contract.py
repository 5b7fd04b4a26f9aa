"""The declaration of a stage: its inputs, output and reject reasons, and one plain function over tables.

Not for running one: partitions, files, fingerprints and receipts are the business of `flows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from schemas.tables import Table
from stages.handed import Context as Context
from stages.handed import Files as Files
from stages.handed import Inputs as Inputs
from stages.handed import Outcome as Outcome
from stages.handed import no_rejects as no_rejects
from stages.handed import rejects_table as rejects_table

Grain = Literal["map", "fan_out", "reduce", "count", "observe"]
Keeps = Literal["current", "latest", "all"]
Section = Literal["kept", "rejects", "counts"]
Half = Literal["", "pub11", "rs3"]
Uses = Literal["cores", "network", "gpu"]

WHOLE = "whole"
_ROW_BYTES = 200  # of a narrow row and its reject
COUNTS_SCHEMA = pa.schema([("partition", pa.string()), ("reason", pa.string()), ("n", pa.int64())])


class InputError(Exception):
    """Input from the user cannot be used; the message says what was expected, what was found and what to do."""


class TransientError(Exception):
    """The world failed (network, disk, another process): the partition is tried again, with back-off."""


class ContractError(Exception):
    """The code is wrong: a stage broke its declaration. Nothing is written and the run stops."""


class Params(BaseModel):
    """Settings that change rows: they enter the fingerprint. Every threshold is one, with its source beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Resources(BaseModel):
    """Settings that change cost or reach, never the rows that succeed: they enter no fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


@dataclass(frozen=True)
class Reads:
    """One input: some columns of a table, of the partition with the stage's own partition name or of all.

    Attributes:
        table: name of the table.
        columns: columns to read; a change of any other leaves the stage current. Empty for counts.
        is_whole: True to read all partitions, in the order of their names.
        section: kept rows, reject rows, or the counts that `filter` reports.
        is_optional: True where the table may not exist yet and then has no rows (a ledger's look at its own past).
    """

    table: str
    columns: tuple[str, ...] = ()
    is_whole: bool = False
    section: Section = "kept"
    is_optional: bool = False

    @property
    def name(self) -> str:
        """Key of this input in `Inputs`: the table's name, followed by `_rejects` or `_counts` for those."""
        return self.table if self.section == "kept" else f"{self.table}_{self.section}"


@dataclass(frozen=True)
class Given:
    """The keys a stage must account for: columns of one input, or a query over the inputs.

    Attributes:
        input: name of the input whose rows are given, "" with a query.
        columns: its key columns, in the order of the written table's key; those of a query that selects not all.
        query: SQL that selects the keys, under the names of the written table's key.
        inputs: names of the inputs that the query selects from; it sees no others.
    """

    input: str = ""
    columns: tuple[str, ...] = ()
    query: str = ""
    inputs: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs that the keys come from."""
        return (self.input,) if self.input else self.inputs


@dataclass(frozen=True)
class Tool:
    """Something a stage is handed rather than builds: a model, a decoder, a list of patterns.

    Attributes:
        name: its name in `Context.tools`.
        identity: the versions and digests that its results depend on, given the stage's parameters; fingerprinted.
        open: opens it, given parameters and resources; it is opened once per process and closed at its end.
        found: further dependencies of its results, known only from this machine's files (digests of the user's own
            weights), given parameters and resources; fingerprinted too. None if the files are missing: the last
            receipt's value counts.
    """

    name: str
    identity: Callable[[Any], Mapping[str, str]]
    open: Callable[[Any, Any], AbstractContextManager[Any]]
    found: Callable[[Any, Any], Mapping[str, str] | None] = lambda params, resources: {}


@dataclass(frozen=True)
class Dependency:
    """Something that a stage's results depend on and that nobody opens: texts in a manifest, a library's codecs.

    Attributes:
        name: a name that no tool of the stage has.
        identity: versions or digests, given the stage's parameters; fingerprinted as those of tools are.
        is_by_corpus: the identity has an entry per corpus code; only the corpora of the build are fingerprinted.
    """

    name: str
    identity: Callable[[Any], Mapping[str, str]]
    is_by_corpus: bool = False


@dataclass(frozen=True)
class Stage:
    """One stage. `STAGES` is the pipeline: a literal tuple of these, in order.

    Attributes:
        name: a verb and its object.
        module: the make target that runs it, with the other stages of the module.
        section: section of its settings; empty: named as the module.
        version: raised whenever the same input gives other rows.
        does: one sentence for the table in docs/stages.md.
        reads: the inputs.
        writes: the table written.
        grain: how keys are conserved: "map" (each given key is kept or rejected, once), "fan_out" (each given key
            has at least one row or a reject), "reduce" (each given key is named once, kept or rejected, and no other),
            "count" (by count per reason: the keyword filter alone), "observe" (an observation of the world, or a choice
            of the next attempts: rows stem from the given keys, if any; a later stage accounts for them).
        given: the keys to account for.
        run: the function.
        params: settings that change rows.
        resources: settings that do not.
        reasons: codes of the reasons it may give.
        tools: the tools handed to it.
        depends: further dependencies of its results.
        partitions_from: tables whose spans are its partitions; empty: one partition, `whole`.
        half: limits these to partitions of the web corpora ("pub11") or of the labelled ones ("rs3"), known by the
            corpus code before the first dash of their names; "" for all. For a stage that splits its rows: the half
            that all its spans belong to; partitions of the other half do not wait for it.
        split_by: column of the kept rows that names the spans of its output; empty: the output has one span.
        keeps: "current" for a pure stage, whose partitions are current by fingerprint; "latest" and "all" for one
            that observes the world: each observation is a numbered partition, of which the latest or all count.
        is_queried: its function only queries its whole inputs: they stay in their files and are handed over as
            `FileRows`, so that memory does not limit how many rows they have.
        has_model: it loads a model: `run.model_workers` of its partitions run at once.
        has_network: it waits for other machines: `run.download_workers` of its partitions run beside all others.
        memory_gb: main memory that a partition needs, with its child processes and without the weights of its models,
            GB, so that no more begin than fit; 0: the usual need of a worker or, for a whole table, a worker's limit.
        decides: its rejects are final for the samples that they name; False if they name something that samples share
            (a picture), for which a later stage refuses the samples.
        is_accumulating: a finished partition is never redone, whatever its parameters, tools or version (download).
        bytes_per_row: disk a given row takes, for the check before the start.
        has_files: whether it writes files beside its rows, given its parameters; without them a row takes 200 bytes.
        off: returns the setting that switches the stage off, given its parameters; "" if it is on. A stage that is off
            has no partitions and accounts for no keys: its table is complete and has no rows. A stage whose partitions
            all come from such tables is off as well.
    """

    name: str
    module: str
    version: int
    does: str
    reads: tuple[Reads, ...]
    writes: Table
    grain: Grain
    given: Given
    run: Callable[[Inputs, Context], Outcome]
    params: type[Params] = Params
    resources: type[Resources] = Resources
    reasons: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    depends: tuple[Dependency, ...] = ()
    partitions_from: tuple[str, ...] = ()
    half: Half = ""
    split_by: str = ""
    keeps: Keeps = "current"
    is_queried: bool = False
    has_model: bool = False
    has_network: bool = False
    memory_gb: float = 0.0
    decides: bool = True
    is_accumulating: bool = False
    bytes_per_row: int = _ROW_BYTES
    has_files: Callable[[Any], bool] = lambda params: True
    off: Callable[[Any], str] = lambda params: ""
    section: str = ""

    @property
    def settings_section(self) -> str:
        """The section of the stage's settings, such as that of a model which stages of several modules share."""
        return self.section or self.module

    @property
    def uses(self) -> Uses:
        """The scarcest resource that it uses: it limits how many of its partitions run at once."""
        return "gpu" if self.has_model else "network" if self.has_network else "cores"

    def row_bytes(self, params: Params) -> int:
        """Return the disk that a given row takes with these parameters, in bytes."""
        return self.bytes_per_row if self.has_files(params) else _ROW_BYTES

    @property
    def is_whole(self) -> bool:
        """True where the stage has the one partition `whole`."""
        return not self.partitions_from and self.keeps == "current"
