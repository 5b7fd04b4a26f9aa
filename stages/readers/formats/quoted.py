"""Split a file of quoted, tab-separated records; fields may hold line ends, and a stray quote loses only few rows.

The grammar is that of Python's csv module in strict mode: a record is a line with a known number of fields; a field
that begins with a quote ends at the next single quote, which a tab or the line end follows, and quotes in it are
doubled; any other field has no tab, CR or line end, and its quotes are literal.

If no record with that number of fields and at most MAX_RECORD_BYTES begins at a line, the line and those after it, up
to the next one at which a complete record begins or which looks like the beginning of a record, are one refused row.
At the end of a damaged file those lines belong to the damage instead. No record contains a line that looks like the
beginning of a record, so a quote that is never closed swallows no rows.
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

# The limit of a caption's line also applies to records; a quote that is never closed must not be followed forever.
MAX_RECORD_BYTES = MAX_LINE_BYTES
_QUOTE = ord('"')
# Records of 1.7 KB on one core: 380 MB/s here, 120 with the csv module, 500 with pyarrow.csv, 690 with numpy and the
# parity of quotes. But after a stray quote csv swallows rows, pyarrow.csv refuses the file, and parity never recovers.
_FIELD = rb'(?:"(?:[^"]++|"")*+"(?=[\t\r\n])|(?!")[^\t\r\n]*+)'
_NEVER = rb"(?!)"

_Spans = npt.NDArray[np.int32]
_Group = tuple[int, int]


class Look(NamedTuple):
    """Patterns of a corpus's records, to distinguish torn ones from those with stray quotes.

    Attributes:
        begin: regular expression that matches the beginning of a record, but no line inside one.
        mark: regular expression that matches n_marks times in a record, or slightly more often.
        n_marks: see mark.
        n_tabs: tabs in a record.
    """

    begin: bytes = _NEVER
    mark: bytes = _NEVER
    n_marks: int = 1
    n_tabs: int = 0


NO_LOOK = Look()


def record_pattern(n_fields: int, wanted: Sequence[int]) -> re.Pattern[bytes]:
    """Return the regular expression of a record with its line end; its groups are the wanted fields in order.

    Args:
        n_fields: number of fields in a record.
        wanted: positions from 0, ascending.
    """
    fields = [b"(" + _FIELD + b")" if place in wanted else _FIELD for place in range(n_fields)]
    return re.compile(rb"\t".join(fields) + rb"\r*+\n")


@dataclass(frozen=True)
class Records:
    """Consecutive rows of a file.

    Attributes:
        first_row: position of the first row in the file.
        buffer: the bytes of the rows.
        spans: int32 [n, 1 + wanted, 2]: begin and end of each record and of its wanted fields; empty if refused.
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
        """Return a wanted field of some rows without its quotes, null where requested; rows ascend."""
        begins, ends = self._bounds(group, rows)
        codes = np.frombuffer(self.buffer or b"\0", np.uint8)  # at the end of a file there may be only a refused row
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
    """Yield the records after the first line of a file, packed or not.

    Refused rows have the reason damaged_source if rows may be lost.

    Args:
        path: the file.
        pattern: pattern of a record, from `record_pattern`.
        block_bytes: bytes to split at once, in addition to the rest of the previous ones.
        look: patterns of the corpus's records.

    Raises:
        SourceFileError: the file is missing or damaged; the records before the fault have been yielded.
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
    """A row that begins where no record does: its reason, its detail, and counts of its lines' content."""

    reason: str
    detail: str
    n_marks: int = 0
    n_quotes: int = 0
    n_tabs: int = 0
    is_torn: bool = False


class _Splitter:
    """The state of splitting between two buffers."""

    def __init__(self, pattern: re.Pattern[bytes], look: Look) -> None:
        self._match, self._n_groups = pattern.match, pattern.groups
        self._look, self._begin, self._mark = look, re.compile(look.begin), re.compile(look.mark)
        self._begin_inside = re.compile(rb"\n" + look.begin)
        self._is_inside_line = True  # the header
        self._is_unended = False
        self._open: _Refused | None = None
        self._refused: dict[int, tuple[str, str]] = {}

    def is_unended(self, rest: bytes) -> bool:
        """Return whether the last bytes, not split yet, have no line end."""
        self._is_unended = bool(rest and not rest.endswith(b"\n")) or self._is_inside_line
        return self._is_unended and bool(rest)

    def split(self, buffer: bytes, *, is_end: bool) -> tuple[list[tuple[_Group, ...]], int]:
        """Return the spans of the rows of a buffer and the position of the undecided rest."""
        spans: list[tuple[_Group, ...]] = []
        place, size, begin_inside = 0, len(buffer), self._begin_inside.search
        while place < size:
            if self._is_inside_line:
                place = self._skip_line(buffer, place)
            # In the pattern this second test would cost more than the rest of it.
            elif (found := self._match(buffer, place, place + MAX_RECORD_BYTES)) and (
                buffer.find(b"\n", place, found.end() - 1) < 0 or not begin_inside(buffer, place, found.end())
            ):
                self.close(spans, place)
                spans.append(found.regs)
                place = found.end()
            elif is_end or size - place >= MAX_RECORD_BYTES:
                # The bytes of a line cut off in a damaged file belong to the damage.
                if self._begin.match(buffer, place) and not (is_end and buffer.find(b"\n", place) < 0):
                    self.close(spans, place)
                self._open = self._open or _Refused(*_describe(buffer, place))
                self._is_inside_line = True
            else:
                break
        return spans, place

    def close(self, spans: list[tuple[_Group, ...]], place: int, *, is_end: bool = False) -> None:
        """Add the open refused row, if any."""
        if self._open is not None:
            self._refused[len(spans)] = self._fault_of(self._open, is_end=is_end)
            spans.append(((place, place),) * (1 + self._n_groups))
            self._open = None

    def take_refused(self) -> dict[int, tuple[str, str]]:
        """Return the rows refused since the last call."""
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
    return "wrong_field_count", f"no complete record begins here; its first line has {n_fields} fields"
