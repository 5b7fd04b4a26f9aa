"""Write rows as parquet: a run of row groups and a digest per column for each span, as receipts describe them.

Not for naming or publishing the file: that is the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.ledger.digests import BLOCK_ROWS, RowDigests
from flows.ledger.receipt import Span
from schemas.tables import Table
from stages.rows import FileRows, Rows, blocks_of, no_rows, query_rows, run_sql

COMPRESSION = "zstd"
_ROW_GROUP_ROWS = 131_072  # spans that are read alone stay cheap to read; larger groups saved under 2 % of the bytes
_HEAD_ROWS = 4_096  # show whether a column's values repeat


def write_spans(path: Path, table: Table, kept: Rows, split_by: str, partition: str) -> dict[str, Any]:
    """Write kept rows, those of a span together, and return each span as a receipt describes it.

    Args:
        path: the file to write.
        table: the table they belong to.
        kept: its rows.
        split_by: column that names the span of a row; "" for one span.
        partition: name of that one span.
    """
    spans: dict[str, Any] = {}
    n_groups = 0
    ordered, counts = _split(kept, split_by, partition)
    schema = table.schema
    digested = pa.schema([schema.field(name) for name in digested_columns(table)])
    how = {"compression": COMPRESSION, "write_page_checksum": True, "use_dictionary": _repeating(kept)}
    with pq.ParquetWriter(path, schema, **how) as writer:
        for name, blocks in groupby(_blocks(ordered, counts), key=lambda named: named[0]):
            digests = RowDigests(digested, counts[name])
            for _, block in blocks:
                rows = block.cast(schema)
                writer.write_table(rows, row_group_size=_ROW_GROUP_ROWS)
                digests.update(rows)
            count = -(-counts[name] // _ROW_GROUP_ROWS)
            spans[name] = asdict(Span(n_groups, count, counts[name], digests.hexdigests()))
            n_groups += count
    return spans


def write_rejects(path: Path, rejects: Rows) -> dict[str, str]:
    """Write reject rows and return one digest per column."""
    digests = RowDigests(rejects.schema, rejects.num_rows)
    with pq.ParquetWriter(path, rejects.schema, compression=COMPRESSION, write_page_checksum=True) as writer:
        for _, block in _blocks(rejects, {"": rejects.num_rows}):
            writer.write_table(block)
            digests.update(block)
    return digests.hexdigests()


def count_reasons(rejects: Rows) -> dict[str, int]:
    """Return the number of reject rows by reason."""
    counts = run_sql("SELECT reason, count(*) AS n FROM rejects GROUP BY reason ORDER BY reason", {"rejects": rejects})
    return dict(zip(counts["reason"].to_pylist(), counts["n"].to_pylist(), strict=True))


def digested_columns(table: Table) -> list[str]:
    """Return the columns that receipts hold digests of: all but the measured ones."""
    return [f.name for f in table.fields if f.kind != "measured"]


def _repeating(rows: Rows) -> list[str]:
    """Return the paths of the columns whose values repeat: for others a dictionary would be begun and given up."""
    head = next(iter(blocks_of(rows, _HEAD_ROWS)), no_rows(rows.schema)).slice(0, _HEAD_ROWS)
    paths = []
    for field in rows.schema:
        if pa.types.is_nested(field.type):
            paths.append(f"{field.name}.list.element")
        elif pc.count_distinct(head[field.name]).as_py() * 2 <= head.num_rows:
            paths.append(field.name)
    return paths


def _split(kept: Rows, split_by: str, partition: str) -> tuple[Rows, dict[str, int]]:
    """Return the rows in the order of spans, and the number of rows of each span; rows of a span keep their order."""
    if not split_by:
        return kept, {partition: kept.num_rows}
    if isinstance(kept, FileRows):
        return _split_file(kept, split_by)
    order = pc.sort_indices(kept[split_by])  # stable
    counts = kept[split_by].value_counts()
    return kept.take(order), dict(sorted((c["values"], c["counts"]) for c in counts.to_pylist()))


# A span begins behind the rows of all spans before it, and holds as many rows as there are from its first to its last.
_SIZES = """
    SELECT name, n, CASE WHEN last - first + 1 = n THEN first END AS first, sum(n) OVER (ORDER BY name) - n AS n_before
    FROM (SELECT name, count(*) AS n, min(place) AS first, max(place) AS last
          FROM (SELECT "{split_by}" AS name, row_number() OVER () - 1 AS place FROM kept) GROUP BY name)
    ORDER BY name
"""


def _split_file(kept: FileRows, split_by: str) -> tuple[Rows, dict[str, int]]:
    numbered = {"kept": kept}
    sizes = run_sql(_SIZES.format(split_by=split_by), numbered)
    counts = dict(zip(sizes["name"].to_pylist(), sizes["n"].to_pylist(), strict=True))
    if sizes["first"].to_pylist() == sizes["n_before"].to_pylist():
        return kept, counts  # sorted already
    columns = ", ".join(f'"{name}"' for name in kept.column_names)
    query = f'SELECT {columns} FROM (SELECT *, row_number() OVER () AS place FROM kept) ORDER BY "{split_by}", place'
    return query_rows(query, numbered).cast(kept.schema), counts


def _blocks(rows: Rows, counts: dict[str, int]) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows in blocks of BLOCK_ROWS within each span, the last of a span shorter; one block for no rows."""
    if isinstance(rows, FileRows):
        yield from _file_blocks(rows, counts)
        return
    start = 0
    for name, count in counts.items():
        for first in range(start, start + max(count, 1), BLOCK_ROWS):
            yield name, rows.slice(first, min(BLOCK_ROWS, start + count - first))
        start += count


def _file_blocks(rows: FileRows, counts: dict[str, int]) -> Iterator[tuple[str, pa.Table]]:
    source = rows.batches(BLOCK_ROWS)
    held = no_rows(rows.schema)
    for name, count in counts.items():
        left = count
        while True:
            n_rows = min(BLOCK_ROWS, left)
            while held.num_rows < n_rows:
                held = pa.concat_tables([held, next(source)])
            yield name, held.slice(0, n_rows)
            held, left = held.slice(n_rows), left - n_rows
            if not left:
                break
