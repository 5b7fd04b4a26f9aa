"""Read SBU's captioned photos: one JSON file of three parallel lists, the tar that it comes in, or the older text pair.

Not for other formats; `stages/sources/readers.py` is the entrance.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpora import Corpus
from stages.sources import text_pair
from stages.sources.batch import (
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
from stages.sources.json_count import count_lists
from stages.sources.json_stream import read_lists
from stages.sources.json_texts import Faults, as_texts
from stages.sources.members import CHUNK_BYTES, read_one

_MEMBER = r"sbu-captions-all\.json"
_URLS, _USERS, _CAPTIONS = "image_urls", "user_ids", "captions"
_NAMES = (_URLS, _USERS, _CAPTIONS)
_BATCH_ROWS = 50_000
# Flickr's photo id stands before the secret. RE2.
_PHOTO = r"/(?P<photo>\d+)_[^/_]+(?:_[a-z])?\.jpg$"


class _Texts:
    """The texts of one list, and those that are none by their row."""

    def __init__(self, what: str) -> None:
        self._what, self.n_rows = what, 0
        self._chunks: list[pa.Array] = []
        self._faults: Faults = {}

    def add(self, values: list[object]) -> None:
        """Append what was parsed."""
        texts, faults = as_texts(values, self._what)
        self._faults |= {self.n_rows + i: fault for i, fault in faults.items()}
        self._chunks.append(texts)
        self.n_rows += len(values)

    def slice(self, first_row: int, n_rows: int) -> tuple[pa.Array, Faults]:
        """Return some texts, and the faults among them by their place there."""
        texts = pa.chunked_array(self._chunks, pa.string()).slice(first_row, n_rows).combine_chunks()
        rows = range(first_row, first_row + n_rows)
        return texts, {row - first_row: fault for row, fault in self._faults.items() if row in rows}


def read(
    source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Read]:
    """Yield the rows that all three lists have; the others of the longest list are one damaged stretch.

    The addresses and captions of the whole file are held: some 150 MB.
    """
    if _is_pair(source):
        for batch in text_pair.read(source, corpus, choices, from_row):
            yield replace(batch, choose=partial(_choose_with_ids, batch.choose))
        return
    for path, part in source.files:
        yield from _read_file(path, part, from_row, chunk_bytes)


def _is_pair(source: SourceFiles) -> bool:
    return all(path.suffix == ".txt" for path, _ in source.files)


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of elements of the longest list; what lies behind a fault counts as one."""
    if _is_pair(source):
        return text_pair.count(source, corpus)
    n_rows = 0
    for path, _ in source.files:
        member = read_one(path, _MEMBER)
        counts = count_lists(member.chunks, _NAMES, member.place)
        n_rows += max(counts.n_elements.values()) + (counts.fault is not None)
    return n_rows


def _read_file(path: Path, part: int, from_row: int, chunk_bytes: int) -> Iterator[Read]:
    lists = {_URLS: _Texts("the URL"), _CAPTIONS: _Texts("the caption")}
    n_elements = dict.fromkeys(_NAMES, 0)
    fault: SourceFileError | None = None
    member = read_one(path, _MEMBER, chunk_bytes)
    try:
        for name, values in read_lists(member.chunks, _NAMES, member.place):
            n_elements[name] += len(values)
            if name in lists:
                lists[name].add(values)
    except SourceFileError as error:
        fault = error
    n_whole, n_given = min(n_elements.values()), max(n_elements.values()) + (fault is not None)
    for first_row in range(0, n_whole, _BATCH_ROWS):
        n_rows = min(_BATCH_ROWS, n_whole - first_row)
        if first_row + n_rows > from_row:
            yield _batch(lists, first_row, n_rows, part)
    if n_given > n_whole:
        lengths = ", ".join(f"{n} {name}" for name, n in n_elements.items())
        detail = f"{fault or f'{path}: expected lists of one length'}; found {lengths}"
        yield Damage(n_whole, n_given - n_whole, "damaged_source", detail, part)


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
