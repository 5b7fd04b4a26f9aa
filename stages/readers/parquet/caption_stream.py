"""Read columns of a row group with the fastest safe reader: all captions, and other columns of a few rows.

Lists, files with checksums and damaged files are read by Arrow in `stages/readers/parquet/reader.py`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

BATCH_ROWS = 1 << 15  # for Arrow: some 2 MB of captions, which stay in the cache while they are searched
# For Polars: 80 MB of captions are decoded at once, for any size of the row group, and yielded in pieces. Pieces of
# BATCH_ROWS take 1.5 times as long to search, because each search has a set-up cost; larger ones need new memory.
SLICE_ROWS, _PIECE_ROWS = 1 << 20, 1 << 18
_HEADER_BYTES = 64
# Thrift's compact protocol: the upper half of a byte is the delta of the field id, the lower half the type.
_NEXT_INT32 = 0x15


def read_fast(path: Path, file: pq.ParquetFile, group: int, first_row: int, name: str) -> Iterator[pa.Array]:
    """Yield large strings of a row group until an error; the caller continues from there.

    Polars decodes a column of texts in 0.6 of Arrow's time, but verifies no checksums and supports fewer types: all
    other columns are left to Arrow, which then reports errors.

    Args:
        path: the file.
        file: the same, opened.
        group: the row group.
        first_row: position of its first row in the file.
        name: the column.
    """
    n_rows = file.metadata.row_group(group).num_rows
    if not _is_text(file, name) or not is_fast(path, file, group, [name]):
        return
    for start in range(0, n_rows, SLICE_ROWS):
        wanted = min(SLICE_ROWS, n_rows - start)
        found = _read_slice(path, first_row + start, wanted, [name])
        if found is None:
            return
        for begin in range(0, wanted, _PIECE_ROWS):
            texts = _to_arrow(found.slice(begin, _PIECE_ROWS))[name]
            # combine_chunks copies a single chunk too, which takes a tenth of the time of reading the texts.
            yield texts.chunk(0) if texts.num_chunks == 1 else texts.combine_chunks()


class FastRows:
    """Other columns of some rows of a row group, with one slice in memory.

    Polars reads texts in place and copies only those of the chosen rows, in a fifth of Arrow's time.
    """

    def __init__(self, path: Path, first_row: int, n_rows: int, names: Sequence[str]) -> None:
        """Open a row group for which `is_fast` is true; first_row is the position of its first row in the file."""
        self._path, self._first_row, self._n_rows, self._names = path, first_row, n_rows, names
        self._held: tuple[int, Any] | None = None

    def take(self, rows: npt.NDArray[np.int64]) -> pa.Table | None:
        """Return the columns of ascending rows of the row group; None if Polars cannot read them."""
        found = []
        for number in np.unique(rows // SLICE_ROWS).tolist():
            frame = self._slice(number)
            if frame is None:
                return None
            start = number * SLICE_ROWS
            inside = rows[(rows >= start) & (rows < start + SLICE_ROWS)]
            found.append(_to_arrow(frame[inside - start]))
        return pa.concat_tables(found)

    def _slice(self, number: int) -> Any:
        if self._held is None or self._held[0] != number:
            start = number * SLICE_ROWS
            wanted = min(SLICE_ROWS, self._n_rows - start)
            self._held = None  # freed before the next one is read
            self._held = number, _read_slice(self._path, self._first_row + start, wanted, self._names)
        return self._held[1]


def is_fast(path: Path, file: pq.ParquetFile, group: int, names: Sequence[str]) -> bool:
    """Return whether Polars may read columns of a row group: they have plain types and no checksums."""
    # Polars takes a name between ^ and $ for a pattern.
    is_plain = all(_is_plain(file.schema_arrow.field(name).type) and not name.startswith("^") for name in names)
    return is_plain and not _may_panic(file) and not any(has_checksum(path, file, group, name) for name in names)


def _may_panic(file: pq.ParquetFile) -> bool:
    """Return whether Polars may panic, and print that, because of a type of any column: an interval or a time zone."""
    leaves = range(len(file.schema))
    if any(file.schema.column(place).converted_type == "INTERVAL" for place in leaves):
        return True
    return any(_has_zone(found) for found in file.schema_arrow.types)


def _has_zone(found: pa.DataType) -> bool:
    """Return whether a type holds times of a zone that Polars may not know."""
    types = pa.types
    if isinstance(found, pa.BaseExtensionType):
        return _has_zone(found.storage_type)
    if types.is_dictionary(found):
        return _has_zone(found.value_type)
    if types.is_timestamp(found):
        return found.tz not in (None, "UTC")
    return any(_has_zone(found.field(place).type) for place in range(found.num_fields))


def _read_slice(path: Path, first_row: int, n_rows: int, names: Sequence[str]) -> Any:
    """Return a frame of Polars, None if it cannot read the rows."""
    import polars as pl

    scan = pl.scan_parquet(path, parallel="none", glob=False, use_statistics=False).select(pl.col(list(names)))
    try:
        found = scan.slice(first_row, n_rows).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return None
    return found if found.height == n_rows else None


def _to_arrow(frame: Any) -> pa.Table:
    import polars as pl

    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _is_plain(found: pa.DataType) -> bool:
    types = pa.types
    tests = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer, types.is_floating)
    return any(is_it(found) for is_it in tests) and not types.is_float16(found)


def _is_text(file: pq.ParquetFile, name: str) -> bool:
    found = file.schema_arrow.field(name).type
    types = pa.types
    return bool(types.is_string(found) or types.is_large_string(found) or types.is_string_view(found))


def has_checksum(path: Path, file: pq.ParquetFile, group: int, name: str) -> bool:
    """Return whether the first page of a column has a checksum: writers add them to all pages or to none.

    The header of a page begins with type, both sizes and, if present, the checksum, all int32.
    """
    chunk = file.metadata.row_group(group).column(file.metadata.schema.names.index(name))
    dictionary = chunk.dictionary_page_offset if chunk.has_dictionary_page else None
    with path.open("rb") as source:
        source.seek(max(0, min(chunk.data_page_offset, dictionary or chunk.data_page_offset)))
        header = source.read(_HEADER_BYTES)
    place = 0
    for _ in range(3):
        if header[place : place + 1] != bytes([_NEXT_INT32]):
            return True  # an unusual header: leave it to Arrow
        place += 1
        while place < len(header) and header[place] & 0x80:
            place += 1
        place += 1
    return header[place : place + 1] == bytes([_NEXT_INT32])
