"""Count the elements of JSON lists without parsing them: strings are cut out, and brackets and commas are left.

Not for reading them, which works another way: that is `stages/sources/json_stream.py`.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from stages.sources.batch import SourceFileError
from stages.sources.json_stream import BLANKS, KEY_LIMIT_BYTES, WHOLE, describe_end, describe_rest, describe_start

_FLAT_OBJECT = re.compile(rb"\{[^\[\]{}]*\}")
_MARK = re.compile(rb"[\[\]{},]")
_KEY = re.compile(rb'"\0(\d+);:')  # what is left of a wanted key


class ListCounts(NamedTuple):
    """Elements that are whole by the name of their list, and why the file is not whole, or None."""

    n_elements: Mapping[str, int]
    fault: SourceFileError | None


def count_lists(chunks: Iterable[bytes], names: Collection[str], place: str) -> ListCounts:
    """Return the number of elements of the named lists; see `read_lists` for what an element is."""
    tally = _Tally(names, place)
    fault: SourceFileError | None = None
    try:
        for chunk in chunks:
            tally.take(chunk)
    except SourceFileError as error:
        fault = error
    return ListCounts(tally.n_elements, fault or tally.fault_at_end())


class _Tally:
    """What has been counted, and where in the file a chunk begins."""

    def __init__(self, names: Collection[str], place: str) -> None:
        self._place, self._names = place, list(names)
        self._codes = {name.encode(): b"\0%d;" % n for n, name in enumerate(self._names)}
        self.n_elements = dict.fromkeys(self._names, 0)
        self._missing = set(names)
        self._carried, self._head = b"", b""
        self._level, self._depth, self._is_done = 0, 0, False
        self._name: str | None = None
        self._is_filled = False

    def take(self, chunk: bytes) -> None:
        """Count the elements that end in a chunk."""
        text = self._without_strings(chunk)
        if self._is_done:
            self._refuse_rest(text)
        elif self._level:
            self._count(_FLAT_OBJECT.sub(b"0", text))
        elif text:
            self._level = {b"[": 1, b"{": 2}.get(text[:1], 0)
            if not self._level:
                raise describe_start(self._place, chunk.lstrip(BLANKS))
            self._count(text[:1] + _FLAT_OBJECT.sub(b"0", text[1:]))

    def fault_at_end(self) -> SourceFileError | None:
        """Return why the file that has ended is not whole."""
        return describe_end(self._place, self._level > 0, self._is_done, self._missing)

    def _without_strings(self, chunk: bytes) -> bytes:
        """Return the chunk without blanks, a quote for each string that ends in it, and a code for each wanted one."""
        text = (self._carried + chunk).replace(b"\0", b"0").replace(rb"\\", b"__").replace(rb"\"", b"__")
        cut = b"\\" if text.endswith(b"\\") else b""
        pieces = text.removesuffix(cut).split(b'"')
        # The unfinished string goes on in the next chunk; its beginning is enough.
        self._carried = (b'"' + pieces.pop()[:KEY_LIMIT_BYTES] if len(pieces) % 2 == 0 else b"") + cut
        outside = pieces[::2]
        if any(name in text for name in self._codes):
            for number, string in enumerate(pieces[1::2]):
                if string in self._codes:
                    outside[number + 1] = self._codes[string] + outside[number + 1]
        return b'"'.join(outside).translate(None, BLANKS)

    def _count(self, text: bytes) -> None:
        begin = 0
        for mark in _MARK.finditer(text):
            place = mark.start()
            if text[place] == ord(","):
                if self._depth > self._level or (self._depth == self._level and self._name is None):
                    continue
                if self._name is not None:
                    self.n_elements[self._name] += 1
                self._head, self._is_filled = b"", True
            elif text[place] in b"[{":
                self._depth += 1
                if self._depth > self._level:
                    continue
                if self._depth == self._level:
                    self._open(self._head + text[begin:place], text[place] == ord("["))
            else:
                self._depth -= 1
                if self._depth >= self._level:
                    continue
                self._close(text[begin:place])
                if not self._depth:
                    self._is_done = True
                    self._refuse_rest(text[place + 1 :])
                    return
            begin = place + 1
        if self._name is not None:
            self._is_filled |= begin < len(text)
        elif self._depth < self._level:
            self._head = (self._head + text[begin:])[:KEY_LIMIT_BYTES]

    def _open(self, head: bytes, is_list: bool) -> None:
        key = _KEY.fullmatch(head) if self._level > 1 else None
        name = WHOLE if self._level == 1 else self._names[int(key[1])] if key else None
        self._is_filled = False
        if is_list and name in self.n_elements:
            self._name = name
            self._missing.discard(name)

    def _close(self, last: bytes) -> None:
        if self._name is not None:
            self.n_elements[self._name] += bool(last) or self._is_filled
        self._name, self._head = None, b"]"

    def _refuse_rest(self, text: bytes) -> None:
        if text or self._carried:
            raise describe_rest(self._place)
