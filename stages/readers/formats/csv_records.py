"""Split a CSV file with any bytes into records, including quoted line breaks, and records into fields.

Readers interpret the fields. A comma separates fields; LF or CR LF ends a line.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stages.readers.batch import SourceFileError, describe_invalid_utf8
from stages.readers.formats.lines import BLOCK_BYTES, read_blocks

# A quote that is never closed must not swallow the rest of the file: no caption has this many lines.
RUN_LINES = 100
MAX_FIELD_CHARACTERS = 1 << 17
_LF, _QUOTE = 10, 34
# Replaces a lone CR while the csv module parses a record, because that module takes CR for a line end.
_CR = "\ud800"


class RecordFault(ValueError):
    """A record is invalid: reason and detail."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Unended(bytes):
    """A record that may be cut off: the file ends in it without a line end, or within a quote."""


def begins_never(line: bytes) -> bool:
    """Return False, because it is not known how rows begin."""
    return False


def read_records(
    path: Path, block_bytes: int = BLOCK_BYTES, begins_row: Callable[[bytes], bool] = begins_never
) -> Iterator[list[bytes]]:
    """Yield lists of records without their line ends.

    A record is a line. A line with an odd number of quotes begins a record up to the next such line, if that follows
    within RUN_LINES lines and before a line that begins a row.

    Raises:
        SourceFileError: the file is missing or damaged; records before the fault have been yielded.
    """
    run: list[bytes] = []
    try:
        for block in read_blocks(path, block_bytes):
            records: list[bytes] = []
            lines = block.removesuffix(b"\n").split(b"\n")
            if not block.endswith(b"\n"):
                lines[-1] = Unended(lines[-1])
            if not run and b'"' not in block:
                records = lines
            else:
                run = _join_lines(lines, run, records, begins_row)
            yield records
    except SourceFileError:
        yield run
        raise
    yield [Unended(line) for line in run]


def _join_lines(
    lines: list[bytes], run: list[bytes], records: list[bytes], begins_row: Callable[[bytes], bool]
) -> list[bytes]:
    """Append the records that end in some lines; return the lines of the unfinished one."""
    for line in lines:
        is_odd = line.count(b'"') % 2
        if run and begins_row(line):
            records += run
            run = []
        if not run and not is_odd:
            records.append(line)
            continue
        run.append(line)
        if is_odd and len(run) > 1:
            records.append(type(line)(b"\n".join(run)))
            run = []
        elif len(run) == RUN_LINES:
            records += run
            run = []
    return run


def count_records(
    path: Path, block_bytes: int = BLOCK_BYTES, begins_row: Callable[[bytes], bool] = begins_never
) -> int:
    """Return the number of records by the positions of quotes and line ends.

    Raises:
        SourceFileError: the file is missing or damaged.
    """
    counter = _Counter(begins_row)
    try:
        for block in read_blocks(path, block_bytes):
            counter.feed(block)
    except SourceFileError as error:
        error.n_rows_before = counter.n_lines - counter.n_joined
        raise
    return counter.n_lines - counter.n_joined


class _Counter:
    """The number of lines, of lines that continue a record, and the unfinished line, if any."""

    def __init__(self, begins_row: Callable[[bytes], bool]) -> None:
        self._begins_row = begins_row
        self.n_lines, self.n_joined = 0, 0
        self._open: int | None = None

    def feed(self, block: bytes) -> None:
        """Count the lines of a block of complete lines."""
        ends, odd = _odd_lines(block)
        first = self.n_lines
        self.n_lines += len(ends)
        places = (odd + first).tolist()[::-1]
        while places or self._open is not None:
            if self._open is None:
                self._open = places.pop()
            close = places[-1] if places else self.n_lines
            stop = min(close + 1, self._open + RUN_LINES, self.n_lines)
            behind = range(max(self._open + 1, first), stop)
            if any(self._begins_row(_line(block, ends, line - first)) for line in behind):
                self._open = None  # a line that begins a row and has an odd number of quotes opens a new record
            elif close < self._open + RUN_LINES and places:
                self.n_joined += places.pop() - self._open
                self._open = None
            elif self.n_lines < self._open + RUN_LINES:
                return  # may end in the next block
            else:
                self._open = None


def _line(block: bytes, ends: npt.NDArray[np.int64], number: int) -> bytes:
    return block[ends[number - 1] + 1 if number else 0 : ends[number]]


def _odd_lines(block: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the ends of the lines of a block, and which lines have an odd number of quotes."""
    codes = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(codes == _LF)
    if codes[-1] != _LF:
        ends = np.append(ends, len(codes))
    lines = np.searchsorted(ends, np.flatnonzero(codes == _QUOTE))
    return ends, np.flatnonzero(np.bincount(lines, minlength=len(ends)) % 2).astype(np.int64)


def split_records(records: Sequence[bytes]) -> Iterator[list[str] | RecordFault]:
    """Yield the fields of each record, or its fault."""
    for record in records:
        try:
            yield split_record(record.decode())
        except UnicodeDecodeError:
            yield RecordFault("invalid_utf8", describe_invalid_utf8(record))
        except RecordFault as fault:
            yield fault


def split_record(text: str) -> list[str]:
    """Return the fields of a record.

    Raises:
        RecordFault: it is blank, not one record, or one of its fields is too large.
    """
    text = text.removesuffix("\r")
    if not text:
        raise RecordFault("bad_record", "a blank line")
    if len(text) <= MAX_FIELD_CHARACTERS:  # the csv module inspects each character, so it is used only if needed
        parts = text.split('"')
        if len(parts) == 1:
            return text.split(",")
        before, after = parts[0], parts[-1]
        if len(parts) == 3 and before[-1:] in ("", ",") and after[:1] in ("", ","):
            return [*before.split(",")[:-1], parts[1], *after.split(",")[1:]]
    try:
        (fields,) = csv.reader([text.replace("\r", _CR)])
        if max(map(len, fields)) > MAX_FIELD_CHARACTERS:  # the module's own limit is global to the process
            raise csv.Error(f"field larger than {MAX_FIELD_CHARACTERS} characters")
    except csv.Error as error:
        is_large = str(error).startswith("field larger")
        raise RecordFault("field_too_large" if is_large else "bad_record", f"{error}, in {text[:80]!r}") from None
    return [field.replace(_CR, "\r") for field in fields] if "\r" in text else fields
