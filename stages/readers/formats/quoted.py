"""Split a file of quoted, tab-parted records into records: fields may hold line ends, and a stray quote costs few rows.

Not for what the fields mean. The grammar, which is that of Python's csv module when it is strict: a record is a line
of a known number of fields; a field that begins with a quote ends at the next single quote, behind which a tab or the
line end stands, and a quote in it is doubled; another field holds no tab, CR or line end, and its quotes are its own.

Where no record of that many fields begins, or one of more than MAX_RECORD_BYTES, the line and all lines behind it up
to the next one at which a whole record begins are one row that is refused. At the end of a damaged file those lines
belong to the damage instead.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.readers.batch import SourceFileError, find_invalid_utf8, is_utf8
from stages.readers.formats.lines import MAX_LINE_BYTES, slices
from stages.readers.formats.packed import BLOCK_BYTES, read_bytes

# What holds for a caption's line holds for a record, and a quote that is never closed must not be followed for ever.
MAX_RECORD_BYTES = MAX_LINE_BYTES
_QUOTE = ord('"')
# Records of 1.7 KB on one core: this 380 MB/s, the csv module 120, pyarrow.csv 500, the parity of quotes by numpy 690.
# But the csv module swallows the rows behind a stray quote, pyarrow.csv refuses the file, and parity is lost for good.
_FIELD = rb'(?:"(?:[^"]++|"")*+"(?=[\t\r\n])|(?!")[^\t\r\n]*+)'

_Spans = npt.NDArray[np.int32]
_Group = tuple[int, int]


def record_pattern(n_fields: int, wanted: Sequence[int]) -> re.Pattern[bytes]:
    """Return the expression of a record with its line end; its groups are the wanted fields in their order.

    Args:
        n_fields: fields of a record.
        wanted: positions from 0, ascending.
    """
    fields = [b"(" + _FIELD + b")" if place in wanted else _FIELD for place in range(n_fields)]
    return re.compile(rb"\t".join(fields) + rb"\r*+\n")


@dataclass(frozen=True)
class Records:
    """Consecutive rows of a file.

    Attributes:
        first_row: position of the first of them in the file.
        buffer: the bytes they lie in.
        spans: int32 [n, 1 + wanted, 2]: begin and end of each record and of its wanted fields; empty where refused.
        refused: reason and detail by position in spans.
    """

    first_row: int
    buffer: bytes
    spans: _Spans
    refused: dict[int, tuple[str, str]]

    def __len__(self) -> int:
        return len(self.spans)

    def whole(self, rows: npt.NDArray[np.int64]) -> pa.Array:
        """Return records as strings, which may hold bytes that are not UTF-8; rows ascend."""
        return slices(pa.py_buffer(self.buffer), *self._bounds(0, rows))

    def field(self, group: int, rows: npt.NDArray[np.int64], is_null: npt.NDArray[np.bool_] | None = None) -> pa.Array:
        """Return a wanted field of some rows, without its quotes, null where asked; rows ascend."""
        begins, ends = self._bounds(group, rows)
        codes = np.frombuffer(self.buffer, np.uint8)
        is_quoted = (begins < ends) & (codes[np.minimum(begins, len(codes) - 1)] == _QUOTE)
        texts = slices(pa.py_buffer(self.buffer), begins + is_quoted, ends - is_quoted, is_null)
        if not is_quoted.any():
            return texts
        return pc.if_else(pa.array(is_quoted), pc.replace_substring(texts, '""', '"'), texts)

    def invalid_utf8(self) -> list[int]:
        """Return the positions of records that are not UTF-8."""
        if is_utf8(pa.py_buffer(self.buffer)):
            return []
        return find_invalid_utf8(self.whole(np.arange(len(self))))

    def _bounds(self, group: int, rows: npt.NDArray[np.int64]) -> tuple[_Spans, _Spans]:
        return self.spans[rows, group, 0], self.spans[rows, group, 1]


def read_records(path: Path, pattern: re.Pattern[bytes], block_bytes: int = BLOCK_BYTES) -> Iterator[Records]:
    """Yield the records behind the first line of a file, packed or not.

    Args:
        path: the file.
        pattern: what a record is, from `record_pattern`.
        block_bytes: bytes that are split at once, and what is left of the bytes before.

    Raises:
        SourceFileError: the file is missing or damaged; the records before the fault were yielded.
    """
    blocks, splitter = read_bytes(path, block_bytes), _Splitter(pattern)
    rest, first_row, is_end = b"", 0, False
    fault: SourceFileError | None = None
    while not is_end:
        try:
            block = next(blocks, b"")
        except SourceFileError as error:
            fault, block = error, b""
        is_end = not block
        if is_end and fault is None and rest and not rest.endswith(b"\n"):
            block = b"\n"
        buffer = rest + block
        spans, end = splitter.split(buffer, is_end=is_end)
        if is_end and fault is None:
            splitter.close(spans, end)
        found = np.array(spans, np.int32).reshape(len(spans), 1 + pattern.groups, 2)
        yield Records(first_row, buffer, found, splitter.take_refused())
        first_row += len(spans)
        rest = buffer[end:]
    if fault is not None:
        raise fault


class _Splitter:
    """Where the splitting stands between two buffers.

    Attributes:
        fault: reason and detail of the row that began where no record does, None where none is open.
    """

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._match, self._n_groups = pattern.match, pattern.groups
        self._is_inside_line = True  # the header
        self._fault: tuple[str, str] | None = None
        self._refused: dict[int, tuple[str, str]] = {}

    def split(self, buffer: bytes, *, is_end: bool) -> tuple[list[tuple[_Group, ...]], int]:
        """Return the spans of the rows of a buffer and where what is not yet known begins."""
        spans: list[tuple[_Group, ...]] = []
        place, size = 0, len(buffer)
        while place < size:
            if self._is_inside_line:
                place = self._skip_line(buffer, place)
            elif found := self._match(buffer, place, place + MAX_RECORD_BYTES):
                self.close(spans, place)
                spans.append(found.regs)
                place = found.end()
            elif is_end or size - place >= MAX_RECORD_BYTES:
                self._fault = self._fault or _describe(buffer, place)
                self._is_inside_line = True
            else:
                break
        return spans, place

    def close(self, spans: list[tuple[_Group, ...]], place: int) -> None:
        """Add the row that is refused, where one is open."""
        if self._fault is not None:
            self._refused[len(spans)] = self._fault
            spans.append(((place, place),) * (1 + self._n_groups))
            self._fault = None

    def take_refused(self) -> dict[int, tuple[str, str]]:
        """Return the rows that were refused since the last time."""
        refused, self._refused = self._refused, {}
        return refused

    def _skip_line(self, buffer: bytes, place: int) -> int:
        end = buffer.find(b"\n", place) + 1
        self._is_inside_line = not end
        return end or len(buffer)


def _describe(buffer: bytes, place: int) -> tuple[str, str]:
    end = buffer.find(b"\n", place, place + MAX_RECORD_BYTES)
    if end < 0:
        return "field_too_large", f"a line of more than {MAX_RECORD_BYTES} bytes"
    n_fields = buffer.count(b"\t", place, end) + 1
    return "wrong_field_count", f"no whole record begins here; its first line has {n_fields} fields"
