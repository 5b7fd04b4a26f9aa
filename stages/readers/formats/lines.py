"""Read a file of lines one block of bytes at a time, and extract fields of a block without a loop over lines.

Readers interpret the fields. There is no quoting: a tab separates fields, LF or CR LF ends a line.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.readers.batch import SourceFileError, describe_invalid_utf8, find_invalid_utf8, is_utf8
from stages.readers.formats.packed import BLOCK_BYTES as BLOCK_BYTES
from stages.readers.formats.packed import read_bytes

# The longest known caption of any corpus has 61,192 characters, and Flickr's descriptions end at 65,535 (590 KB when
# URL-encoded): a longer line does not come from a corpus, and must not fill the memory.
MAX_LINE_BYTES = 1 << 20
_LF, _CR, _TAB, _ZERO, _NINE = 10, 13, 9, 48, 57
_MAX_DIGITS = 18  # longer numbers may not fit into int64
UTF8_MARK = b"\xef\xbb\xbf"
_MARKS = re.compile(b"(?:" + UTF8_MARK + b")+")
END_MARK = b"\x1a"  # DOS ends text files with it, CP/M fills the last 128 bytes
_END_BYTES = 4096  # longer runs are no end
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_HEAD_BYTES = 4096
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_ZEROS = re.compile(rb"\x00{4,}")

Positions = npt.NDArray[np.int32]


def read_text(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield the bytes of a text file, packed or not, without byte order marks at its beginning and end marks of DOS.

    Raises:
        SourceFileError: the file is missing, damaged or UTF-16; the bytes before the fault were yielded.
    """
    blocks, head = _without_end(read_bytes(path, block_bytes)), b""
    fault: SourceFileError | None = None
    try:
        while len(head) < _HEAD_BYTES and (block := next(blocks, b"")):
            head += block
    except SourceFileError as error:
        fault = error
    if _is_utf16(head[:_HEAD_BYTES]):
        raise SourceFileError(f"{path}: expected text in UTF-8, found UTF-16; convert it, or download it again")
    while head.startswith(UTF8_MARK):
        head = head.removeprefix(UTF8_MARK)
    if head:
        yield head
    if fault is not None:
        raise fault
    yield from blocks


def _without_end(blocks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for block in blocks:
        block = held + block
        kept = block.rstrip(END_MARK)
        held = block[len(kept) :]
        if len(held) > _END_BYTES:
            kept, held = block, b""
        if kept:
            yield kept


def _is_utf16(head: bytes) -> bool:
    """Return whether bytes begin with a UTF-16 byte order mark, or every second one is zero, as in Latin texts."""
    n_even, n_odd = head[::2].count(0), head[1::2].count(0)
    return head.startswith(_UTF16_MARKS) or abs(n_even - n_odd) > 0.3 * (len(head) // 2) > 2


def count_lines(path: Path) -> int:
    """Return the number of lines, including a last one without a line end.

    Raises:
        SourceFileError: the file is missing or damaged; n_rows_before counts the lines that end before the fault.
    """
    n_lines, last = 0, b"\n"
    try:
        for block in read_text(path):
            n_lines += block.count(b"\n")
            last = block[-1:]
    except SourceFileError as error:
        error.n_rows_before = n_lines
        raise
    return n_lines + (last != b"\n")


def read_blocks(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield blocks of complete lines of a file, packed or not; only the last block may end without a line end.

    A line of more than MAX_LINE_BYTES is shortened, but not below that limit (`Lines.too_long`).

    Raises:
        SourceFileError: the file is missing or damaged; lines that end before the fault have been yielded.
    """
    carried: list[bytes] = []
    n_carried = 0
    for block in read_text(path, block_bytes):
        cut = block.rfind(b"\n") + 1
        if cut:
            yield b"".join([*carried, memoryview(block)[:cut]])
            carried, n_carried = [], 0
        if rest := block[cut : cut + MAX_LINE_BYTES + 1 - n_carried]:
            carried.append(rest)
            n_carried += len(rest)
    if rest := b"".join(carried):
        yield rest


class Lines:
    """The lines of one block, and the positions of their fields.

    Attributes:
        buffer: the bytes of the block.
        codes: the same as uint8.
        starts, ends: positions of each line in the block, without its line end (LF or CR LF) and byte order marks.
        n_fields: number of fields of each line; an empty line has one.
    """

    def __init__(self, block: bytes) -> None:
        self._block, self.buffer, self.codes = block, pa.py_buffer(block), np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(self.codes == _LF).astype(np.int32)
        ends = ends if block.endswith(b"\n") else np.append(ends, np.int32(len(block)))
        starts = np.concatenate([np.zeros(1, np.int32), ends[:-1] + 1]).astype(np.int32)
        self.starts: Positions = self._without_marks(starts)
        self.ends: Positions = self._without_cr(ends)
        tabs = np.flatnonzero(self.codes == _TAB).astype(np.int32)
        self._tabs: Positions = np.append(tabs, np.int32(len(block)))
        self._before, self.n_fields = _count_tabs(tabs, self.starts, self.ends)

    def __len__(self) -> int:
        return len(self.starts)

    def _without_marks(self, starts: Positions) -> Positions:
        # They are inside of a file that was made from several.
        if UTF8_MARK not in self._block:
            return starts
        places = np.array([found.start() for found in _MARKS.finditer(self._block)], np.int32)
        lengths = np.array([len(found[0]) for found in _MARKS.finditer(self._block)], np.int32)
        lines = np.searchsorted(starts, places)
        is_first = starts[np.minimum(lines, len(starts) - 1)] == places
        starts[lines[is_first]] += lengths[is_first]
        return starts

    def _without_cr(self, ends: Positions) -> Positions:
        if b"\r" not in self._block:
            return ends
        while (has_cr := (ends > self.starts) & (self.codes[np.maximum(ends - 1, 0)] == _CR)).any():
            ends = ends - has_cr.astype(np.int32)
        return ends

    def line(self, row: int) -> bytes:
        """Return the bytes of one line."""
        return bytes(self.buffer[int(self.starts[row]) : int(self.ends[row])])

    def too_long(self) -> list[int]:
        """Return the numbers of the lines of more than MAX_LINE_BYTES, which may be shortened."""
        return [int(row) for row in np.flatnonzero(self.ends - self.starts > MAX_LINE_BYTES)]

    def with_zeros(self) -> list[int]:
        """Return the numbers of the lines with a run of zeros, which may have been line ends."""
        places = zero_runs(self._block)
        return list(map(int, np.unique(np.searchsorted(self.starts, places, side="right") - 1)))

    def bounds(self, number: int, rows: npt.NDArray[np.int64]) -> tuple[Positions, Positions]:
        """Return begin and end of a field of some lines; empty if a line has fewer fields.

        Args:
            number: position of the field, from 0.
            rows: numbers of lines in the block, ascending.
        """
        ends, n_fields = self.ends[rows], self.n_fields[rows]
        first = np.minimum(self._before[rows] + number, len(self._tabs) - 1)
        end = np.where(number < n_fields - 1, self._tabs[first], ends)
        begin = self._tabs[np.maximum(first - 1, 0)] + 1 if number else self.starts[rows]
        return np.where(number < n_fields, begin, ends).astype(np.int32), end.astype(np.int32)

    def field(self, number: int, rows: npt.NDArray[np.int64]) -> pa.Array:
        """Return a field of some lines as strings, which may hold bytes that are not UTF-8."""
        return slices(self.buffer, *self.bounds(number, rows))

    def whole_numbers(self, number: int, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return a field of some lines as integers, -1 if it is not an integer of at most 18 digits."""
        begin, end = self.bounds(number, rows)
        n_digits = end - begin
        is_number, value = (n_digits > 0) & (n_digits <= _MAX_DIGITS), np.zeros(len(rows), np.int64)
        for place in range(min(int(n_digits.max(initial=0)), _MAX_DIGITS)):
            is_inside = place < n_digits
            code = self.codes[np.minimum(begin + place, len(self.codes) - 1)]
            is_number &= ~is_inside | ((code >= _ZERO) & (code <= _NINE))
            value = np.where(is_inside & is_number, value * 10 + (code.astype(np.int64) - _ZERO), value)
        return np.where(is_number, value, -1)

    def lines(self, rows: npt.NDArray[np.int64]) -> pa.Array:
        """Return complete lines as strings, which may hold bytes that are not UTF-8; rows ascend."""
        return slices(self.buffer, self.starts[rows], self.ends[rows])

    def invalid_utf8(self) -> dict[int, str]:
        """Return the faults of lines that are not UTF-8, by their number in the block."""
        if is_utf8(self.buffer):
            return {}
        bad = find_invalid_utf8(self.lines(np.arange(len(self))))
        return {row: describe_invalid_utf8(self.line(row)) for row in bad}


def zero_runs(block: bytes) -> list[int]:
    """Return where runs of zeros begin: a single zero may be text, four are lost bytes."""
    # A search for one byte is twenty times as fast as for four.
    return [found.start() for found in _ZEROS.finditer(block)] if b"\0" in block else []


def has_control(text: bytes) -> bool:
    """Return whether there are control characters other than tab, CR and LF; with them, non-UTF-8 is not text."""
    return _CONTROL.search(text) is not None


def _count_tabs(tabs: Positions, starts: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """Return the number of tabs before each line, and each line's number of fields."""
    n_lines, n_each = len(starts), len(tabs) // len(starts)
    if n_each and len(tabs) == n_lines * n_each:  # the usual case, and four times as fast as a search
        by_line = tabs.reshape(n_lines, n_each)
        if bool(np.all(by_line[:, 0] >= starts)) and bool(np.all(by_line[:, -1] < ends)):
            return np.arange(n_lines, dtype=np.int32) * np.int32(n_each), np.full(n_lines, n_each + 1, np.int32)
    before = np.searchsorted(tabs, starts).astype(np.int32)
    return before, (np.searchsorted(tabs, ends) - before + 1).astype(np.int32)


def slices(
    buffer: pa.Buffer, begins: Positions, ends: Positions, is_null: npt.NDArray[np.bool_] | None = None
) -> pa.Array:
    """Return one string per slice of the buffer; slices ascend and do not overlap."""
    offsets = np.empty(2 * len(begins) + 1, np.int32)
    offsets[0:-1:2], offsets[1::2], offsets[-1] = begins, ends, buffer.size
    # Slices and the gaps between them, without a copy; then only the slices.
    pieces = pa.StringArray.from_buffers(2 * len(begins), pa.py_buffer(offsets), buffer)
    evens = np.arange(0, 2 * len(begins), 2, dtype=np.int64)
    return pieces.take(pa.array(evens, mask=is_null))
