"""Read SBU's captioned photos: one JSON file with three parallel lists, its tar, or the older pair of text files.

Entry point: `stages/readers/readers.py`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpus import Corpus
from stages.readers.batch import (
    Choices,
    Chosen,
    Damage,
    Malformed,
    Read,
    SourceBatch,
    SourceFileError,
    SourceFiles,
    rows_table,
)
from stages.readers.formats.json_stream import CutError, count_lists, read_lists
from stages.readers.formats.json_values import Faults, Lost, as_texts, lost_places, lost_stretches
from stages.readers.formats.members import CHUNK_BYTES, read_one
from stages.readers.sbu import text_pair

_MEMBER = r"sbu-captions-all\.json"
_URLS, _USERS, _CAPTIONS = "image_urls", "user_ids", "captions"
_NAMES = (_URLS, _USERS, _CAPTIONS)
_BATCH_ROWS = 50_000
# Flickr's photo id precedes the secret. RE2.
_PHOTO = r"/(?P<photo>\d+)_[^/_]+(?:_[a-z])?\.jpg$"


class _Texts:
    """The texts of one list, and the faults of elements without a text, by row."""

    def __init__(self, what: str) -> None:
        self._what, self.n_rows = what, 0
        self._chunks: list[pa.Array] = []
        self.faults: Faults = {}

    def add(self, values: list[object]) -> None:
        """Append parsed elements."""
        texts, faults = as_texts(values, self._what)
        self.faults |= {self.n_rows + i: fault for i, fault in faults.items()}
        self._chunks.append(texts)
        self.n_rows += len(values)

    def combine(self) -> None:
        """Finish the list."""
        self._texts = pa.chunked_array(self._chunks, pa.string())
        self._rows = sorted(self.faults)

    def slice(self, first_row: int, n_rows: int) -> tuple[pa.Array, Faults]:
        """Return some texts, and their faults by position."""
        texts = self._texts.slice(first_row, n_rows).combine_chunks()
        first, last = (bisect_left(self._rows, row) for row in (first_row, first_row + n_rows))
        return texts, {row - first_row: self.faults[row] for row in self._rows[first:last]}


def read(
    source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Read]:
    """Yield the rows whose elements certainly belong together; the others are damaged stretches.

    URLs and captions of the entire file are kept in memory: some 150 MB.
    """
    if _is_pair(source):
        for found in text_pair.read(source, corpus, choices, from_row):
            if isinstance(found, SourceBatch):
                found = replace(found, choose=partial(_choose_with_ids, found.choose))
            yield found
        return
    for path, part in source.files:
        yield from _read_file(path, part, from_row, chunk_bytes)


def _is_pair(source: SourceFiles) -> bool:
    return all(path.suffix == ".txt" for path, _ in source.files)


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of elements of the longest list; everything after a fault counts as one."""
    if _is_pair(source):
        return text_pair.count(source, corpus)
    n_rows = 0
    for path, _ in source.files:
        member = read_one(path, _MEMBER)
        counts = count_lists(member.chunks, _NAMES, member.place)
        n_rows += max(counts.n_elements.values()) + (counts.fault is not None)
    return n_rows


def _read_file(path: Path, part: int, from_row: int, chunk_bytes: int) -> Iterator[Read]:
    lists = _Lists()
    fault: SourceFileError | None = None
    member = read_one(path, _MEMBER, chunk_bytes)
    try:
        for name, values in read_lists(member.chunks, _NAMES, member.place):
            lists.add(name, values)
    except SourceFileError as error:
        fault = error
    lists.combine()
    n_aligned = lists.n_aligned(_is_cut(fault))
    first_row = 0
    for lost in (*lists.lost(n_aligned), Lost(n_aligned, 0, "")):
        for begin in range(first_row, lost.first, _BATCH_ROWS):
            n_rows = min(_BATCH_ROWS, lost.first - begin)
            if begin + n_rows > from_row:
                yield _batch(lists.texts, begin, n_rows, part)
        if lost.n_elements:
            yield Damage(lost.first, lost.n_elements, "damaged_source", lost.detail, part, path)
        first_row = lost.first + lost.n_elements
    n_given = max(lists.n_elements.values()) + (fault is not None)
    if n_given > n_aligned:
        lengths = ", ".join(f"{n} {name}" for name, n in lists.n_elements.items())
        detail = f"{fault or 'expected lists of one length'}; found {lengths}{lists.first_lost()}"
        yield Damage(n_aligned, n_given - n_aligned, "damaged_source", detail, part, path)


def _is_cut(fault: SourceFileError | None) -> bool:
    """Return whether the file is intact to its end; packed data may be wrong long before a fault is found."""
    return isinstance(fault, CutError) or isinstance(fault and fault.__cause__, EOFError)


class _Lists:
    """The three lists of a file: their lengths, the texts of two of them, and the first damage of each."""

    def __init__(self) -> None:
        self.texts = {_URLS: _Texts("the URL"), _CAPTIONS: _Texts("the caption")}
        self.n_elements = dict.fromkeys(_NAMES, 0)
        self._first_lost: dict[str, int] = {}
        self._last = ""

    def add(self, name: str, values: list[Any]) -> None:
        """Append elements of a list."""
        if name not in self._first_lost and (places := lost_places(values)):
            self._first_lost[name] = self.n_elements[name] + places[0]
        self.n_elements[name] += len(values)
        self._last = name
        if name in self.texts:
            self.texts[name].add(values)

    def combine(self) -> None:
        """Finish the list."""
        for texts in self.texts.values():
            texts.combine()

    def n_aligned(self, is_cut: bool) -> int:
        """Return the number of leading rows whose elements certainly belong together.

        If damage has merged elements, the list is shorter, and later elements have wrong positions: captions would
        belong to other images.

        Args:
            is_cut: the last list is shorter because the file ends too early.
        """
        whole = [n for name, n in self.n_elements.items() if not (is_cut and name == self._last)]
        places = [*self.n_elements.values(), *self._first_lost.values()]
        if len(set(self.n_elements.values())) == 1:
            return whole[0]
        return min(places) if self._first_lost or len(set(whole)) == 1 else 0

    def lost(self, n_rows: int) -> tuple[Lost, ...]:
        """Return the stretches of leading rows with an element that is not JSON."""
        faults = {row: fault for texts in self.texts.values() for row, fault in texts.faults.items() if row < n_rows}
        return tuple(lost_stretches(faults))

    def first_lost(self) -> str:
        """Return the positions of damage in lists, for a message."""
        return "".join(f", {name} no JSON at {row}" for name, row in self._first_lost.items())


def _batch(lists: dict[str, _Texts], first_row: int, n_rows: int, part: int) -> SourceBatch:
    captions, faults = lists[_CAPTIONS].slice(first_row, n_rows)
    malformed = _malformed(faults, first_row)
    return SourceBatch(first_row, captions, malformed, partial(_choose, lists[_URLS], captions, first_row), part)


def _choose(urls: _Texts, captions: pa.Array, first_row: int, indices: pa.Array) -> Chosen:
    texts, faults = urls.slice(first_row, len(captions))
    chosen = texts.take(indices)
    columns = {
        "source_row": pc.add(indices, first_row),
        "url": chosen,
        "source_caption": captions.take(indices),
        "native_id": _photo_ids(chosen),
    }
    if not faults:
        return Chosen(rows_table(columns), ())
    is_bad = pc.is_in(indices, value_set=pa.array(sorted(faults), pa.int64()))
    bad = {i: faults[i] for i in indices.filter(is_bad).to_pylist()}
    return Chosen(rows_table(columns).filter(pc.invert(is_bad)), _malformed(bad, first_row))


def _malformed(faults: Faults, first_row: int) -> tuple[Malformed, ...]:
    return tuple(Malformed(first_row + i, reason, detail) for i, (reason, detail) in sorted(faults.items()))


def _choose_with_ids(choose: Callable[[pa.Array], Chosen], indices: pa.Array) -> Chosen:
    table, malformed = choose(indices)
    place = table.schema.get_field_index("native_id")
    ids = _photo_ids(table["url"].combine_chunks())
    return Chosen(table.set_column(place, table.schema.field(place), ids), malformed)


def _photo_ids(urls: pa.Array) -> pa.Array:
    return pc.struct_field(pc.extract_regex(urls, pattern=_PHOTO), "photo")
