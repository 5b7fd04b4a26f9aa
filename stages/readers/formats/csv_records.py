"""Split a CSV file into records, quoted line breaks included, and records into fields, whatever the bytes.

Not for what the fields mean: that is for the readers. A comma parts fields, LF or CR LF ends a line.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stages.readers.batch import SourceFileError, describe_invalid_utf8
from stages.readers.formats.lines import BLOCK_BYTES, read_blocks

# A quote that is never closed must not swallow the rest of the file: no caption has so many lines.
RUN_LINES = 100
MAX_FIELD_CHARACTERS = 1 << 17
_LF, _QUOTE = 10, 34
# Stands for a lone CR while the csv module looks at a record: that module takes CR for a line end.
_CR = "\ud800"


class RecordFault(ValueError):
    """A record is none: reason and what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def read_records(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[list[bytes]]:
    """Yield records, without their line ends, in lists.

    A record is a line; from a line with an odd number of quotes on it is all lines up to the next such line, where
    that comes within RUN_LINES lines.

    Raises:
        SourceFileError: the file is missing or damaged; what stands before the fault has been yielded.
    """
    run: list[bytes] = []
    try:
        for block in read_blocks(path, block_bytes):
            records: list[bytes] = []
            lines = block.removesuffix(b"\n").split(b"\n")
            if not run and b'"' not in block:
                records = lines
            else:
                run = _join_lines(lines, run, records)
            yield records
    except SourceFileError:
        yield run
        raise
    yield run


def _join_lines(lines: list[bytes], run: list[bytes], records: list[bytes]) -> list[bytes]:
    """Append the records that end in some lines; return the lines of the one that is open at their end."""
    for line in lines:
        is_odd = line.count(b'"') % 2
        if not run and not is_odd:
            records.append(line)
            continue
        run.append(line)
        if is_odd and len(run) > 1:
            records.append(b"\n".join(run))
            run = []
        elif len(run) == RUN_LINES:
            records += run
            run = []
    return run


def count_records(path: Path, block_bytes: int = BLOCK_BYTES) -> int:
    """Return the number of records, counted by the positions of quotes and line ends.

    Raises:
        SourceFileError: the file is missing or damaged.
    """
    n_lines, odd = 0, [np.zeros(0, np.int64)]
    try:
        for block in read_blocks(path, block_bytes):
            n_block, places = _odd_lines(block)
            odd.append(places + n_lines)
            n_lines += n_block
    except SourceFileError as error:
        error.n_rows_before = n_lines - _n_joined(np.concatenate(odd))
        raise
    return n_lines - _n_joined(np.concatenate(odd))


def _odd_lines(block: bytes) -> tuple[int, npt.NDArray[np.int64]]:
    """Return the number of lines of a block, and which of them have an odd number of quotes."""
    codes = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(codes == _LF)
    n_lines = len(ends) + (codes[-1] != _LF)
    lines = np.searchsorted(ends, np.flatnonzero(codes == _QUOTE))
    return int(n_lines), np.flatnonzero(np.bincount(lines, minlength=n_lines) % 2).astype(np.int64)


def _n_joined(odd: npt.NDArray[np.int64]) -> int:
    """Return how many lines belong to a record that begins in another line."""
    places, n_joined, i = odd.tolist(), 0, 0
    while i + 1 < len(places):
        span = places[i + 1] - places[i]
        if span < RUN_LINES:
            n_joined += span
            i += 1
        i += 1
    return n_joined


def split_records(records: Sequence[bytes]) -> Iterator[list[str] | RecordFault]:
    """Yield the fields of each record, or what is wrong with it."""
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
    if len(text) <= MAX_FIELD_CHARACTERS:  # the csv module looks at each character: only where there is need
        parts = text.split('"')
        if len(parts) == 1:
            return text.split(",")
        before, after = parts[0], parts[-1]
        if len(parts) == 3 and before[-1:] in ("", ",") and after[:1] in ("", ","):
            return [*before.split(",")[:-1], parts[1], *after.split(",")[1:]]
    try:
        (fields,) = csv.reader([text.replace("\r", _CR)])
        if max(map(len, fields)) > MAX_FIELD_CHARACTERS:  # the module's own limit depends on what the process has read
            raise csv.Error(f"field larger than {MAX_FIELD_CHARACTERS} characters")
    except csv.Error as error:
        is_large = str(error).startswith("field larger")
        raise RecordFault("field_too_large" if is_large else "bad_record", f"{error}, in {text[:80]!r}") from None
    return [field.replace(_CR, "\r") for field in fields] if "\r" in text else fields
