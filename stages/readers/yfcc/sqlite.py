"""Read metadata of YFCC100M from its SQLite form: the rows of the photos that a list names.

Not for what their columns mean: a row is made a line as the other files have it, and read as one.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from schemas.corpora import Corpus
from stages.readers.batch import SourceBatch, SourceFileError
from stages.readers.formats.lines import Lines
from stages.readers.yfcc.photo_list import PhotoList
from stages.readers.yfcc.rows import N_COLUMNS, read_rows

_TABLE = "yfcc100m_dataset"
_COLUMNS = (
    "photoid", "uid", "unickname", "datetaken", "dateuploaded", "capturedevice", "title", "description", "usertags",
    "machinetags", "longitude", "latitude", "accuracy", "pageurl", "downloadurl", "licensename", "licenseurl",
    "serverid", "farmid", "secret", "secretoriginal", "ext", "marker",
)  # fmt: skip
_CHUNK_ROWS = 50_000
_VALUE_LIMIT_BYTES = 1 << 26
# -1 where the photo id is no whole number of at most 18 digits, as in the files of lines.
_IDS = f"""
    SELECT rowid, CASE WHEN typeof(photoid) = 'integer' AND photoid BETWEEN 0 AND 999999999999999999 THEN photoid
        WHEN length(photoid) BETWEEN 1 AND 18 AND CAST(photoid AS TEXT) NOT GLOB '*[^0-9]*'
        THEN CAST(photoid AS INTEGER) ELSE -1 END
    FROM {_TABLE} ORDER BY rowid
"""
# Texts are URL-encoded: a line end in one would be of no other meaning.
_FIELDS = " || char(9) || ".join(f"replace(coalesce(CAST({name} AS TEXT), ''), char(10), '%0A')" for name in _COLUMNS)
_LINES = f"""
    SELECT {_FIELDS} FROM {_TABLE}
    WHERE rowid BETWEEN ? AND ? AND rowid IN (SELECT value FROM json_each(?)) ORDER BY rowid
"""


def read_database(
    path: Path, corpus: Corpus, wanted: PhotoList, chunk_rows: int = _CHUNK_ROWS
) -> Iterator[SourceBatch]:
    """Yield the rows of photos that are wanted and were not found before, in the order of rowid, chunk by chunk.

    A row's number is its position in that order.

    Raises:
        SourceFileError: the file is no SQLite, is damaged, or has not the table and columns.
    """
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error as error:
        raise _fault(path, error) from error
    try:
        _check_columns(path, connection)
        ids, first_row = connection.execute(_IDS), 0
        while found := ids.fetchmany(chunk_rows):
            row_ids, photos = np.array(found, np.int64).T
            rows = wanted.claim(photos)
            lines = _lines(connection, row_ids[rows].tolist())
            numbers = np.arange(len(rows), dtype=np.int64)
            batch = read_rows(Lines(lines), numbers, photos[rows], rows + first_row, corpus, N_COLUMNS)
            yield SourceBatch(first_row, batch.captions, batch.malformed, batch.choose)
            first_row += len(found)
    except (sqlite3.Error, OverflowError) as error:
        raise _fault(path, error) from error
    finally:
        connection.close()


def _check_columns(path: Path, connection: sqlite3.Connection) -> None:
    connection.text_factory = bytes  # which need not be UTF-8
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_LIMIT_BYTES)
    # A view could be anything, and without end.
    is_table = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (_TABLE,)).fetchone()
    found = [row[1].decode(errors="replace") for row in connection.execute(f"PRAGMA table_info({_TABLE})")]
    if not is_table or (missing := set(_COLUMNS) - set(found)):
        lacking = f"columns {sorted(missing)} missing" if is_table else "no such table"
        raise SourceFileError(
            f"{path}: expected a table {_TABLE} with {N_COLUMNS} columns, found {lacking};"
            " put YFCC100M's metadata there",
            "wrong_columns",
        )


def _lines(connection: sqlite3.Connection, row_ids: list[int]) -> bytes:
    """Return rows as lines, in the order of their ids."""
    if not row_ids:
        return b""
    found = connection.execute(_LINES, (row_ids[0], row_ids[-1], str(row_ids))).fetchall()
    return b"".join(bytes(line) + b"\n" for (line,) in found)


def _fault(path: Path, error: Exception) -> SourceFileError:
    return SourceFileError(f"{path}: expected a readable SQLite file, found: {error}; restore the file")
