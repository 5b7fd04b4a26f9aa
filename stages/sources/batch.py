"""What a source file reader hands on: batches of captions, and our columns of the rows that are asked for.

Not for a file format: those are `stages/sources/parquet_reader.py` and `stages/sources/tsv_reader.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.fields import FIELD
from schemas.manifests import OPTIONAL_COLUMNS, REQUIRED_COLUMNS

COLUMNS = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
ROWS_SCHEMA = pa.schema([("source_row", pa.int64()), *((name, FIELD[name].type) for name in COLUMNS)])


class SourceFileError(ValueError):
    """A source file cannot be read: the message says which, what was expected and found, and what to do."""


class Malformed(NamedTuple):
    """A row that cannot be read: its position in the file, a reason code, what was found, and its id if it has one."""

    source_row: int
    reason: str
    detail: str
    native_id: str | None = None


class Chosen(NamedTuple):
    """Rows that were asked for, in file order, and those of them that turned out to be malformed."""

    table: pa.Table
    malformed: tuple[Malformed, ...]


@dataclass(frozen=True)
class SourceBatch:
    """Consecutive rows of a source file, or those of them that are wanted; only the captions are read at first.

    Attributes:
        first_row: position in the file of the first row.
        captions: one string per row, valid UTF-8, as keywords are searched in it; null where there is none or the row
            is malformed.
        malformed: rows that cannot be read, in file order.
        choose: the function behind `rows`; it takes offsets from first_row, ascending.
    """

    first_row: int
    captions: pa.Array
    malformed: tuple[Malformed, ...]
    choose: Callable[[pa.Array], Chosen]

    def rows(self, mask: pa.BooleanArray) -> Chosen:
        """Return our columns of the rows where the mask is true; columns the file has not are null.

        Batches must be asked in file order, and before the next one is taken from the reader.

        Args:
            mask: as long as captions; false where a row is malformed.
        """
        return self.choose(pc.indices_nonzero(mask).cast(pa.int64()))


def find_invalid_utf8(strings: pa.Array) -> list[int]:
    """Return the positions of strings that are not UTF-8; cheap where there are none or few."""
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
