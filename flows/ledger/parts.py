"""Write a table's kept rows as parquet: a run of row groups and a digest per column for each part.

Not for naming or publishing the file: that is the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.ledger.digests import digest_columns
from flows.ledger.receipt import Part
from schemas.tables import Table

COMPRESSION = "zstd"
_ROW_GROUP_ROWS = 131_072  # parts that are read alone stay cheap to read; larger groups saved under 2 % of the bytes


def write_parts(path: Path, table: Table, kept: pa.Table, split_by: str, partition: str) -> dict[str, Any]:
    """Write kept rows, those of a part together, and return each part as a receipt describes it.

    Args:
        path: the file to write.
        table: the table they belong to.
        kept: its rows.
        split_by: column that names the part of a row; "" for one part.
        partition: name of that one part.
    """
    parts: dict[str, Any] = {}
    n_groups = 0
    with pq.ParquetWriter(path, table.schema, compression=COMPRESSION, write_page_checksum=True) as writer:
        for name, rows in _split(kept, split_by, partition):
            writer.write_table(rows.cast(table.schema), row_group_size=_ROW_GROUP_ROWS)
            count = -(-rows.num_rows // _ROW_GROUP_ROWS)
            digests = digest_columns(rows.select(digested_columns(table)))
            parts[name] = asdict(Part(n_groups, count, rows.num_rows, digests))
            n_groups += count
    return parts


def digested_columns(table: Table) -> list[str]:
    """Return the columns that receipts hold digests of: all but the measured ones."""
    return [f.name for f in table.fields if f.kind != "measured"]


def _split(kept: pa.Table, split_by: str, partition: str) -> Iterator[tuple[str, pa.Table]]:
    if not split_by:
        yield partition, kept
        return
    order = pc.sort_indices(kept[split_by])  # stable: rows of a part keep their order
    rows = kept.take(order)
    counts = rows[split_by].value_counts()
    start = 0
    for name, count in sorted((c["values"], c["counts"]) for c in counts.to_pylist()):
        yield name, rows.slice(start, count)
        start += count
