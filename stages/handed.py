"""The arguments and the result of a stage's function.

Other modules import these names from stages/contract.py, which declares the stage itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from schemas.reasons import DETAIL_MAX_CHARACTERS
from schemas.tables import Table
from stages.rows import Rows, no_rows


class Files(Protocol):
    """The files of one attempt at a partition, and a reader over location columns."""

    def new_file(self, name: str) -> Path:
        """Return the path of a new file that the receipt will name."""

    def address(self, path: Path) -> str:
        """Return the value of a location column for a file made by `new_file`."""

    def work(self) -> Path:
        """Return a scratch folder that ends with the attempt."""

    def shared(self, name: str) -> Path:
        """Return a folder that all workers of the build share, for locks; nothing in it is data."""

    def read(self, address: str, offset: int, n_bytes: int) -> bytes:
        """Return bytes that a location column points to; `sources:PATH` is a file under SOURCES."""


Inputs = Mapping[str, pa.Table]


@dataclass(frozen=True)
class Context:
    """The arguments of a stage function besides its tables.

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
    """The result of a stage for one partition.

    Attributes:
        kept: rows of the written table, in an order that depends on the inputs alone; in files if the inputs are.
        rejects: rows of its reject schema, likewise.
        counts: for the grain "count" alone: "given", "kept" and one entry per reason.
        files: paths made by `Files.new_file` that belong to the partition.
        measured: numbers for forecasts alone, which the receipt keeps beside the costs of the run.
    """

    kept: Rows
    rejects: Rows
    counts: Mapping[str, int] | None = None
    files: tuple[Path, ...] = ()
    measured: Mapping[str, int] = field(default_factory=dict)


def rejects_table(
    table: Table, keys: Mapping[str, Any], reason: Any, detail: Any, facts: Mapping[str, Any] | None = None
) -> pa.Table:
    """Return reject rows of a table.

    Args:
        table: says which columns they have.
        keys: the key columns.
        reason: codes.
        detail: texts, cut to `DETAIL_MAX_CHARACTERS`.
        facts: reject columns of the table; those that are left out are null.
    """
    import pyarrow.compute as pc

    columns = {name: keys[name] for name in table.key}
    columns |= {"reason": reason, "detail": pc.utf8_slice_codeunits(_strings(detail), 0, DETAIL_MAX_CHARACTERS)}
    n_rows = len(columns["detail"])
    for name in table.reject_columns:
        kind = table.reject_schema.field(name).type
        given = (facts or {}).get(name)
        columns[name] = pa.nulls(n_rows, kind) if given is None else given
    return pa.table(columns).cast(table.reject_schema)


def no_rejects(table: Table) -> pa.Table:
    """Return an empty reject table."""
    return no_rows(table.reject_schema)


def _strings(values: Any) -> Any:
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string())
