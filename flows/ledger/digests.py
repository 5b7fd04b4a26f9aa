"""Digests: of columns by their values, of files by their bytes.

Not for keys or seeds: those are the business of the stages.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

FINGERPRINT_LENGTH = 12  # hex digits: 48 bits, far above the number of receipts in one partition
BLOCK_ROWS = 1 << 18  # fixed, since blocks enter the digest; small enough that no block of strings passes 2 GiB


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_once(path: Path) -> str:
    """Return the sha256 of a file's bytes; one that this process digested is not read again."""
    found = path.stat()
    return _digest_as_it_is(path, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(100_000)
def _digest_as_it_is(path: Path, inode: int, size_bytes: int, mtime_ns: int) -> str:
    return digest_file(path)


class RowDigests:
    """Digests of the columns of rows that come in blocks of BLOCK_ROWS, the last block shorter."""

    def __init__(self, schema: pa.Schema, n_rows: int) -> None:
        self._hashers = {f.name: hashlib.sha256(f"{f.type}|{n_rows}|".encode()) for f in schema}

    def update(self, block: pa.Table) -> None:
        """Take the next block; an empty one changes nothing."""
        for name, hasher in self._hashers.items():
            chunks = block[name].chunks if block.num_rows else ()
            if chunks:
                _feed(hasher, chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks))

    def hexdigests(self) -> dict[str, str]:
        """Return one digest per column: of its type and its values in order, whatever their layout in memory."""
        return {name: hasher.hexdigest() for name, hasher in self._hashers.items()}


def digest_columns(table: pa.Table) -> dict[str, str]:
    """Return one digest per column: of its type and its values in order, whatever their layout in memory."""
    digests = RowDigests(table.schema, table.num_rows)
    for start in range(0, table.num_rows, BLOCK_ROWS):
        digests.update(table.slice(start, BLOCK_ROWS))
    return digests.hexdigests()


def digest_column(column: pa.ChunkedArray) -> str:
    """Return the sha256 of a column's type and values; chunks, slices and bytes under nulls play no part."""
    return digest_columns(pa.table({"": column}))[""]


def combine_each(spans: Sequence[tuple[str, Mapping[str, str]]], choices: Sequence[tuple[str, ...]]) -> list[str]:
    """Return one digest for each of several choices of columns, over all spans.

    Args:
        spans: name of each span, in order, and its digests by column; a column younger than the span counts as "".
        choices: names of columns.
    """
    rows: list[list[list[object]]] = [[] for _ in choices]
    targets = [(found.append, columns) for found, columns in zip(rows, choices, strict=True)]
    for span, digests in spans:
        for append, columns in targets:
            append([span, [*map(digests.get, columns, repeat(""))]])
    return [hashlib.sha256(strings_json(found)).hexdigest() for found in rows]


def strings_json(value: Any) -> bytes:
    """Return the canonical JSON of lists and objects of strings, in a quarter of the time: orjson writes these alike.

    Numbers it writes another way, so they are for `canonical_json`.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _feed(hasher: Any, array: pa.Array) -> None:
    if array.null_count:
        hasher.update(b"nulls")
        _feed(hasher, pc.is_null(array))
    kind = array.type
    if pa.types.is_list(kind):
        _feed(hasher, pc.fill_null(pc.list_value_length(array), -1))
        _feed(hasher, array.flatten())
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        filled = pc.fill_null(array, "" if pa.types.is_string(kind) else b"") if array.null_count else array
        lengths = pc.binary_length(filled)
        hasher.update(_fixed(lengths))
        start, end = _value_range(filled)
        if end > start:
            hasher.update(memoryview(filled.buffers()[2])[start:end])
    elif pa.types.is_boolean(kind):
        hasher.update(_fixed(pc.cast(pc.fill_null(array, False), pa.uint8())))
    elif pa.types.is_primitive(kind):
        hasher.update(_fixed(pc.fill_null(array, 0) if array.null_count else array))
    else:
        raise TypeError(f"no digest is defined for columns of type {kind}")


def _fixed(array: pa.Array) -> memoryview:
    width = array.type.bit_width // 8
    data = array.buffers()[1]
    if data is None or len(array) == 0:
        return memoryview(b"")
    return memoryview(data)[array.offset * width : (array.offset + len(array)) * width]


def _value_range(array: pa.Array) -> tuple[int, int]:
    offsets = memoryview(array.buffers()[1] or b"").cast("B")
    if len(array) == 0 or len(offsets) == 0:
        return 0, 0
    ends = offsets.cast("i")
    return ends[array.offset], ends[array.offset + len(array)]
