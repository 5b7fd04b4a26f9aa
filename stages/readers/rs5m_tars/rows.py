"""Read the samples of a released PUB11 tar as rows of a list: image name, published text, and image location.

`stages/readers/rs5m_list/reader.py` handles names and repetitions, as it does for published lists.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from stages.readers.batch import SourceFileError
from stages.readers.formats.lines import MAX_LINE_BYTES
from stages.readers.rs5m_list.rows import ListRows
from stages.readers.rs5m_tars.located import Located
from stages.readers.rs5m_tars.members import (
    Body,
    PackedSample,
    TarDamage,
    count_samples,
    read_body,
    walk_samples,
)

MAX_NAME_BYTES = 1000
_BATCH_ROWS = 1000
_BLOCK_BYTES = 1 << 20

Row = tuple[str | None, str | None, str | None]  # name, text, URL


def is_tar(path: Path) -> bool:
    """Return whether a file's name is that of a tar."""
    return path.suffix == ".tar"


def read_tar(path: Path, shown: str) -> Iterator[ListRows]:
    """Yield the samples of a tar.

    Args:
        path: the tar.
        shown: its path under SOURCES, for the URLs.

    Raises:
        SourceFileError: the tar cannot be read to its end.
    """
    rows: list[Row] = []
    faults: dict[int, tuple[str, str]] = {}
    n_before = 0
    with path.open("rb") as file:
        try:
            for sample in walk_samples(file):
                row, fault = _row(file, sample, shown)
                rows.append(row)
                if fault is not None:
                    faults[len(rows) - 1] = fault
                if len(rows) >= _BATCH_ROWS:
                    yield _batch(n_before, rows, faults)
                    n_before, rows, faults = n_before + len(rows), [], {}
        except TarDamage as damage:
            yield _batch(n_before, rows, faults)
            raise SourceFileError(f"{path.name}: {damage}. Download it again", path=path) from None
    yield _batch(n_before, rows, faults)


def count_tar(path: Path) -> int:
    """Return the number of samples, from headers; everything after a fault counts as one."""
    n_samples, is_whole = count_samples(path)
    return n_samples + (not is_whole)


def read_text(file: BinaryIO, body: Body, limit: int) -> str | tuple[str, str]:
    """Return a text member, or the reason and detail of its fault."""
    if body.n_bytes > limit:
        return "field_too_large", f"{body.n_bytes} bytes, more than {limit}"
    try:
        return read_body(file, body).decode()
    except UnicodeDecodeError as error:
        return "invalid_utf8", f"byte {error.object[error.start]:#04x} at {error.start}: {error.reason}"


def _row(file: BinaryIO, sample: PackedSample, shown: str) -> tuple[Row, tuple[str, str] | None]:
    """Return a sample's row, and its fault as reason and detail; without a name member the name is the key."""
    key = sample.key.encode("utf-8", "backslashreplace").decode()
    where = f"{shown}, key {key[:60]!r}"
    name: str | tuple[str, str] = key
    if "img_name" in sample.bodies:
        name = read_text(file, sample.bodies["img_name"], MAX_NAME_BYTES)
    if isinstance(name, tuple):
        return (key, None, None), (name[0], f"{where}: img_name: {name[1]}")
    if sample.missing:
        return (name, None, None), ("bad_record", f"{where}: no member {' nor '.join(sample.missing)}")
    text = read_text(file, sample.bodies["caption"], MAX_LINE_BYTES)
    if isinstance(text, tuple):
        return (name, None, None), (text[0], f"{where}: caption: {text[1]}")
    image = sample.bodies["img_content"]
    return (name, text, Located(shown, *image, _digest(file, image)).url), None


def _digest(file: BinaryIO, body: Body) -> str:
    hasher, left = hashlib.sha256(), body.n_bytes
    file.seek(body.offset)
    while left and (block := file.read(min(left, _BLOCK_BYTES))):
        hasher.update(block)
        left -= len(block)
    return hasher.hexdigest()


def _batch(first_row: int, rows: list[Row], faults: dict[int, tuple[str, str]]) -> ListRows:
    names, texts, urls = zip(*rows, strict=True) if rows else ((), (), ())
    columns = [pa.array(column, pa.string()) for column in (names, texts, urls)]
    return ListRows(first_row, columns[0], columns[1], columns[2], faults)
