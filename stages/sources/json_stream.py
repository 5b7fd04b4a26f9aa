"""Take the elements out of large JSON lists a chunk of bytes at a time, whatever is wrong with some of them.

Not for what the elements mean, which the readers know, nor for counting them: that is `stages/sources/json_count.py`.
"""

import json
import re
from collections.abc import Collection, Generator, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import orjson

from stages.sources.batch import SourceFileError
from stages.sources.json_marks import COMMA, LIST, STEPS, Places, Scanner

WHOLE = ""  # the name of the list in a file that is one list
ELEMENT_LIMIT_BYTES = 1 << 22  # parsed, it may take thirty times as much memory
KEY_LIMIT_BYTES = 1 << 10
BLANKS = b" \t\r\n"
_KEY = re.compile(rb'\s*"((?:[^"\\]|\\.)*)"\s*:\s*', re.DOTALL)
# Written by some libraries where they mean that there is none.
_DECODER = json.JSONDecoder(parse_constant=lambda constant: None)


class BadElement(NamedTuple):
    """An element that cannot be read: a reason code and what was found."""

    reason: str
    detail: str


def read_lists(
    chunks: Iterable[bytes], names: Collection[str], place: str, limit_bytes: int = ELEMENT_LIMIT_BYTES
) -> Iterator[tuple[str, list[Any]]]:
    """Yield elements of the named lists, some at a time, in the order of the file; bad ones as BadElement.

    An element ends at the comma or bracket that stands outside of its strings and brackets, whether it is JSON or not:
    one that is none hides no other. Bytes that are not UTF-8 come as lone surrogates. NaN and Infinity come as None.

    Args:
        chunks: the bytes of the file.
        names: keys of lists in the object that the file is; WHOLE for a file that is one list.
        place: what messages name the file.
        limit_bytes: an element of more is not read.

    Raises:
        SourceFileError: the file ends too early or too late, or lacks a list; what was whole has been yielded.
    """
    walk = _Walk(names, place, limit_bytes)
    for chunk in chunks:
        yield from walk.take(chunk)
    walk.check_end()


def describe_start(place: str, found: bytes) -> SourceFileError:
    """Return the error for a file that does not begin as JSON does."""
    return SourceFileError(f"{place}: expected a JSON list or object, found {found[:20]!r}; download it again")


def describe_end(place: str, is_started: bool, is_done: bool, missing: Collection[str]) -> SourceFileError | None:
    """Return the error for a file that ended before it was whole, or without a list; None where it is in order."""
    if not is_started:
        return describe_start(place, b"")
    if not is_done:
        return SourceFileError(f"{place}: expected JSON to its last bracket, found its end before; download it again")
    if missing:
        wanted = " and ".join(f"a list {name!r}" if name else "one list" for name in sorted(missing))
        return SourceFileError(f"{place}: expected {wanted}, found none; is it the file that is published?")
    return None


def describe_rest(place: str) -> SourceFileError:
    """Return the error for a file that goes on after its JSON has ended."""
    return SourceFileError(f"{place}: expected the end after the last bracket, found more; download it again")


class _Walk:
    """Where in the file a chunk begins: in which list, and after which bytes of an unfinished element or key."""

    def __init__(self, names: Collection[str], place: str, limit_bytes: int) -> None:
        self._place, self._limit_bytes = place, limit_bytes
        self._names, self._missing = frozenset(names), set(names)
        self._scanner, self._level, self._is_done = Scanner(), 0, False
        self._name: str | None = None  # of the list that is being read
        self._is_inside = False  # of a list or object at the level, wanted or not
        self._n_elements = 0
        self._head = b""
        self._parts: list[bytes] = []
        self._n_carried = 0

    def take(self, chunk: bytes) -> Iterator[tuple[str, list[Any]]]:
        """Yield the elements that end in a chunk."""
        if not self._level:
            chunk = chunk.lstrip(BLANKS)
            if chunk and chunk[:1] not in (b"[", b"{"):
                raise describe_start(self._place, chunk)
            self._level = {b"": 0, b"[": 1, b"{": 2}[chunk[:1]]
        begin = 0
        if self._level and not self._is_done:
            begin = yield from self._walk(chunk)
        if self._is_done:
            if chunk[begin:].strip(BLANKS):
                raise describe_rest(self._place)
        elif self._name is not None:
            self._carry(chunk[begin:])
        elif not self._is_inside:
            self._head = as_head(self._head + chunk[begin:])

    def check_end(self) -> None:
        """Raise SourceFileError where the file is not whole."""
        if error := describe_end(self._place, self._level > 0, self._is_done, self._missing):
            raise error

    def _walk(self, chunk: bytes) -> Generator[tuple[str, list[Any]], None, int]:
        """Yield the elements that end in a chunk, and return where what is unfinished begins."""
        places, marks, depths = self._scanner.scan(chunk, self._level)
        begin = first = 0
        for bracket in (*map(int, np.flatnonzero(marks != COMMA)), len(places)):
            if len(commas := places[first:bracket]):
                if self._name is not None:
                    yield self._name, self._elements(chunk, begin, commas)
                self._head, begin = b"", int(commas[-1]) + 1
            if bracket == len(places):
                break
            place, first = int(places[bracket]), bracket + 1
            if STEPS[marks[bracket]] > 0:
                if depths[bracket] == self._level:
                    self._open(chunk[begin:place], marks[bracket] == LIST)
            else:
                if self._name is not None and (self._n_elements or self._n_carried or chunk[begin:place].strip(BLANKS)):
                    yield self._name, self._elements(chunk, begin, places[bracket : bracket + 1])
                # What follows a value is no key of the next one.
                self._name, self._is_inside, self._head = None, False, b"]"
                if depths[bracket] == 0:
                    self._is_done = True
                    return place + 1
            begin = place + 1
        return begin

    def _open(self, before: bytes, is_list: bool) -> None:
        key = _KEY.fullmatch(as_head(self._head + before)) if self._level > 1 else None
        name = WHOLE if self._level == 1 else key[1].decode(errors="replace") if key else None
        self._is_inside, self._n_elements = True, 0
        if is_list and name in self._names:
            self._name = name
            self._missing.discard(name)

    def _elements(self, chunk: bytes, begin: int, ends: Places) -> list[Any]:
        n_carried, found = self._n_carried, list[Any]()
        data = b"".join([b"[", *self._parts, chunk[begin : ends[-1]], b"]"])
        self._parts, self._n_carried = [], 0
        self._n_elements += len(ends)
        if n_carried + int(ends[0]) - begin > self._limit_bytes:
            found = [BadElement("field_too_large", f"an element of more than {self._limit_bytes} bytes")]
            data = b"[" + chunk[ends[0] + 1 : ends[-1]] + b"]"
            begin, n_carried, ends = int(ends[0]) + 1, 0, ends[1:]
        return found + (_parse(data, ends[:-1] - begin + n_carried + 1) if len(ends) else [])

    def _carry(self, piece: bytes) -> None:
        piece = piece if self._n_carried else piece.lstrip(BLANKS)
        self._n_carried += len(piece)
        self._parts.append(piece)
        if self._n_carried > self._limit_bytes:
            self._parts = []


def as_head(text: bytes) -> bytes:
    """Return the beginning of what stands before a value, its blanks made one: more is no key that is wanted."""
    return b" ".join(text.split())[:KEY_LIMIT_BYTES] + (b" " if text[-1:].isspace() else b"")


def _parse(data: bytes, commas: Places) -> list[Any]:
    """Return the values of elements parted by commas, between brackets; each apart where one is faulty."""
    values = None
    # The fast parser knows no NaN, half surrogates or control characters: what it refuses, the other one judges.
    for parse in (orjson.loads, _decode):
        try:
            values = parse(data)
            break
        except (ValueError, RecursionError):
            continue
    if values is not None and len(values) == len(commas) + 1:
        return list(values)
    begins, ends = [1, *(int(comma) + 1 for comma in commas)], [*map(int, commas), len(data) - 1]
    return [_parse_one(data[begin:end]) for begin, end in zip(begins, ends, strict=True)]


def _parse_one(element: bytes) -> Any:
    try:
        return _decode(element.strip(BLANKS))
    except RecursionError:
        return BadElement("bad_record", "JSON nested too deep")
    except ValueError as error:
        return BadElement("bad_record", f"no JSON: {error}")


def _decode(text: bytes) -> Any:
    try:
        return _DECODER.decode(text.decode())
    except UnicodeDecodeError:
        return _DECODER.decode(text.decode(errors="surrogateescape"))
