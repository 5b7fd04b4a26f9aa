"""Find our columns among those of a parquet file, and convert rows to them.

`stages/readers/parquet/reader.py` reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpus import REQUIRED_COLUMNS, Corpus
from schemas.fields import FIELD
from stages.readers.batch import COLUMNS, Choices, Chosen, Malformed, SourceFileError, rows_table
from stages.readers.formats.texts import SEAM, as_elements, as_joined, as_strings, is_blank, is_list, is_text

_INT32 = range(-(1 << 31), 1 << 31)
_INT64_END = float(1 << 63)
_NUMBER = r"^[+-]?[0-9]{1,18}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?$"
_MARKED = ("image_licence", "nsfw")  # columns to which a corpus's null markers apply


@dataclass(frozen=True)
class Layout:
    """The file's columns to read.

    Attributes:
        names: the file's name of each of our columns.
        searched: the file's columns to search for keywords, joined by line ends.
        other_texts: the file's columns with other texts of the image.
    """

    names: Mapping[str, str]
    searched: tuple[str, ...]
    other_texts: tuple[str, ...] = ()

    @property
    def has_several_texts(self) -> bool:
        """Whether the caption differs from the searched text."""
        return bool(self.other_texts) or self.searched != (self.names["source_caption"],)

    @property
    def others(self) -> list[str]:
        """The file's columns that are needed only for rows with a keyword."""
        known = () if self.has_several_texts else (self.names["source_caption"],)
        return list(dict.fromkeys(n for n in (*self.names.values(), *self.other_texts) if n not in known))


def find_layout(path: Path, corpus: Corpus, choices: Choices, schema: pa.Schema) -> Layout:
    """Return the file's columns to read, after checking names and types.

    Raises:
        SourceFileError: a column is missing, ambiguous or of an impossible type.
    """
    names = _find_names(path, corpus, schema)
    if corpus.is_size_swapped and not _has_any(schema, corpus.size_is_right_with):
        width, height = names.pop("published_width_px", None), names.pop("published_height_px", None)
        swapped = {"published_width_px": height, "published_height_px": width}
        names |= {column: name for column, name in swapped.items() if name is not None}
    if not corpus.text_columns:
        return Layout(names, (names["source_caption"],))
    needed = (*choices.coco_searched, choices.coco_caption)
    found = {wanted: _find_one(path, (wanted,), schema) for wanted in corpus.text_columns}
    texts = {wanted: name for wanted, name in found.items() if name is not None}
    for wanted in needed:
        if wanted not in texts:
            raise _wrong(path, f"expected a column {wanted}, found {schema.names}", corpus)
    for wanted, name in list(texts.items()):
        found_type = schema.field(name).type
        if wanted in needed:
            _check_text(path, name, found_type, may_be_list=True)
        elif not _is_text(found_type, may_be_list=True):
            del texts[wanted]
    caption = texts[choices.coco_caption]
    searched = tuple(texts[wanted] for wanted in choices.coco_searched)
    return Layout(names | {"source_caption": caption}, searched, tuple(n for n in texts.values() if n != caption))


def _find_names(path: Path, corpus: Corpus, schema: pa.Schema) -> dict[str, str]:
    names: dict[str, str] = {}
    for column, accepted in corpus.columns.items():
        if column == "source_caption" and corpus.text_columns:
            continue
        wanted = tuple(map(str, accepted))
        name = _find_one(path, wanted, schema)
        if column in REQUIRED_COLUMNS:
            if name is None:
                said = f"expected a column {' or '.join(wanted)} for {column}, found {schema.names}"
                raise _wrong(path, said, corpus)
            _check_text(path, name, schema.field(name).type)
        if name is not None and _can_convert(schema.field(name).type, FIELD[column].type):
            names[column] = name  # an optional column of another type is null, since a row must not be lost for it
    return names


def _find_one(path: Path, accepted: tuple[str, ...], schema: pa.Schema) -> str | None:
    for wanted in accepted:
        exact = [name for name in schema.names if name == wanted]
        matching = exact or [name for name in schema.names if name.lower() == wanted.lower()]
        if len(matching) > 1:
            found = f"{path.name}: expected one column {wanted}, found {matching}; take the file apart"
            raise SourceFileError(found, "wrong_columns")
        if matching:
            return str(matching[0])
    return None


def _wrong(path: Path, found: str, corpus: Corpus) -> SourceFileError:
    return SourceFileError(
        f"{path.name}: {found}; put {corpus.title}'s own files there, or name the column in"
        f" manifests/corpora/{corpus.code}.toml",
        "wrong_columns",
    )


def _has_any(schema: pa.Schema, wanted: tuple[str, ...]) -> bool:
    return bool({name.lower() for name in schema.names} & {name.lower() for name in wanted})


def _check_text(path: Path, name: str, found: pa.DataType, *, may_be_list: bool = False) -> None:
    if not _is_text(found, may_be_list=may_be_list):
        raise SourceFileError(
            f"{path.name}: expected text in column {name}, found {found}; the file is not of this corpus, or of a"
            " version that is not known yet: convert the column to text",
            "wrong_columns",
        )


def _is_text(found: pa.DataType, *, may_be_list: bool = False) -> bool:
    base = _plain_type(found.value_type if may_be_list and is_list(found) else found)
    return is_text(base) or pa.types.is_null(base)


def _plain_type(found: pa.DataType) -> pa.DataType:
    return found.value_type if pa.types.is_dictionary(found) else found


def _can_convert(found: pa.DataType, ours: pa.DataType) -> bool:
    types, base = pa.types, _plain_type(found)
    is_number = types.is_integer(base) or types.is_floating(base) or types.is_decimal(base)
    is_word = types.is_boolean(base) or types.is_temporal(base)
    return is_text(base) or is_number or types.is_null(base) or (types.is_string(ours) and is_word and _has_text(base))


def _has_text(found: pa.DataType) -> bool:
    """Return whether Arrow can write values of a type as texts: not if it does not know their time zone."""
    try:
        pa.nulls(1, found).cast(pa.string())
    except pa.ArrowException:
        return False
    return True


def read_searched(columns: list[pa.Array], layout: Layout) -> tuple[pa.Array, dict[int, str]]:
    """Return the texts to search, null if not UTF-8, and the faults by position.

    Args:
        columns: the columns of layout.searched, in order.
        layout: names of the columns.
    """
    found = [as_joined(values) for values in columns]
    faults: dict[int, str] = {}
    for name, (_, bad) in zip(layout.searched, found, strict=True):
        faults |= {i: f"{name}: {detail}" for i, detail in bad.items() if i not in faults}
    if len(found) == 1:
        return found[0][0], faults
    texts = pc.binary_join_element_wise(*(text for text, _ in found), SEAM, null_handling="skip")
    return texts.take(pa.array([None if i in faults else i for i in range(len(texts))])) if faults else texts, faults


def convert_rows(rows: pa.Array, searched: pa.Array, found: pa.Table, corpus: Corpus, layout: Layout) -> Chosen:
    """Return the rows in our columns; rows with invalid UTF-8 or with shifted fields are malformed.

    Args:
        rows: int64, positions in the file.
        searched: their searched texts, checked.
        found: the columns layout.others of these rows.
        corpus: has the null markers.
        layout: names of the columns.
    """
    columns = {"source_row": rows}
    faults: dict[int, tuple[str, str]] = {}

    def note(name: str, bad: Mapping[int, str], reason: str = "invalid_utf8") -> None:
        faults.update({i: (reason, f"{name}: {detail}") for i, detail in bad.items() if i not in faults})

    for column in COLUMNS:
        if column not in layout.names or column == "source_caption":
            continue
        name = layout.names[column]
        values = found[name].combine_chunks()
        markers = corpus.null_markers if column in _MARKED else ()
        columns[column], bad = _convert(values, FIELD[column].type, markers)
        note(name, bad)
    if corpus.has_shifted_rows and "similarity" in columns:
        note(layout.names["similarity"], _out_of_range(columns["similarity"]), "shifted_row")
    columns = {column: _finite(values) for column, values in columns.items()}
    if layout.has_several_texts:
        for name in (layout.names["source_caption"], *layout.other_texts):
            note(name, as_joined(found[name].combine_chunks())[1])
    if faults:
        is_good = pa.array([i not in faults for i in range(len(rows))], pa.bool_())
        columns = {name: values.filter(is_good) for name, values in columns.items()}
        searched, found = searched.filter(is_good), found.filter(is_good)
    columns |= _captions(searched, found, layout)
    malformed = (Malformed(rows[i].as_py(), *faults[i]) for i in sorted(faults))
    return Chosen(rows_table(columns), tuple(malformed))


def _captions(searched: pa.Array, found: pa.Table, layout: Layout) -> dict[str, pa.Array]:
    searched = searched.cast(pa.string())
    if not layout.has_several_texts:
        return {"source_caption": searched}
    published, _ = as_joined(found[layout.names["source_caption"]].combine_chunks())
    # If the chosen caption is missing, the sample gets the text in which its keyword was found.
    caption = pc.if_else(is_blank(published), searched, published)
    texts = [as_elements(found[name].combine_chunks()) for name in layout.other_texts]
    others = [[text for texts_of_row in row for text in texts_of_row] for row in zip(*texts, strict=True)]
    return {
        "source_caption": caption,
        "searched_text": pc.if_else(pc.equal(searched, caption), pa.scalar(None, pa.string()), searched),
        "other_texts": pa.array(others or [[]] * len(searched), FIELD["other_texts"].type),
    }


def _out_of_range(similarity: pa.Array) -> dict[int, str]:
    outside = pc.indices_nonzero(pc.fill_null(pc.greater(pc.abs(similarity), 1.0), False)).to_pylist()
    return {i: f"{similarity[i].as_py():g}, expected a cosine in [-1, 1]" for i in outside}


def _convert(values: pa.Array, ours: pa.DataType, markers: tuple[str, ...]) -> tuple[pa.Array, dict[int, str]]:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_string(ours):
        if pa.types.is_floating(values.type):  # an id converted by pandas
            values = _whole_numbers(values)
        if not (is_text(values.type) or pa.types.is_null(values.type)):
            return values.cast(pa.string()), {}
        texts, faults = as_strings(values)
        is_marker = pc.is_in(texts, value_set=pa.array(markers, pa.string()))
        return pc.if_else(is_marker, pa.scalar(None, pa.string()), texts) if markers else texts, faults
    if is_text(values.type):
        values = _numbers(as_strings(values)[0])
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    if pa.types.is_uint64(values.type):
        values = values.cast(pa.float64(), safe=False)  # as int64, the largest would be negative
    if pa.types.is_integer(ours):
        wide = _whole_numbers(values) if pa.types.is_floating(values.type) else values.cast(pa.int64(), safe=False)
        fits = pc.and_(pc.greater_equal(wide, _INT32.start), pc.less(wide, _INT32.stop))
        return pc.if_else(fits, wide, pa.scalar(None, pa.int64())).cast(pa.int32()), {}
    return values.cast(pa.float64()), {}


def _finite(values: pa.Array) -> pa.Array:
    """Return values with null for floats that are not finite."""
    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))


def _whole_numbers(values: pa.Array) -> pa.Array:
    """Return floats as int64; null if not finite or too large."""
    doubles = values.cast(pa.float64())
    fits = pc.and_(pc.greater_equal(doubles, -_INT64_END), pc.less(doubles, _INT64_END))
    return pc.if_else(fits, doubles, pa.scalar(None, pa.float64())).cast(pa.int64(), safe=False)


def _numbers(texts: pa.Array) -> pa.Array:
    """Return texts as numbers; null if a text is none."""
    is_number = pc.match_substring_regex(texts, _NUMBER)
    return pc.if_else(is_number, texts, pa.scalar(None, pa.string())).cast(pa.float64())
