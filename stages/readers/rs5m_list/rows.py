"""Read the rows of one of RS5M's lists, CSV or parquet: image name, text and URL.

`names.py` parses the names. Pickles are never opened, because they can run code.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from stages.readers.batch import SourceFileError
from stages.readers.formats.csv_records import (
    RecordFault,
    Unended,
    count_records,
    read_records,
    split_record,
    split_records,
)
from stages.readers.formats.lines import MAX_LINE_BYTES, has_control, zero_runs
from stages.readers.formats.texts import as_strings
from stages.readers.parquet.opening import FAULTS, describe, open_parquet
from stages.readers.parquet.plain import plain_batch, plain_schema
from stages.readers.rs5m_list.names import begins_row, sample_id_of

# Names of the columns, the most common first; our own lists have published_text, metadata.csv of a folder file_name.
_NAMES = {
    "name": ("img_name", "image_name", "name", "key", "file_name"),
    "text": ("text", "caption", "published_text"),
    "url": ("url",),
}
_ADDRESS = re.compile(rb',"?https?://')  # a row has one
_BATCH_ROWS = 1 << 15


class Layout(NamedTuple):
    """The positions of name, text and URL in a record."""

    name: int
    text: int
    url: int
    n_fields: int
    has_header: bool


@dataclass(frozen=True)
class ListRows:
    """Consecutive rows of a list.

    Attributes:
        first_row: position in the file of the first row, without the header.
        names, texts, urls: strings as published, null if missing or if the row cannot be read.
        faults: reason and detail of the rows that cannot be read, by position among these rows.
    """

    first_row: int
    names: pa.Array
    texts: pa.Array
    urls: pa.Array
    faults: Mapping[int, tuple[str, str]]


def read_list(path: Path) -> Iterator[ListRows]:
    """Yield the rows of one list.

    Raises:
        SourceFileError: the list cannot be read beyond some point, or lacks the columns.
    """
    return _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)


def count_list(path: Path) -> int:
    """Return the number of rows, by the positions of quotes and line ends, or from a footer.

    Everything after a fault counts as one.
    """
    try:
        if path.suffix.lower() == ".parquet":
            with open_parquet(path) as file:
                _parquet_columns(path, plain_schema(file.schema_arrow))
                return int(file.metadata.num_rows)
        first = next((records[0] for records in read_records(path, begins_row=begins_row) if records), None)
        has_header = first is not None and _layout(path, first).has_header
        try:
            return count_records(path, begins_row=begins_row) - has_header
        except SourceFileError as error:
            error.n_rows_before -= has_header
            raise
    except SourceFileError as error:
        return error.n_rows_before + 1


def _read_csv(path: Path) -> Iterator[ListRows]:
    layout, first_row = None, 0
    for records in read_records(path, begins_row=begins_row):
        if records and layout is None:
            layout = _layout(path, records[0])
            records = records[layout.has_header :]
        if layout is not None:
            yield _csv_rows(records, layout, first_row)
        first_row += len(records)


def _csv_rows(records: Sequence[bytes], layout: Layout, first_row: int) -> ListRows:
    faults: dict[int, tuple[str, str]] = {}
    rows: list[Sequence[str | None]] = []
    nothing = (None,) * layout.n_fields
    for i, fields in enumerate(split_records(records)):
        if isinstance(fields, RecordFault):
            faults[i] = fields.reason, fields.detail
        elif len(fields) != layout.n_fields:
            faults[i] = "wrong_field_count", f"{len(fields)} fields, expected {layout.n_fields}"
        elif zero_runs(records[i]):
            faults[i] = "damaged_source", "zeros in the row, which may have been line ends"
        else:
            rows.append(fields)
            continue
        rows.append(nothing)
    faults = {i: _torn(records[i], layout, *fault) for i, fault in faults.items()}
    places = (layout.name, layout.text, layout.url)
    names, texts, urls = (pa.array([row[place] for row in rows], pa.string()) for place in places)
    return ListRows(first_row, names, texts, urls, faults)


def _torn(record: bytes, layout: Layout, reason: str, detail: str) -> tuple[str, str]:
    """Return reason and detail of a refused record; those of a damaged stretch if other rows may be lost in it."""
    if reason == "field_too_large" or len(record) >= MAX_LINE_BYTES:
        return reason, detail
    if isinstance(record, Unended):
        return "damaged_source", f"the file ends inside a row: {detail}"
    is_no_text = reason == "invalid_utf8" and (has_control(record) or record.count(b",") < layout.n_fields - 1)
    if is_no_text or zero_runs(record) or len(_ADDRESS.findall(record)) > 1:
        return "damaged_source", f"rows may be lost: {detail}"
    return reason, detail


def _layout(path: Path, first: bytes) -> Layout:
    """Return the positions of the columns by the header, or without one by order, after an index if any."""
    try:
        cells = split_record(first.decode("utf-8", "replace"))
    except RecordFault as fault:
        raise _wrong_columns(path, fault.detail) from None
    known = {column: place for column in _NAMES if (place := _place(column, cells)) is not None}
    if known.keys() == _NAMES.keys():
        return Layout(known["name"], known["text"], known["url"], len(cells), True)
    for index in (0, 1):
        if len(cells) >= index + 3 and isinstance(sample_id_of(cells[index]), str):
            return Layout(index, index + 1, index + 2, len(cells), False)
    if other := _other_format(first):
        raise SourceFileError(f"{path.name}: {other}", "wrong_columns")
    raise _wrong_columns(path, str(cells[:8]))


def _other_format(first: bytes) -> str:
    """Return what was expected and found, and what to do, if commas or line ends are others; else ""."""
    if b"\r" in first.rstrip(b"\r"):
        return "expected lines that end with LF or CR LF, found CR alone; convert the line ends"
    names = {b";": "semicolons", b"\t": "tabs", b"|": "bars"}
    found = next((name for mark, name in names.items() if first.count(mark) >= len(_NAMES) - 1), "")
    return f"expected commas between fields, found {found}; convert it to CSV with commas" if found else ""


def _place(column: str, cells: Sequence[str]) -> int | None:
    lowered = [cell.strip().lower() for cell in cells]
    return next((lowered.index(name) for name in _NAMES[column] if name in lowered), None)


def _wrong_columns(path: Path, found: str) -> SourceFileError:
    expected = ", ".join(" or ".join(names) for names in _NAMES.values())
    return SourceFileError(f"{path.name}: expected columns {expected}; found {found}", "wrong_columns")


def _read_parquet(path: Path) -> Iterator[ListRows]:
    with open_parquet(path) as file:
        names = _parquet_columns(path, plain_schema(file.schema_arrow))
        first_row = 0
        try:
            for batch in map(
                plain_batch, file.iter_batches(_BATCH_ROWS, columns=list(names.values()), use_threads=False)
            ):
                columns = {column: as_strings(batch.column(name)) for column, name in names.items()}
                faults = {
                    i: ("invalid_utf8", f"{names[column]}: {detail}")
                    for column, (_, bad) in columns.items()
                    for i, detail in bad.items()
                }
                found, texts, urls = (columns[column][0] for column in _NAMES)
                yield ListRows(first_row, found, texts, urls, faults)
                first_row += batch.num_rows
        except FAULTS as error:
            left = file.metadata.num_rows - first_row
            raise SourceFileError(describe(path, str(error)), n_rows=left, path=path) from error


def _parquet_columns(path: Path, schema: pa.Schema) -> dict[str, str]:
    places = {column: _place(column, schema.names) for column in _NAMES}
    names = {column: schema.names[place] for column, place in places.items() if place is not None}
    if names.keys() != _NAMES.keys():
        raise _wrong_columns(path, str(schema.names[:8]))
    for name in names.values():
        base = schema.field(name).type
        base = base.value_type if pa.types.is_dictionary(base) else base
        if base not in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.null()):
            raise _wrong_columns(path, f"{name} of the type {base}")
    return names
