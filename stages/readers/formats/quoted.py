"""Split a file of quoted, tab-parted records into records: fields may hold line ends, and a stray quote costs few rows.

Not for what the fields mean. The grammar, which is that of Python's csv module when it is strict: a record is a line
of a known number of fields; a field that begins with a quote ends at the next single quote, behind which a tab or the
line end stands, and a quote in it is doubled; another field holds no tab, CR or line end, and its quotes are its own.

Where no record of that many fields begins, or one of more than MAX_RECORD_BYTES, the line and all lines behind it up
to the next one at which a whole record begins, or which begins as records do, are one row that is refused. At the end
of a damaged file those lines belong to the damage instead. No record holds a line that begins as records do: a quote
that is never closed swallows no rows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stages.readers.batch import SourceFileError, find_invalid_utf8, is_utf8
from stages.readers.formats.lines import MAX_LINE_BYTES, read_text, slices, zero_runs
from stages.readers.formats.packed import BLOCK_BYTES

# What holds for a caption's line holds for a record, and a quote that is never closed must not be followed for ever.
MAX_RECORD_BYTES = MAX_LINE_BYTES
_QUOTE = ord('"')
# Records of 1.7 KB on one core: this 380 MB/s, the csv module 120, pyarrow.csv 500, the parity of quotes by numpy 690.
# But the csv module swallows the rows behind a stray quote, pyarrow.csv refuses the file, and parity is lost for good.
_FIELD = rb'(?:"(?:[^"]++|"")*+"(?=[\t\r\n])|(?!")[^\t\r\n]*+)'
_NEVER = rb"(?!)"

_Spans = npt.NDArray[np.int32]
_Group = tuple[int, int]


class Look(NamedTuple):
    """What records look like, for telling torn ones from those with stray quotes; both are expressions.

    Attributes:
        begin: matches where a record begins, and no line inside of one.
        mark: matches in a record n_marks times, or a little more often.
        n_marks: see mark.
        n_tabs: tabs of a record.
    """

    begin: bytes = _NEVER
    mark: bytes = _NEVER
    n_marks: int = 1
    n_tabs: int = 0


NO_LOOK = Look()


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
        buffer: the bytes that hold them.
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
        codes = np.frombuffer(self.buffer or b"\0", np.uint8)  # at the end of a file only a refused row may be left
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

    def with_zeros(self) -> list[int]:
        """Return the positions of records with a run of zeros, which may have been line ends."""
        if not (zeros := np.array(zero_runs(self.buffer), np.int64)).size or not len(self):
            return []
        rows = np.maximum(np.searchsorted(self.spans[:, 0, 0], zeros, side="right") - 1, 0)
        is_inside = (zeros >= self.spans[rows, 0, 0]) & (zeros < self.spans[rows, 0, 1])
        return list(map(int, np.unique(rows[is_inside])))

    def _bounds(self, group: int, rows: npt.NDArray[np.int64]) -> tuple[_Spans, _Spans]:
        return self.spans[rows, group, 0], self.spans[rows, group, 1]


def read_records(
    path: Path, pattern: re.Pattern[bytes], block_bytes: int = BLOCK_BYTES, look: Look = NO_LOOK
) -> Iterator[Records]:
    """Yield the records behind the first line of a file, packed or not.

    Rows that are refused have the reason damaged_source where rows may be lost.

    Args:
        path: the file.
        pattern: what a record is, from `record_pattern`.
        block_bytes: bytes that are split at once, and what is left of the bytes before.
        look: what records look like.

    Raises:
        SourceFileError: the file is missing or damaged; the records before the fault were yielded.
    """
    blocks, splitter = read_text(path, block_bytes), _Splitter(pattern, look)
    rest, first_row, is_end = b"", 0, False
    fault: SourceFileError | None = None
    while not is_end:
        try:
            block = next(blocks, b"")
        except SourceFileError as error:
            fault, block = error, b""
        is_end = not block
        if is_end and fault is None and splitter.is_unended(rest):
            block = b"\n"
        buffer = rest + block
        spans, end = splitter.split(buffer, is_end=is_end)
        if is_end and fault is None:
            splitter.close(spans, end, is_end=True)
        found = np.array(spans, np.int32).reshape(len(spans), 1 + pattern.groups, 2)
        yield Records(first_row, buffer, found, splitter.take_refused())
        first_row += len(spans)
        rest = buffer[end:]
    if fault is not None:
        raise fault


@dataclass
class _Refused:
    """A row that begins where no record does: its reason and detail, and what its lines hold."""

    reason: str
    detail: str
    n_marks: int = 0
    n_quotes: int = 0
    n_tabs: int = 0
    is_torn: bool = False


class _Splitter:
    """Where the splitting is between two buffers."""

    def __init__(self, pattern: re.Pattern[bytes], look: Look) -> None:
        self._match, self._n_groups = pattern.match, pattern.groups
        self._look, self._begin, self._mark = look, re.compile(look.begin), re.compile(look.mark)
        self._begin_inside = re.compile(rb"\n" + look.begin)
        self._is_inside_line = True  # the header
        self._is_unended = False
        self._open: _Refused | None = None
        self._refused: dict[int, tuple[str, str]] = {}

    def is_unended(self, rest: bytes) -> bool:
        """Return whether the bytes that were not yet split, the last ones, have no line end."""
        self._is_unended = bool(rest and not rest.endswith(b"\n")) or self._is_inside_line
        return self._is_unended and bool(rest)

    def split(self, buffer: bytes, *, is_end: bool) -> tuple[list[tuple[_Group, ...]], int]:
        """Return the spans of the rows of a buffer and where what is not yet known begins."""
        spans: list[tuple[_Group, ...]] = []
        place, size, begin_inside = 0, len(buffer), self._begin_inside.search
        while place < size:
            if self._is_inside_line:
                place = self._skip_line(buffer, place)
            # In the pattern the second test would cost more than all of it.
            elif (found := self._match(buffer, place, place + MAX_RECORD_BYTES)) and (
                buffer.find(b"\n", place, found.end() - 1) < 0 or not begin_inside(buffer, place, found.end())
            ):
                self.close(spans, place)
                spans.append(found.regs)
                place = found.end()
            elif is_end or size - place >= MAX_RECORD_BYTES:
                # The first bytes of a line that a damaged file cuts off belong to the damage.
                if self._begin.match(buffer, place) and not (is_end and buffer.find(b"\n", place) < 0):
                    self.close(spans, place)
                self._open = self._open or _Refused(*_describe(buffer, place))
                self._is_inside_line = True
            else:
                break
        return spans, place

    def close(self, spans: list[tuple[_Group, ...]], place: int, *, is_end: bool = False) -> None:
        """Add the row that is refused, if one is open."""
        if self._open is not None:
            self._refused[len(spans)] = self._fault_of(self._open, is_end=is_end)
            spans.append(((place, place),) * (1 + self._n_groups))
            self._open = None

    def take_refused(self) -> dict[int, tuple[str, str]]:
        """Return the rows that were refused since the last time."""
        refused, self._refused = self._refused, {}
        return refused

    def _fault_of(self, row: _Refused, *, is_end: bool) -> tuple[str, str]:
        if row.reason == "field_too_large":
            return row.reason, row.detail
        if is_end and (self._is_unended or (row.n_quotes % 2 and row.n_tabs < self._look.n_tabs)):
            return "damaged_source", f"the file ends inside a record: {row.detail}"
        if row.is_torn or row.n_marks >= 2 * self._look.n_marks:
            return "damaged_source", f"records may be lost: {row.detail}"
        return row.reason, row.detail

    def _skip_line(self, buffer: bytes, place: int) -> int:
        end = buffer.find(b"\n", place) + 1
        self._is_inside_line, end = not end, end or len(buffer)
        if self._open is not None:
            self._open.n_marks += len(self._mark.findall(buffer, place, end))
            self._open.n_tabs += buffer.count(b"\t", place, end)
            self._open.n_quotes += buffer.count(b'"', place, end)
            self._open.is_torn |= bool(zero_runs(buffer[place:end])) or not is_utf8(pa.py_buffer(buffer[place:end]))
        return end


def _describe(buffer: bytes, place: int) -> tuple[str, str]:
    end = buffer.find(b"\n", place, place + MAX_RECORD_BYTES)
    if end < 0:
        return "field_too_large", f"a line of more than {MAX_RECORD_BYTES} bytes"
    n_fields = buffer.count(b"\t", place, end) + 1
    return "wrong_field_count", f"no whole record begins here; its first line has {n_fields} fields"
