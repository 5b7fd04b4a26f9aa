"""Read metadata of YFCC100M for the photos on a list from SQLite.

Rows are converted to lines of the other files, and parsed as such.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from schemas.corpus import Corpus
from stages.readers.batch import SourceBatch, SourceFileError
from stages.readers.formats.lines import Lines, zero_runs
from stages.readers.yfcc.photo_list import PhotoList
from stages.readers.yfcc.rows import N_COLUMNS, read_rows

_TABLE = "yfcc100m_dataset"
_COLUMNS = (
    "photoid", "uid", "unickname", "datetaken", "dateuploaded", "capturedevice", "title", "description", "usertags",
    "machinetags", "longitude", "latitude", "accuracy", "pageurl", "downloadurl", "licensename", "licenseurl",
    "serverid", "farmid", "secret", "secretoriginal", "ext", "marker",
)  # fmt: skip
_CHUNK_ROWS = 50_000
_MAX_DIGITS = 18
_VALUE_LIMIT_BYTES = 1 << 26
_FIRST_ROW_ID, _LAST_ROW_ID = -(1 << 63), (1 << 63) - 1
_MAX_GAPS = 1000  # a file with more damaged stretches is not read further
# -1 if the photo id is not an integer of at most 18 digits, as in the files of lines.
_IDS = f"""
    SELECT rowid, CASE WHEN typeof(photoid) = 'integer' AND photoid BETWEEN 0 AND 999999999999999999 THEN photoid
        WHEN length(photoid) BETWEEN 1 AND 18 AND CAST(photoid AS TEXT) NOT GLOB '*[^0-9]*'
        THEN CAST(photoid AS INTEGER) ELSE -1 END
    FROM {_TABLE} WHERE rowid >= ? ORDER BY rowid
"""
# Texts are URL-encoded, so an encoded tab or line end means the same.
_FIELDS = " || char(9) || ".join(
    f"replace(replace(coalesce(CAST({name} AS TEXT), ''), char(9), '%09'), char(10), '%0A')" for name in _COLUMNS
)
_LINES = f"""
    SELECT rowid, {_FIELDS} FROM {_TABLE}
    WHERE rowid BETWEEN ? AND ? AND rowid IN (SELECT value FROM json_each(?)) ORDER BY rowid
"""
# Exceptions of the module for a damaged file; its messages may not be UTF-8.
_FAULTS = (sqlite3.Error, OverflowError, UnicodeError, MemoryError)

_Rows = npt.NDArray[np.int64]


def read_database(
    path: Path, corpus: Corpus, wanted: PhotoList, chunk_rows: int = _CHUNK_ROWS
) -> Iterator[SourceBatch]:
    """Yield the rows of listed photos that were not found before, ordered by rowid, chunk by chunk.

    A row's number is its position in that order. Unreadable pages are skipped, and the rows after them are read.

    Raises:
        SourceFileError: the file is not SQLite, is damaged, or lacks the table or columns; the readable rows have been
            yielded.
    """
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error as error:
        raise _fault(path, error) from error
    try:
        _check_columns(path, connection)
        database, first_row = _Database(connection), 0
        for row_ids, photos in database.ids(chunk_rows):
            rows = wanted.find(photos)
            lines, is_read = database.lines(row_ids[rows], photos[rows])
            rows = rows[is_read]
            wanted.claim(photos[rows])  # a photo with an unreadable row may have another one
            numbers = np.arange(len(rows), dtype=np.int64)
            batch = read_rows(Lines(lines), numbers, photos[rows], rows + first_row, corpus, N_COLUMNS)
            yield SourceBatch(first_row, batch.captions, batch.malformed, batch.choose)
            first_row += len(row_ids)
        if database.fault is None and wanted.n_missing:
            database.check()
    except _FAULTS as error:
        raise _fault(path, error) from error
    finally:
        connection.close()
    if database.fault is not None:
        raise _fault(path, database.fault)


class _Database:
    """An open database that may be damaged.

    Attributes:
        fault: the first fault, or None.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.fault: object | None = None

    def ids(self, chunk_rows: int) -> Iterator[tuple[_Rows, _Rows]]:
        """Yield rowids and photo ids; after an unreadable page, continue with the first row after it."""
        last = _FIRST_ROW_ID
        start = _FIRST_ROW_ID
        for _ in range(_MAX_GAPS):
            rows = self._rows_from(start, chunk_rows)
            for found in rows:
                row_ids, photos = np.array(found, np.int64).T
                if (np.diff(row_ids) <= 0).any() or (row_ids[0] <= last and last != _FIRST_ROW_ID):
                    self._note("rows that are not in the order of their numbers")
                if (photos < 0).any():
                    self._note(f"no photo id in row {row_ids[np.argmax(photos < 0)]}")
                last = max(last, int(row_ids.max()))
                yield row_ids, photos
            if self._is_at_end or (behind := self._next_start(last)) is None:
                return
            start = behind

    def _rows_from(self, start: int, n_rows: int) -> Iterator[list[tuple[int, int]]]:
        """Yield lists of rows, to the end of the table or to an unreadable page."""
        self._is_at_end = False
        cursor = self._connection.execute(_IDS, (start,))
        try:
            while found := cursor.fetchmany(n_rows):
                yield found
                start = found[-1][0] + 1
            self._is_at_end = True
        except _FAULTS as error:
            self._note(error)
            found = []  # intact rows before the fault, lost with it
            while len(found) < n_rows and (row := self._row_from(start)) and row[0] >= start:
                found.append(row)
                start = row[0] + 1
            if found:
                yield found

    def _next_start(self, last: int) -> int | None:
        """Return the lowest rowid after a fault from which rows can be read; None if no more can be read."""
        bad, step = last, 1
        while (good := max(last, 0) + step) <= _LAST_ROW_ID:
            if self._row_from(good) != ():
                break
            bad, step = good, 2 * step
        else:
            return None
        while good - bad > 1:
            middle = (good + bad) // 2
            bad, good = (bad, middle) if self._row_from(middle) != () else (middle, good)
        return good

    def _row_from(self, start: int) -> tuple[int, int] | tuple[()] | None:
        """Return the first row from a rowid on; () if it cannot be read, None at the end."""
        try:
            found: tuple[int, int] | None = self._connection.execute(f"{_IDS} LIMIT 1", (start,)).fetchone()
        except _FAULTS:
            return ()
        return found

    def lines(self, row_ids: _Rows, photos: _Rows) -> tuple[bytes, npt.NDArray[np.bool_]]:
        """Return rows as lines, and which rows could be read."""
        if not len(row_ids):
            return b"", np.zeros(0, bool)
        try:
            found = self._lines_of(row_ids)
        except _FAULTS as error:
            self._note(error)
            found = {}
            for row_id in row_ids:
                with suppress(*_FAULTS):
                    found |= self._lines_of(np.array([row_id]))
        # In a damaged tree a lookup may return another row; what is missing of a page is read as zeros.
        is_read = np.array(
            [
                _photo_of(line := found.get(row_id, b"")) == photo and not zero_runs(line)
                for row_id, photo in zip(row_ids.tolist(), photos, strict=True)
            ]
        )
        if not is_read.all():
            self._note(f"row {row_ids[~is_read][0]} is not on its page")
        return b"".join(found[row_id] + b"\n" for row_id in row_ids[is_read].tolist()), is_read

    def _lines_of(self, row_ids: _Rows) -> dict[int, bytes]:
        asked = (int(row_ids.min()), int(row_ids.max()), str(row_ids.tolist()))
        return {row_id: bytes(line) for row_id, line in self._connection.execute(_LINES, asked)}

    def check(self) -> None:
        """Check for damage that reading does not find: rows that no page links to."""
        (said,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if said != b"ok":
            self._note(said.decode(errors="replace").replace("\n", " "))

    def _note(self, fault: object) -> None:
        self.fault = self.fault or fault


def _photo_of(line: bytes) -> int:
    text = line.partition(b"\t")[0]
    return int(text) if text.isdigit() and len(text) <= _MAX_DIGITS else -1


def _check_columns(path: Path, connection: sqlite3.Connection) -> None:
    connection.text_factory = bytes  # which may not be UTF-8
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_LIMIT_BYTES)
    connection.execute(
        "PRAGMA writable_schema = ON"
    )  # else SQLite refuses a file with fewer pages than its header states
    # A view could have any content, even endless.
    is_table = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (_TABLE,)).fetchone()
    found = [row[1].decode(errors="replace") for row in connection.execute(f"PRAGMA table_info({_TABLE})")]
    if not is_table or (missing := set(_COLUMNS) - set(found)):
        lacking = f"columns {sorted(missing)} missing" if is_table else "no such table"
        raise SourceFileError(
            f"{path}: expected a table {_TABLE} with {N_COLUMNS} columns, found {lacking};"
            " put YFCC100M's metadata there",
            "wrong_columns",
        )
    if not _has_row_ids(connection):
        raise SourceFileError(
            f"{path}: expected a table {_TABLE} with row numbers, found one WITHOUT ROWID; copy its rows into a table"
            " with them",
            "wrong_columns",
        )


def _has_row_ids(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute(f"SELECT rowid FROM {_TABLE} LIMIT 0")
    except sqlite3.OperationalError as error:
        return "no such column" not in str(error)
    return True


def _fault(path: Path, fault: object) -> SourceFileError:
    return SourceFileError(f"{path}: expected a readable SQLite file, found: {fault}; restore the file", path=path)
