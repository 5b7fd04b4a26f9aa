"""Extract or count the elements of large JSON lists one chunk of bytes at a time, even if some are damaged.

Readers interpret the elements.
"""

import codecs
import re
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from stages.readers.batch import SourceFileError
from stages.readers.formats.json_marks import COMMA, LIST, STEPS, Places, Scanner
from stages.readers.formats.json_values import BLANKS, lost_element, parse_elements
from stages.readers.formats.lines import END_MARK

WHOLE = ""  # name of the list in a file that is a single list
ELEMENT_LIMIT_BYTES = 1 << 22  # parsed, it may take thirty times as much memory
_REST = BLANKS + END_MARK + b"\0"  # no value can be lost in it; tapes and block devices pad with zeros
_KEY_LIMIT_BYTES = 1 << 10
_KEY = re.compile(rb'\s*"((?:[^"\\]|\\.)*)"\s*:\s*', re.DOTALL)


class CutError(SourceFileError):
    """A file ends before the last bracket of its JSON."""


class ListCounts(NamedTuple):
    """The number of elements by list name, and the fault of the file, or None."""

    n_elements: Mapping[str, int]
    fault: SourceFileError | None


def read_lists(
    chunks: Iterable[bytes], names: Collection[str], place: str, limit_bytes: int = ELEMENT_LIMIT_BYTES
) -> Iterator[tuple[str, list[Any]]]:
    """Yield elements of the named lists in groups, in the order of the file; invalid ones as BadElement.

    An element ends at the next comma or bracket outside its strings and brackets, even if it is not valid JSON, so an
    invalid one hides no other. Bytes that are not UTF-8 become lone surrogates; NaN and Infinity become None.

    Args:
        chunks: the bytes of the file; a UTF-8 byte order mark before them is skipped.
        names: keys of lists in the file's object; WHOLE for a file that is a single list.
        place: the file's name in messages.
        limit_bytes: longer elements are not read.

    Raises:
        SourceFileError: the file ends too early or too late, or lacks a list; all complete elements have been yielded.
    """
    for found in _Walk(names, place, limit_bytes).elements(chunks):
        yield found.name, found.parse()


def count_lists(chunks: Iterable[bytes], names: Collection[str], place: str) -> ListCounts:
    """Return the number of elements of the named lists by brackets and commas, without parsing."""
    n_elements = dict.fromkeys(names, 0)
    try:
        for found in _Walk(names, place, ELEMENT_LIMIT_BYTES).elements(chunks):
            n_elements[found.name] += found.n_elements
    except SourceFileError as error:
        return ListCounts(n_elements, error)
    return ListCounts(n_elements, None)


class _Elements(NamedTuple):
    """Consecutive elements of a list.

    Attributes:
        name: name of the list.
        data: the elements with commas between them, in brackets.
        commas: positions of the commas in the data.
        n_parsed: elements in the data.
        too_large: message on one more element before them, which was too large; "" if none.
    """

    name: str
    data: bytes
    commas: Places
    n_parsed: int
    too_large: str

    @property
    def n_elements(self) -> int:
        return self.n_parsed + bool(self.too_large)

    def parse(self) -> list[Any]:
        """Return the values."""
        lost = [lost_element(self.too_large)] if self.too_large else []
        return lost + (parse_elements(self.data, self.commas) if self.n_parsed else [])


class _Walk:
    """The state at the beginning of a chunk: the list, and the bytes of an unfinished element or key."""

    def __init__(self, names: Collection[str], place: str, limit_bytes: int) -> None:
        self._place, self._limit_bytes = place, limit_bytes
        self._names, self._missing = frozenset(names), set(names)
        self._scanner, self._level, self._is_done = Scanner(), 0, False
        self._name: str | None = None  # level of the list that is being read
        self._is_inside = False  # inside a list or object at the level, wanted or not
        self._n_elements = 0
        self._head = b""
        self._carried: list[bytes] = []
        self._n_carried = 0

    def elements(self, chunks: Iterable[bytes]) -> Iterator[_Elements]:
        """Yield the elements of the wanted lists; see `read_lists`."""
        for chunk in _without_mark(chunks, self._place):
            yield from self._take(chunk)
        self._check_end()

    def _take(self, chunk: bytes) -> Iterator[_Elements]:
        if not self._level:
            chunk = chunk.lstrip(BLANKS)
            if chunk and chunk[:1] not in (b"[", b"{"):
                raise self._fault(f"expected a JSON list or object, found {chunk[:20]!r}")
            self._level = {b"": 0, b"[": 1, b"{": 2}[chunk[:1]]
        begin = 0
        if self._level and not self._is_done:
            begin = yield from self._walk(chunk)
        if self._is_done:
            if chunk[begin:].strip(_REST):
                raise self._fault("expected the end after the last bracket, found more")
        elif self._name is not None:
            self._carry(chunk[begin:])
        elif not self._is_inside:
            self._head = _as_head(self._head + chunk[begin:])

    def _check_end(self) -> None:
        if not self._level:
            raise self._fault("expected a JSON list or object, found b''")
        if not self._is_done:
            found = "expected JSON to its last bracket, found its end before"
            raise CutError(f"{self._place}: {found}; download it again")
        if self._missing:
            wanted = " and ".join(f"a list {name!r}" if name else "one list" for name in sorted(self._missing))
            raise self._fault(f"expected {wanted}, found none", "compare its size with the published file's")

    def _fault(self, found: str, advice: str = "download it again") -> SourceFileError:
        return SourceFileError(f"{self._place}: {found}; {advice}")

    def _walk(self, chunk: bytes) -> Generator[_Elements, None, int]:
        """Yield the elements that end in a chunk, and return where the unfinished one begins."""
        places, marks, depths = self._scanner.scan(chunk, self._level)
        begin = first = 0
        for bracket in (*map(int, np.flatnonzero(marks != COMMA)), len(places)):
            if len(commas := places[first:bracket]):
                if self._name is not None:
                    yield self._cut(self._name, chunk, begin, commas)
                self._head, begin = b"", int(commas[-1]) + 1
            if bracket == len(places):
                break
            place, first = int(places[bracket]), bracket + 1
            if STEPS[marks[bracket]] > 0:
                if depths[bracket] == self._level:
                    self._open(chunk[begin:place], marks[bracket] == LIST)
            else:
                if self._name is not None and (self._n_elements or self._n_carried or chunk[begin:place].strip(BLANKS)):
                    yield self._cut(self._name, chunk, begin, places[bracket : bracket + 1])
                # Text after a value is not the key of the next one.
                self._name, self._is_inside, self._head = None, False, b"]"
                if depths[bracket] == 0:
                    self._is_done = True
                    return place + 1
            begin = place + 1
        return begin

    def _open(self, before: bytes, is_list: bool) -> None:
        key = _KEY.fullmatch(_as_head(self._head + before)) if self._level > 1 else None
        name = WHOLE if self._level == 1 else key[1].decode(errors="replace") if key else None
        self._is_inside, self._n_elements = True, 0
        if is_list and name in self._names:
            self._name = name
            self._missing.discard(name)

    def _cut(self, name: str, chunk: bytes, begin: int, ends: Places) -> _Elements:
        """Return the elements that end at some positions of a chunk; the first may have begun in an earlier chunk."""
        n_carried, too_large = self._n_carried, ""
        data = b"".join([b"[", *self._carried, chunk[begin : ends[-1]], b"]"])
        self._carried, self._n_carried = [], 0
        self._n_elements += len(ends)
        if n_carried + int(ends[0]) - begin > self._limit_bytes:
            too_large = f"no end of an element within {self._limit_bytes} bytes"
            data = b"[" + chunk[ends[0] + 1 : ends[-1]] + b"]"
            begin, n_carried, ends = int(ends[0]) + 1, 0, ends[1:]
        return _Elements(name, data, ends[:-1] - begin + n_carried + 1, len(ends), too_large)

    def _carry(self, piece: bytes) -> None:
        piece = piece if self._n_carried else piece.lstrip(BLANKS)
        self._n_carried += len(piece)
        self._carried.append(piece)
        if self._n_carried > self._limit_bytes:
            self._carried = []


def _without_mark(chunks: Iterable[bytes], place: str) -> Iterator[bytes]:
    """Yield the chunks without a byte order mark.

    Raises:
        SourceFileError: the file is UTF-16 or UTF-32.
    """
    rest = iter(chunks)
    head = b""
    while len(head) < len(codecs.BOM_UTF8) and (chunk := next(rest, None)) is not None:
        head += chunk
    # JSON begins with two ASCII characters other than NUL.
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head[:2]:
        raise SourceFileError(f"{place}: expected UTF-8, found UTF-16 or UTF-32; save it as UTF-8 or download it again")
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from rest


def _as_head(text: bytes) -> bytes:
    """Return the beginning of the text before a value, with single spaces; no wanted key is longer."""
    return b" ".join(text.split())[:_KEY_LIMIT_BYTES] + (b" " if text[-1:].isspace() else b"")
