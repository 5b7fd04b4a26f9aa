"""Read further texts from CSV with a header, JSON lines or parquet: a key and one or more texts a row.

Not for joining them with samples.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from schemas.text_manifests import TextSource
from stages.readers.batch import SourceFileError, describe_invalid_utf8
from stages.readers.formats.csv_records import (
    MAX_FIELD_CHARACTERS,
    RecordFault,
    read_records,
    split_record,
    split_records,
)
from stages.readers.formats.lines import MAX_LINE_BYTES, read_blocks, zero_runs
from stages.readers.formats.texts import as_elements, as_joined, as_strings, is_list, is_text
from stages.readers.parquet.opening import FAULTS, describe, open_parquet
from stages.readers.parquet.plain import plain_batch, plain_schema

_BATCH_ROWS = 1 << 14
_PACKED = re.compile(r"\.(gz|bz2|xz)$")


class TextRow(NamedTuple):
    """A row of a file: its key and texts, or why it cannot be read."""

    key: str
    texts: list[str]
    reason: str = ""
    detail: str = ""


def read_texts(path: Path, source: TextSource) -> Iterator[list[TextRow]]:
    """Yield the rows of a file in order, some at once.

    Raises:
        SourceFileError: the file cannot be read beyond some point, or lacks a column.
    """
    ending = _PACKED.sub("", path.name.lower()).rpartition(".")[2]
    if ending == "parquet":
        yield from _parquet(path, source)
    elif ending in ("jsonl", "ndjson", "json"):
        yield from _json_lines(path, source)
    elif ending == "csv":
        yield from _csv(path, source)
    else:
        raise _wrong(path, f"the ending .{ending}; expected .csv, .jsonl or .parquet")


def _csv(path: Path, source: TextSource) -> Iterator[list[TextRow]]:
    places: tuple[int, int, int] | None = None
    for records in read_records(path):
        if records and places is None:
            places = _places(path, records[0], source)
            records = records[1:]
        rows = []
        for record, fields in zip(records, split_records(records), strict=True):
            if isinstance(fields, RecordFault):
                rows.append(TextRow("", [], fields.reason, fields.detail))
            elif record.count(b'"') % 2:
                rows.append(TextRow("", [], "bad_record", "a quote that is never closed"))
            elif zero_runs(record):
                rows.append(TextRow("", [], "bad_record", "zeros in the row"))
            elif places is not None and len(fields) != places[2]:
                rows.append(TextRow("", [], "wrong_field_count", f"{len(fields)} fields, expected {places[2]}"))
            elif places is not None:
                rows.append(_checked(fields[places[0]], [fields[places[1]]]))
        yield rows
    if places is None:
        raise _wrong(path, "no line")


def _places(path: Path, header: bytes, source: TextSource) -> tuple[int, int, int]:
    try:
        cells = [cell.strip() for cell in split_record(header.decode("utf-8", "replace"))]
        return cells.index(source.key_column), cells.index(source.text_column), len(cells)
    except (RecordFault, ValueError):
        raise _wrong(path, f"the header {header[:200]!r}; expected {_columns(source)}") from None


def _json_lines(path: Path, source: TextSource) -> Iterator[list[TextRow]]:
    for block in read_blocks(path):
        yield [_of_json(line, source) for line in block.removesuffix(b"\n").split(b"\n")]


def _of_json(line: bytes, source: TextSource) -> TextRow:
    if len(line) >= MAX_LINE_BYTES:
        return TextRow("", [], "field_too_large", f"a line of {MAX_LINE_BYTES} bytes or more")
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            line.decode()
        except UnicodeDecodeError:
            return TextRow("", [], "invalid_utf8", describe_invalid_utf8(line))
        return TextRow("", [], "bad_record", f"no JSON: {error}" if line.strip() else "a blank line")
    if not isinstance(found, dict):
        return TextRow("", [], "bad_record", f"expected an object, found {type(found).__name__}")
    key, text = found.get(source.key_column), found.get(source.text_column)
    texts = text if isinstance(text, list) else [text]
    if isinstance(key, bool) or not isinstance(key, str | int):
        return TextRow("", [], "bad_record", f"{source.key_column} is {_kind(key)}, expected a text")
    if odd := next((one for one in texts if not isinstance(one, str)), None) if texts != [None] else None:
        return TextRow(str(key), [], "bad_record", f"{source.text_column} has {_kind(odd)}, expected texts")
    return _checked(str(key), [one or "" for one in texts])


def _parquet(path: Path, source: TextSource) -> Iterator[list[TextRow]]:
    with open_parquet(path) as file:
        schema = plain_schema(file.schema_arrow)
        names = [source.key_column, source.text_column]
        if missing := [name for name in names if schema.get_field_index(name) < 0]:
            raise _wrong(path, f"no single column {missing[0]} among {schema.names[:8]}")
        key_type, text_type = (schema.field(name).type for name in names)
        if not (_is_key(key_type) and (is_text(text_type) or (is_list(text_type) and is_text(text_type.value_type)))):
            raise _wrong(path, f"columns of the types {key_type} and {text_type}; expected texts")
        n_read = 0
        try:
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(dict.fromkeys(names)), use_threads=False):
                plain = plain_batch(batch)
                yield _of_batch(*(plain.column(name) for name in names))
                n_read += batch.num_rows
        except FAULTS as error:
            left = file.metadata.num_rows - n_read
            raise SourceFileError(describe(path, str(error)), n_rows=left, path=path) from error


def _of_batch(keys: pa.Array, texts: pa.Array) -> list[TextRow]:
    found, bad = as_strings(keys) if is_text(_value_type(keys.type)) else (keys.cast(pa.string()), {})
    _, unread = as_joined(texts)  # finds texts that are not UTF-8
    faults = {**unread, **bad}
    sound = [place for place in range(len(keys)) if place not in faults]
    elements = dict(zip(sound, as_elements(texts.take(pa.array(sound, pa.int64()))), strict=True))
    return [
        TextRow("", [], "invalid_utf8", faults[place])
        if place in faults
        else _checked(key or "", elements[place] or [""])
        for place, key in enumerate(found.to_pylist())
    ]


def _value_type(found: pa.DataType) -> pa.DataType:
    return found.value_type if pa.types.is_dictionary(found) else found


def _is_key(found: pa.DataType) -> bool:
    return is_text(_value_type(found)) or pa.types.is_integer(found)


def _checked(key: str, texts: list[str]) -> TextRow:
    if not key.strip():
        return TextRow("", [], "bad_record", "no key")
    if longest := max((len(one) for one in (key, *texts) if len(one) > MAX_FIELD_CHARACTERS), default=0):
        return TextRow(key[:200], [], "field_too_large", f"a field of {longest} characters")
    return TextRow(key.strip(), texts or [""])


def _kind(value: Any) -> str:
    return "missing" if value is None else type(value).__name__


def _columns(source: TextSource) -> str:
    return f"columns {source.key_column} and {source.text_column}"


def _wrong(path: Path, found: str) -> SourceFileError:
    return SourceFileError(f"{path.name}: found {found}", "wrong_columns", path=path)
