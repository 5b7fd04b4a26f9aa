"""Columns of texts as valid strings: invalid UTF-8 is reported by position, lists are joined, blanks are counted.

Not for meaning: which column is searched or kept says `stages/readers/parquet/columns.py`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.readers.batch import describe_invalid_utf8, find_invalid_utf8

SEAM = "\n"  # between joined texts: no keyword holds one, and cleaning makes a blank of it
_PRINTABLE = (0x21, 0x7E)


def is_text(found: pa.DataType) -> bool:
    """Return whether a type holds texts; files without the UTF8 mark show theirs as binary."""
    types = pa.types
    return any(
        is_it(found)
        for is_it in (
            types.is_string, types.is_large_string, types.is_string_view,
            types.is_binary, types.is_large_binary, types.is_binary_view,
        )
    )  # fmt: skip


def is_list(found: pa.DataType) -> bool:
    """Return whether a type holds lists."""
    types = pa.types
    return bool(types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found))


def as_strings(values: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """Return texts as valid strings, null where they are not UTF-8, and what is wrong with those by position."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_null(values.type):
        return values.cast(pa.string()), {}
    if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
        values = values.cast(pa.large_binary())
    if values.type in (pa.binary(), pa.large_binary()):
        values = values.view(pa.string() if values.type == pa.binary() else pa.large_string())
    faults = {}
    if bad := find_invalid_utf8(values):
        raw = values.take(pa.array(bad)).view(pa.binary() if values.type == pa.string() else pa.large_binary())
        faults = {i: describe_invalid_utf8(value.as_py()) for i, value in zip(bad, raw, strict=True)}
        values = _with_nulls(values, bad)
    return values.cast(pa.string()), faults


def as_joined(values: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """Return texts, or the elements of lists of texts joined by SEAM, likewise; of no element the text is empty."""
    if not is_list(values.type):
        return as_strings(values)
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    flat, bad = as_strings(values.flatten())
    ends = np.cumsum(lengths)
    faults = {int(np.searchsorted(ends, i, side="right")): detail for i, detail in sorted(bad.items(), reverse=True)}
    if flat.null_count:
        rows = np.repeat(np.arange(len(values)), lengths)
        lengths = np.bincount(rows[flat.is_valid().to_numpy(zero_copy_only=False)], minlength=len(values))
        flat = flat.drop_null()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), flat), SEAM)
    return (_with_nulls(joined, list(faults)) if faults else joined), faults


def as_elements(values: pa.Array) -> list[list[str]]:
    """Return the texts of each row that are not empty; only for the few rows that are kept, and valid ones."""
    lists: list[Any] = values.to_pylist() if is_list(values.type) else [[text] for text in values.to_pylist()]
    return [[_decoded(text) for text in row or [] if text] for row in lists]


def _decoded(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode()


def _with_nulls(values: pa.Array, places: list[int]) -> pa.Array:
    is_bad = np.zeros(len(values), bool)
    is_bad[places] = True
    # take leaves no bytes under a null; if_else would, and kernels stumble over them
    return values.take(pa.array(np.arange(len(values)), mask=is_bad))


def is_blank(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return true where a text is null, empty or Unicode white space only."""
    is_empty = pc.equal(pc.binary_length(texts), 0)
    return pc.fill_null(pc.or_(is_empty, pc.utf8_is_space(texts)), True)


def count_blank(texts: pa.Array) -> int:
    """Return how many texts are blank; only those that do not begin with a printable ASCII character are looked at."""
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        return pc.sum(is_blank(texts)).as_py() or 0
    if not len(texts) or texts.buffers()[2] is None:
        return len(texts)
    offsets = text_offsets(texts)
    characters = np.frombuffer(texts.buffers()[2], np.uint8)
    first = characters[np.minimum(offsets[:-1], len(characters) - 1)] if len(characters) else np.zeros(len(texts))
    may_be = (offsets[1:] == offsets[:-1]) | (first < _PRINTABLE[0]) | (first > _PRINTABLE[1])
    if texts.null_count:
        may_be |= texts.is_null().to_numpy(zero_copy_only=False)
    return pc.sum(is_blank(texts.take(pa.array(np.flatnonzero(may_be))))).as_py() or 0


def text_offsets(texts: pa.Array) -> npt.NDArray[Any]:
    """Return where each text begins in the buffer of characters, and where the last one ends."""
    offset_type = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    return np.frombuffer(texts.buffers()[1], offset_type)[texts.offset : texts.offset + len(texts) + 1]
