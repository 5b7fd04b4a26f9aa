"""What a stage is: a value that says what it reads, writes and refuses, and one plain function over tables.

Not for running one: partitions, files, fingerprints and receipts are the business of `flows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from schemas.tables import Table
from stages.rows import Rows

Grain = Literal["map", "fan_out", "reduce", "count", "observe"]
Keeps = Literal["current", "latest", "all"]
Section = Literal["kept", "rejects", "counts"]
Half = Literal["", "pub11", "rs3"]
Uses = Literal["cores", "network", "gpu"]

WHOLE = "whole"
_ROW_BYTES = 200  # of a narrow row and its reject
COUNTS_SCHEMA = pa.schema([("partition", pa.string()), ("reason", pa.string()), ("n", pa.int64())])


class InputError(Exception):
    """What the user gave cannot be used: the message says what was expected, what was found and what to do."""


class TransientError(Exception):
    """The world failed (network, disk, another process): the partition is tried again, with back-off."""


class ContractError(Exception):
    """The code is wrong: a stage broke its declaration. Nothing is written and the run stops."""


class Params(BaseModel):
    """Settings that change rows: they enter the fingerprint. Every threshold is one, with its source beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Resources(BaseModel):
    """Settings that change cost or reach, never the rows of what succeeds: they enter no fingerprint."""

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
        """Key of this input in `Inputs`: the table's name, with `_rejects` or `_counts` behind it for those."""
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
        identity: what its results depend on (versions, digests), given the stage's parameters; fingerprinted.
        open: opens it, given parameters and resources; it is opened once per process and closed at its end.
        found: what results depend on and only this machine's files say (digests of the user's own weights), given
            parameters and resources; fingerprinted too. None if the files are missing: the last receipt's value counts.
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
    """

    name: str
    identity: Callable[[Any], Mapping[str, str]]


class Files(Protocol):
    """The files of one attempt at a partition, and a reader over location columns."""

    def new_file(self, name: str) -> Path:
        """Return the path of a new file that the receipt will name."""

    def address(self, path: Path) -> str:
        """Return what a location column says for a file made by `new_file`."""

    def work(self) -> Path:
        """Return a scratch folder that ends with the attempt."""

    def shared(self, name: str) -> Path:
        """Return a folder that all workers of the build share, for locks; nothing in it is data."""

    def read(self, address: str, offset: int, n_bytes: int) -> bytes:
        """Return bytes that a location column points to; `sources:PATH` is a file under SOURCES."""


Inputs = Mapping[str, pa.Table]


@dataclass(frozen=True)
class Context:
    """All a stage function gets beside its tables.

    Attributes:
        partition: name of the partition.
        params: the stage's `Params`.
        resources: the stage's `Resources`.
        tools: the opened tools, by name.
        files: where to write files and where location columns lead.
        sources: the SOURCES folder.
        advance: reports to the supervisor how many rows are done.
    """

    partition: str
    params: Any
    resources: Any
    tools: Mapping[str, Any]
    files: Files
    sources: Path
    advance: Callable[[int], None] = lambda n_rows: None


@dataclass(frozen=True)
class Outcome:
    """What a stage made of a partition.

    Attributes:
        kept: rows of the written table, in an order that depends on the inputs alone; in files where the inputs are.
        rejects: rows of its reject schema, likewise.
        counts: for the grain "count" alone: "given", "kept" and one entry per reason.
        files: paths made by `Files.new_file` that belong to the partition.
    """

    kept: Rows
    rejects: Rows
    counts: Mapping[str, int] | None = None
    files: tuple[Path, ...] = ()


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
            "count" (by count per reason: the keyword filter alone), "observe" (a look at the world or a choice of what
            to attempt next: rows stem from the given keys where there are any; a later stage accounts for them).
        given: the keys to account for.
        run: the function.
        params: settings that change rows.
        resources: settings that do not.
        reasons: codes of the reasons it may give.
        tools: what it is handed.
        depends: what else its results depend on.
        partitions_from: tables whose spans are its partitions; empty: one partition, `whole`.
        half: of these, only partitions of the web corpora ("pub11") or of the labelled ones ("rs3"), known by the
            corpus code before the first dash of their names; "" for all. Of a stage that splits its rows: the half that
            all its spans belong to; partitions of the other half do not wait for it.
        split_by: column of the kept rows that names the spans of its output; empty: the output has one span.
        keeps: "current" for a pure stage, whose partitions are current by fingerprint; "latest" and "all" for one
            that observes the world: each observation is a numbered partition, of which the latest or all count.
        is_queried: its function only queries its whole inputs: they stay in their files and are handed over as
            `FileRows`, so that memory does not limit how many rows they have.
        has_model: it loads a model: `run.model_workers` of its partitions run at once.
        has_network: it waits for other machines: `run.download_workers` of its partitions run beside all others.
        memory_gb: main memory that a partition needs, with its child processes and without the weights of its models,
            GB, so that no more begin than fit; 0: what any worker needs or, of a whole table, what a worker may hold.
        decides: its reject is the end of the samples that it names; False where it names what samples share (a
            picture), and a later stage refuses them for it.
        is_settled: a finished partition is never redone, whatever its parameters, tools or version (download).
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
    is_settled: bool = False
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
        """What there is least of where it runs: it limits how many of its partitions run at once."""
        return "gpu" if self.has_model else "network" if self.has_network else "cores"

    def row_bytes(self, params: Params) -> int:
        """Return the disk that a given row takes with these parameters, in bytes."""
        return self.bytes_per_row if self.has_files(params) else _ROW_BYTES

    @property
    def is_whole(self) -> bool:
        """True where the stage has the one partition `whole`."""
        return not self.partitions_from and self.keeps == "current"


def rejects_table(
    table: Table, keys: Mapping[str, Any], reason: Any, detail: Any, facts: Mapping[str, Any] | None = None
) -> pa.Table:
    """Return reject rows of a table.

    Args:
        table: says which columns they have.
        keys: the key columns.
        reason: codes.
        detail: texts, cut to 200 characters.
        facts: reject columns of the table; those that are left out are null.
    """
    import pyarrow.compute as pc

    columns = {name: keys[name] for name in table.key}
    columns |= {"reason": reason, "detail": pc.utf8_slice_codeunits(_strings(detail), 0, 200)}
    n_rows = len(columns["detail"])
    for name in table.reject_columns:
        kind = table.reject_schema.field(name).type
        given = (facts or {}).get(name)
        columns[name] = pa.nulls(n_rows, kind) if given is None else given
    return pa.table(columns).cast(table.reject_schema)


def no_rejects(table: Table) -> pa.Table:
    """Return an empty reject table."""
    return table.reject_schema.empty_table()


def _strings(values: Any) -> Any:
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string())
