"""Read the annotations of RedCaps: one JSON file for each subreddit and year, or the zip of all of them.

Entry point: `stages/readers/readers.py`.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.corpus import Corpus
from stages.readers.batch import (
    Choices,
    Chosen,
    Counted,
    Damage,
    Malformed,
    Read,
    SourceBatch,
    SourceFileError,
    SourceFiles,
    rows_table,
)
from stages.readers.formats.json_stream import count_lists, read_lists
from stages.readers.formats.json_values import BadElement, Faults, as_texts, lost_stretches
from stages.readers.formats.members import CHUNK_BYTES, Member, read_members
from stages.readers.formats.seen_ids import SeenIds

_MEMBER = r"[^/]+_\d{4}\.json"
_LIST = "annotations"
_are_image_ids = re.compile(r"[0-9a-z]{1,11}(?: [0-9a-z]{1,11})*+").fullmatch
_is_image_id = re.compile(r"[0-9a-z]{1,11}").fullmatch  # with a digit before it, it fits into int64


def read(
    source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Read]:
    """Yield the records of all files, numbered consecutively; an unreadable file does not stop the others.

    Of several records with an image id the first counts. Each id takes eight bytes: 100 MB for all.
    """
    records = _Records()
    for path, part in source.files:
        try:
            for member in read_members(path, _MEMBER, chunk_bytes):
                yield from records.read(member, path, part)
        except SourceFileError as error:
            yield records.damage(error, path, part)


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of records; everything after the fault of a file counts as one."""
    n_rows = 0
    for path, _ in source.files:
        try:
            for member in read_members(path, _MEMBER):
                counts = count_lists(member.chunks, (_LIST,), member.place)
                n_rows += counts.n_elements[_LIST] + (counts.fault is not None)
        except SourceFileError:
            n_rows += 1
    return n_rows


class _Records:
    """The number of records read, and the ids of their images."""

    def __init__(self) -> None:
        self._seen, self._n_rows = SeenIds(), 0

    def damage(self, error: SourceFileError, path: Path, part: int) -> Damage:
        """Return a fault with one more row for the unreadable rest of a file."""
        self._n_rows += 1
        return Damage(self._n_rows - 1, 1, error.reason, str(error).removeprefix(f"{path}/"), part, path)

    def read(self, member: Member, path: Path, part: int) -> Iterator[Read]:
        """Yield the records and faults of one file."""
        first_of_file, name = self._n_rows, member.place.rpartition("/")[2]
        try:
            for _, records in read_lists(member.chunks, (_LIST,), member.place):
                ids, faults = _image_ids(records)
                places = np.flatnonzero(ids >= 0)
                is_kept = ids < 0
                is_kept[places] = self._seen.claim(ids[places])
                if n_again := len(records) - int(np.count_nonzero(is_kept)):
                    yield Counted("listed_again", n_again)
                for first, n_lost, detail in lost_stretches(faults):
                    is_kept[first : first + n_lost] = False
                    row = self._n_rows + first
                    where = f"{name}, record {row - first_of_file}: {detail}"
                    yield Damage(row, n_lost, "damaged_source", where, part, path)
                batch = _Batch(records, np.flatnonzero(is_kept), faults, self._n_rows, name, first_of_file)
                self._n_rows += len(records)
                yield batch.as_source_batch(part)
        except SourceFileError as error:
            yield self.damage(error, path, part)


def _image_ids(records: list[Any]) -> tuple[npt.NDArray[np.int64], Faults]:
    """Return distinct integer ids, -1 if missing, and the reason."""
    if (quick := _all_image_ids(records)) is not None:
        return quick, {}
    ids, faults = np.full(len(records), -1, np.int64), Faults()
    for place, record in enumerate(records):
        image_id = record.get("image_id") if type(record) is dict else None
        if type(image_id) is str and _is_image_id(image_id):
            ids[place] = int("1" + image_id, 36)  # the digit distinguishes ids with leading zeros
        elif isinstance(record, BadElement):
            faults[place] = record
        elif type(record) is dict:
            faults[place] = ("bad_record", f"the image id is {ascii(image_id)[:40]}, expected Reddit's")
        else:
            faults[place] = ("bad_record", f"the record is {type(record).__name__}, expected an object")
    return ids, faults


def _all_image_ids(records: list[Any]) -> npt.NDArray[np.int64] | None:
    """Return the same in half the time if no record has a fault; else None."""
    try:
        names = [record["image_id"] for record in records]
        if not _are_image_ids(" ".join(names)):
            return None
        return np.array([int("1" + name, 36) for name in names], np.int64)
    except (TypeError, KeyError, ValueError):
        return None


class _Batch:
    """A group of records, without those whose image an earlier record has."""

    def __init__(
        self,
        records: list[Any],
        kept: npt.NDArray[np.int64],
        faults: Faults,
        first_row: int,
        name: str,
        first_of_file: int,
    ) -> None:
        self._records = records if len(kept) == len(records) else [records[i] for i in kept]
        self._rows, self._first_row, self._name, self._first_of_file = kept + first_row, first_row, name, first_of_file
        numbers = {int(row): number for number, row in enumerate(kept)} if faults else {}
        self._faults = {numbers[row]: fault for row, fault in faults.items() if row in numbers}
        for number in self._faults:
            self._records[number] = {}

    def as_source_batch(self, part: int) -> SourceBatch:
        """Return the batch for the filter; URLs and raw captions are read only for chosen rows."""
        values = [record.get("caption") for record in self._records]
        captions, bad_captions = as_texts(values, "the caption")
        malformed = self._malformed({**bad_captions, **self._faults})
        return SourceBatch(self._first_row, captions, malformed, partial(self._choose, captions), part)

    def _choose(self, captions: pa.Array, indices: pa.Array) -> Chosen:
        numbers = indices.to_pylist()
        records = [self._records[i] for i in numbers]
        urls, bad_urls = as_texts([record.get("url") for record in records], "the URL")
        raw, bad_raw = as_texts([record.get("raw_caption") for record in records], "the raw caption")
        faults = {numbers[i]: fault for i, fault in {**bad_raw, **bad_urls}.items()}
        published = captions.take(indices)
        others = [
            None if text is None or text == caption else [text]
            for text, caption in zip(raw.to_pylist(), published.to_pylist(), strict=True)
        ]
        columns = {
            "source_row": pa.array(self._rows[numbers], pa.int64()),
            "native_id": pa.array([record.get("image_id") for record in records], pa.string()),
            "url": urls,
            "source_caption": published,
            "other_texts": pa.array(others, pa.list_(pa.string())),
        }
        is_good = pa.array([i not in faults for i in numbers], pa.bool_())
        return Chosen(rows_table(columns).filter(is_good), self._malformed(faults))

    def _malformed(self, faults: Faults) -> tuple[Malformed, ...]:
        return tuple(
            Malformed(
                row := int(self._rows[i]),
                reason,
                f"{self._name}, record {row - self._first_of_file}: {detail}",
                self._records[i].get("image_id"),
            )
            for i, (reason, detail) in sorted(faults.items())
        )
