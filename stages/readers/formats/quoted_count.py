"""Count the rows of a file of quoted, tab-separated records by the same grammar as `quoted.py`, but independently.

A line without quotes is a record if it has the right number of tabs; for a line with a quote, the csv module in strict
mode counts the lines of the record. Fields are not kept.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.readers.batch import SourceFileError
from stages.readers.formats.lines import read_blocks
from stages.readers.formats.packed import BLOCK_BYTES
from stages.readers.formats.quoted import MAX_RECORD_BYTES, NO_LOOK, Look


def count_records(path: Path, n_fields: int, block_bytes: int = BLOCK_BYTES, look: Look = NO_LOOK) -> int:
    """Return the number of rows after the first line: records, and stretches of lines without one.

    Args:
        path: the file, packed or not.
        n_fields: number of fields in a record.
        block_bytes: bytes to count at once.
        look: patterns of the corpus's records.

    Raises:
        SourceFileError: the file is missing or damaged; a stretch without a record that ends there is not counted.
    """
    # The module has one limit per process; the limit of a record is larger, and does not affect other callers.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))
    counter, lines, is_header = _Counter(n_fields, look), list[bytes](), True
    try:
        for block in read_blocks(path, block_bytes):
            found = block.removesuffix(b"\n").split(b"\n")
            lines += [line + b"\n" for line in (found[1:] if is_header else found)]
            is_header = False
            lines = lines[counter.feed(lines, _first_unsure(lines)) :]
    except SourceFileError as error:
        counter.feed(lines, len(lines))
        error.n_rows_before = counter.n_rows
        raise
    counter.feed(lines, len(lines))
    return counter.n_rows + counter.is_refusing


class _Counter:
    """The number of rows so far, and whether a row without a record is open, which is not counted yet."""

    def __init__(self, n_fields: int, look: Look) -> None:
        self._n_fields, self._begins = n_fields, re.compile(look.begin).match
        self.n_rows, self.is_refusing = 0, False

    def feed(self, lines: Sequence[bytes], end: int) -> int:
        """Count the rows that begin before line `end`; return where the next one begins."""
        place = 0
        while place < end:
            n_lines = _count_lines(lines, place, self._n_fields)
            if any(map(self._begins, lines[place + 1 : place + n_lines])):
                n_lines = 0
            if n_lines:
                self.n_rows += 1 + self.is_refusing
            elif self._begins(lines[place]):
                self.n_rows += self.is_refusing
            self.is_refusing = not n_lines
            place += n_lines or 1
        return place


def _count_lines(lines: Sequence[bytes], place: int, n_fields: int) -> int:
    """Return the number of lines of the record that begins at a line, 0 if no record begins there."""
    first = lines[place]
    if b'"' not in first:
        has_cr_inside = b"\r" in first and b"\r" in first.rstrip(b"\r\n")
        return int(first.count(b"\t") == n_fields - 1 and not has_cr_inside and len(first) <= MAX_RECORD_BYTES)
    # As Latin-1, because the encoding does not matter here.
    reader = csv.reader((line.decode("latin-1") for line in _within(lines, place)), delimiter="\t", strict=True)
    try:
        fields = next(reader, [])
    except csv.Error:
        return 0
    return reader.line_num if len(fields) == n_fields else 0


def _within(lines: Sequence[bytes], place: int) -> Iterator[bytes]:
    """Yield the lines that may belong to the record that begins at a line."""
    n_bytes = 0
    for row in range(place, len(lines)):
        n_bytes += len(lines[row])
        if n_bytes > MAX_RECORD_BYTES:
            return
        yield lines[row]


def _first_unsure(lines: Sequence[bytes]) -> int:
    """Return the first line followed by too few bytes to rule out that a record begins at it."""
    n_bytes, row = 0, len(lines)
    while row and n_bytes < MAX_RECORD_BYTES:
        row -= 1
        n_bytes += len(lines[row])
    return row + 1 if n_bytes >= MAX_RECORD_BYTES else 0
