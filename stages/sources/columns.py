"""Find our columns among those of a parquet file, and convert rows to them.

Not for reading: that is `stages/sources/parquet_reader.py`.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpora import REQUIRED_COLUMNS, Corpus
from schemas.fields import FIELD
from stages.sources.batch import (
    COLUMNS,
    Chosen,
    Malformed,
    SourceFileError,
    describe_invalid_utf8,
    find_invalid_utf8,
    rows_table,
)

_INT32 = range(-(1 << 31), 1 << 31)
_INT64_END = float(1 << 63)
_MARKED = ("image_licence", "nsfw")  # columns in which a corpus's null markers count


def source_names(path: Path, corpus: Corpus, schema: pa.Schema) -> dict[str, str]:
    """Return the file's name for each of our columns it has, once names and types are found in order."""
    names: dict[str, str] = {}
    for column, accepted in corpus.columns.items():
        for wanted in map(str, accepted):
            exact = [name for name in schema.names if name == wanted]
            matching = exact or [name for name in schema.names if name.lower() == wanted.lower()]
            if len(matching) > 1:
                raise SourceFileError(f"{path}: expected one column {wanted}, found {matching}; take the file apart")
            if matching:
                names[column] = matching[0]
                _check_type(path, matching[0], schema.field(matching[0]).type, column)
                break
        else:
            if column in REQUIRED_COLUMNS:
                raise SourceFileError(
                    f"{path}: expected a column {' or '.join(map(str, accepted))} for {column}, found {schema.names};"
                    f" put {corpus.title}'s own files there, or name the column in manifests/corpora/{corpus.code}.toml"
                )
    if corpus.is_size_swapped and not _has_any(schema, corpus.size_is_right_with):
        width, height = names.pop("published_width_px", None), names.pop("published_height_px", None)
        swapped = {"published_width_px": height, "published_height_px": width}
        names |= {column: name for column, name in swapped.items() if name is not None}
    return names


def _has_any(schema: pa.Schema, wanted: tuple[str, ...]) -> bool:
    return bool({name.lower() for name in schema.names} & {name.lower() for name in wanted})


def _check_type(path: Path, name: str, found: pa.DataType, column: str) -> None:
    base = found.value_type if pa.types.is_dictionary(found) else found
    is_ours_text = pa.types.is_string(FIELD[column].type)
    is_number = pa.types.is_integer(base) or pa.types.is_floating(base)
    fits = _is_text(base) if is_ours_text else is_number
    if not (fits or pa.types.is_null(base) or (column == "native_id" and is_number)):
        raise SourceFileError(
            f"{path}: expected {'text' if is_ours_text else 'numbers'} in column {name}, found {found};"
            " the file is not of this corpus, or of a version that is not known yet"
        )


def _is_text(base: pa.DataType) -> bool:
    # Files without the UTF8 mark show their texts as binary.
    types = pa.types
    return any(
        is_it(base) for is_it in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    )


def as_strings(values: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """Return texts as valid strings, null where they are not UTF-8, and what is wrong with those by position."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_null(values.type):
        return values.cast(pa.string()), {}
    if values.type in (pa.binary(), pa.large_binary()):
        values = values.view(pa.string() if values.type == pa.binary() else pa.large_string())
    faults = {}
    if bad := find_invalid_utf8(values):
        raw = values.take(pa.array(bad)).view(pa.binary() if values.type == pa.string() else pa.large_binary())
        faults = {i: describe_invalid_utf8(value.as_py()) for i, value in zip(bad, raw, strict=True)}
        is_bad = np.zeros(len(values), bool)
        is_bad[bad] = True
        # take leaves no bytes under a null; if_else would, and kernels stumble over them
        values = values.take(pa.array(np.arange(len(values)), mask=is_bad))
    return values.cast(pa.string()), faults


def convert_rows(rows: pa.Array, captions: pa.Array, found: pa.Table, corpus: Corpus, names: dict[str, str]) -> Chosen:
    """Return the rows in our columns; those with a text that is not UTF-8 are malformed.

    Args:
        rows: int64, positions in the file.
        captions: their captions, checked.
        found: the other columns of these rows, under the file's names.
        corpus: its null markers count.
        names: the file's name for each of our columns it has.
    """
    columns = {"source_row": rows, "source_caption": captions}
    faults: dict[int, str] = {}
    for column in COLUMNS:
        if column == "source_caption":
            continue
        if column not in names:
            continue
        values = found[names[column]].combine_chunks()
        columns[column], bad = _convert(values, FIELD[column].type, corpus.null_markers if column in _MARKED else ())
        faults |= {i: f"{names[column]}: {detail}" for i, detail in bad.items() if i not in faults}
    table = rows_table(columns)
    if not faults:
        return Chosen(table, ())
    malformed = tuple(Malformed(rows[i].as_py(), "invalid_utf8", faults[i]) for i in sorted(faults))
    return Chosen(table.take(pa.array([i for i in range(len(rows)) if i not in faults], pa.int64())), malformed)


def _convert(values: pa.Array, ours: pa.DataType, markers: tuple[str, ...]) -> tuple[pa.Array, dict[int, str]]:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_string(ours):
        if pa.types.is_floating(values.type):  # an id that went through pandas
            values = _whole_numbers(values)
        if pa.types.is_integer(values.type):
            return values.cast(pa.string()), {}
        texts, faults = as_strings(values)
        is_marker = pc.is_in(texts, value_set=pa.array(markers, pa.string()))
        return pc.if_else(is_marker, pa.scalar(None, pa.string()), texts) if markers else texts, faults
    if pa.types.is_integer(ours):
        wide = _whole_numbers(values) if pa.types.is_floating(values.type) else values.cast(pa.int64(), safe=False)
        fits = pc.and_(pc.greater_equal(wide, _INT32.start), pc.less(wide, _INT32.stop))
        return pc.if_else(fits, wide, pa.scalar(None, pa.int64())).cast(pa.int32()), {}
    doubles = values.cast(pa.float64())
    return pc.if_else(pc.is_nan(doubles), pa.scalar(None, pa.float64()), doubles), {}


def _whole_numbers(values: pa.Array) -> pa.Array:
    """Return floats as int64; null where they are not finite or too large."""
    doubles = values.cast(pa.float64())
    fits = pc.and_(pc.greater_equal(doubles, -_INT64_END), pc.less(doubles, _INT64_END))
    return pc.if_else(fits, doubles, pa.scalar(None, pa.float64())).cast(pa.int64(), safe=False)
