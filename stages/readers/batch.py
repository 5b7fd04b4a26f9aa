"""The output of source file readers: batches of captions, and our columns of the requested rows.

File formats have their own folders, such as `stages/readers/parquet` and `stages/readers/tsv`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpus import OPTIONAL_COLUMNS, REQUIRED_COLUMNS
from schemas.fields import FIELD
from stages.geometa.positions import is_position

COLUMNS = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
_POSITION = ("stated_latitude_deg", "stated_longitude_deg")
# Besides our columns, two texts derived from source_caption, null if equal to it: the one to search for keywords, and
# the one that becomes the caption after cleaning.
ROWS_SCHEMA = pa.schema(
    [
        ("source_row", pa.int64()),
        *((name, FIELD[name].type) for name in COLUMNS),
        ("searched_text", pa.string()),
        ("plain_caption", pa.string()),
    ]
)


@dataclass(frozen=True)
class SourceFiles:
    """The source files of one partition.

    Attributes:
        files: path and the number in the published file name, in the order of the paths.
        companions: files with further data on these rows.
        root: the SOURCES folder, under which tables name files.
    """

    files: tuple[tuple[Path, int], ...]
    companions: tuple[Path, ...] = ()
    root: Path = Path()

    def file_of(self, damage: "Damage") -> Path | None:
        """Return the file of a lost stretch; None if it may be any of several."""
        if damage.path is not None:
            return damage.path
        every = [*(path for path, _ in self.files), *self.companions]
        named = [path for path in every if path.name in damage.detail]
        if named:  # the full path first: files of two folders may have the same name
            return max(named, key=lambda path: (str(path) in damage.detail, len(str(path))))
        of_part = [path for path, part in self.files if part == damage.part]
        return of_part[0] if len(of_part) == 1 else None

    def name_of(self, path: Path) -> str:
        """Return a file's path under SOURCES."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()


@dataclass(frozen=True)
class Choices:
    """Settings for reading, where RS5M's own choice is unknown.

    Attributes:
        coco_searched: columns of LAION-COCO to search for keywords, joined by line ends.
        coco_caption: the column of LAION-COCO to take as the caption.
        wit_languages: language codes of WIT's rows to read; empty: all.
    """

    coco_searched: tuple[str, ...] = ("top_caption", "all_captions")
    coco_caption: str = "all_captions"
    wit_languages: tuple[str, ...] = ()


class SourceFileError(ValueError):
    """A source file cannot be read beyond some point; the message says what was expected and found, and what to do.

    Attributes:
        reason: damaged_source or wrong_columns.
        n_rows: number of rows in the unreadable stretch; one if unknown.
        n_rows_before: number of rows before the fault, if rows are only counted.
        path: the file; None if only the message names it.
    """

    def __init__(
        self,
        message: str,
        reason: str = "damaged_source",
        *,
        n_rows: int = 1,
        n_rows_before: int = 0,
        path: Path | None = None,
    ) -> None:
        super().__init__(message)
        self.reason, self.n_rows, self.n_rows_before, self.path = reason, n_rows, n_rows_before, path


class Malformed(NamedTuple):
    """A row that cannot be read: its position in the file, a reason code, a detail, and its id if it has one."""

    source_row: int
    reason: str
    detail: str
    native_id: str | None = None


class Damage(NamedTuple):
    """A stretch of a source file that cannot be read: its first row, number of rows (one if unknown), and why.

    Without a path it belongs to the file that the detail names, or else to the only file with its part.
    """

    first_row: int
    n_rows: int
    reason: str
    detail: str
    part: int = 0
    path: Path | None = None


class Counted(NamedTuple):
    """Rows that are only counted, by reason."""

    reason: str
    n_rows: int


class Chosen(NamedTuple):
    """The requested rows in file order, and those of them that turned out to be malformed."""

    table: pa.Table
    malformed: tuple[Malformed, ...]


@dataclass(frozen=True)
class SourceBatch:
    """Consecutive rows of a source file, or selected ones; only the captions are read at first.

    Attributes:
        first_row: position in the file of the first row.
        captions: one string per row, valid UTF-8, to search for keywords; null if missing or if the row is malformed.
        malformed: rows that cannot be read, in file order.
        part: the number in the published file name.
        choose: the function behind `rows`; it takes offsets from first_row, ascending.
        left_out: by reason, true for rows that are only counted; their caption is null.
    """

    first_row: int
    captions: pa.Array
    malformed: tuple[Malformed, ...]
    choose: Callable[[pa.Array], Chosen]
    part: int = 0
    left_out: Mapping[str, pa.BooleanArray] = field(default_factory=dict)

    def rows(self, mask: pa.BooleanArray) -> Chosen:
        """Return our columns of the rows where the mask is true; columns that the file lacks are null.

        Must be called in file order, before the next batch is taken from the reader.

        Args:
            mask: as long as captions; false where a row is malformed.
        """
        return self.choose(pc.indices_nonzero(mask).cast(pa.int64()))


# Yielded by readers, in the order of the files.
Read = SourceBatch | Damage | Counted


def rows_table(columns: Mapping[str, pa.Array]) -> pa.Table:
    """Return rows in our columns; missing columns are null, and so are invalid positions.

    Args:
        columns: by the names of ROWS_SCHEMA, including source_row.
    """
    n_rows = len(columns["source_row"])
    filled = {f.name: columns[f.name] if f.name in columns else pa.nulls(n_rows, f.type) for f in ROWS_SCHEMA}
    if set(_POSITION) & columns.keys():
        filled |= _positions(*(filled[name] for name in _POSITION))
    return pa.table(filled, schema=ROWS_SCHEMA)


def _positions(*stated: pa.Array) -> dict[str, pa.Array]:
    degrees = [pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False) for column in stated]
    is_none = ~is_position(*degrees)
    return {name: pa.array(values, pa.float64(), mask=is_none) for name, values in zip(_POSITION, degrees, strict=True)}


def is_utf8(buffer: pa.Buffer) -> bool:
    """Return whether bytes are UTF-8. Polars checks in a fifth of Arrow's time."""
    import polars as pl

    ends = pa.py_buffer(np.array([0, buffer.size], np.int64))
    whole = pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, ends, buffer])
    try:
        pl.Series(pa.chunked_array([whole])).cast(pl.String)  # from_arrow would copy them
    except pl.exceptions.ComputeError:
        return False
    return True


def find_invalid_utf8(strings: pa.Array) -> list[int]:
    """Return the positions of strings that are not UTF-8; cheap if they are few."""
    try:
        strings.validate(full=True)
    except pa.ArrowInvalid:
        if len(strings) == 1:
            return [0]
        half = len(strings) // 2
        return find_invalid_utf8(strings[:half]) + [half + i for i in find_invalid_utf8(strings[half:])]
    return []


def describe_invalid_utf8(value: bytes) -> str:
    """Return where and why bytes are not UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return f"byte {value[error.start]:#04x} at {error.start}: {error.reason}"
    return "not UTF-8"
