"""Convert columns of texts to valid strings: report invalid UTF-8 by position, join lists, count blank texts.

`stages/readers/parquet/columns.py` decides which columns are searched or kept.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.readers.batch import describe_invalid_utf8, find_invalid_utf8

SEAM = "\n"  # between joined texts: no keyword contains it, and cleaning replaces it with a space
_PRINTABLE = (0x21, 0x7E)


def is_text(found: pa.DataType) -> bool:
    """Return whether a type holds texts; in files without the UTF8 annotation they are binary."""
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
    """Return texts as valid strings, null if not UTF-8, and the faults by position."""
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
    """Return the same for texts, or for lists of texts joined by SEAM; the text of an empty list is empty."""
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
    """Return the non-empty texts of each row; for valid rows, and only for the few that are kept."""
    lists: list[Any] = values.to_pylist() if is_list(values.type) else [[text] for text in values.to_pylist()]
    return [[_decoded(text) for text in row or [] if text] for row in lists]


def _decoded(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode()


def _with_nulls(values: pa.Array, places: list[int]) -> pa.Array:
    is_bad = np.zeros(len(values), bool)
    is_bad[places] = True
    # take leaves no bytes under a null; if_else does, and some kernels fail on them
    return values.take(pa.array(np.arange(len(values)), mask=is_bad))


def is_blank(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return true if a text is null, empty or only Unicode white space."""
    is_empty = pc.equal(pc.binary_length(texts), 0)
    return pc.fill_null(pc.or_(is_empty, pc.utf8_is_space(texts)), True)


def count_characters(texts: pa.Array | pa.ChunkedArray, most: int = 32_768) -> int:
    """Return the number of characters of all texts; those of more than `most` count as that, as they are searched."""
    return pc.sum(pc.min_element_wise(pc.utf8_length(texts), most)).as_py() or 0


def count_blank(texts: pa.Array) -> int:
    """Return the number of blank texts; only texts that do not begin with printable ASCII are inspected."""
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        return pc.sum(is_blank(texts)).as_py() or 0
    if not len(texts) or texts.buffers()[2] is None:
        return len(texts)
    offsets = text_offsets(texts)
    characters = np.frombuffer(texts.buffers()[2], np.uint8)
    # An empty text at the end begins after the last character: clipped, it has another's, and counts by its length.
    first = characters.take(offsets[:-1], mode="clip") if len(characters) else np.zeros(len(texts), np.uint8)
    first -= np.uint8(_PRINTABLE[0])  # smaller values wrap to large ones: one comparison for both ends
    may_be = first > _PRINTABLE[1] - _PRINTABLE[0]
    may_be |= offsets[1:] == offsets[:-1]
    if texts.null_count:
        may_be |= texts.is_null().to_numpy(zero_copy_only=False)
    return pc.sum(is_blank(texts.take(pa.array(np.flatnonzero(may_be))))).as_py() or 0


def text_offsets(texts: pa.Array) -> npt.NDArray[Any]:
    """Return the offsets of the texts in the character buffer, and of the end of the last one."""
    offset_type = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    return np.frombuffer(texts.buffers()[1], offset_type)[texts.offset : texts.offset + len(texts) + 1]
