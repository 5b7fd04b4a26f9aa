"""Read runs of row groups of parquet files; a file with many spans is opened once, not once per span.

Not for knowing which file holds which span: that is the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.rows import no_rows

Run = tuple[Path, int, int]

_OPEN_FILES = (
    4  # the inputs of one stage; a footer of 2,000 row groups took 10 ms to parse, of each of 2,000 partitions
)


def read_runs(runs: Sequence[Run], schema: pa.Schema) -> pa.Table:
    """Return some columns of runs of row groups: (file, first group, number of groups or -1 for all), in order.

    Raises:
        OSError, pa.ArrowInvalid: when a file is gone or damaged; pages are checked against their checksums.
    """
    tables = [no_rows(schema)]
    for path, neighbours in groupby(runs, key=lambda run: run[0]):
        file = _open(path)
        groups = [group for _, first, count in neighbours for group in _groups(file, first, count)]
        tables.append(file.read_row_groups(groups, columns=schema.names).select(schema.names).cast(schema))
    return pa.concat_tables(tables)


def _groups(file: pq.ParquetFile, first: int, count: int) -> Iterator[int]:
    yield from range(first, first + count) if count >= 0 else range(file.num_row_groups)


def _open(path: Path) -> pq.ParquetFile:
    found = path.stat()
    return _open_as_it_is(path, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(_OPEN_FILES)
def _open_as_it_is(path: Path, inode: int, size_bytes: int, mtime_ns: int) -> pq.ParquetFile:
    """Return an open file; one that was replaced or changed since is opened again."""
    return pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
