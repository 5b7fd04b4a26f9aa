"""Read Visual Genome: one row per image; the caption has the phrases of its regions, one per line.

Entry point: `stages/readers/readers.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.corpus import Corpus
from stages.contract import InputError
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
from stages.readers.formats.json_stream import WHOLE, count_lists, read_lists
from stages.readers.formats.json_values import BadElement, Faults, as_texts, lost_places, lost_stretches
from stages.readers.formats.members import CHUNK_BYTES, read_one
from stages.readers.formats.seen_ids import SeenIds
from stages.readers.vg.regions import Regions, count_regions, is_id, read_regions

_MEMBER = r"image_data\.json"
_INT32_END = 1 << 31

_Ids = npt.NDArray[np.int64]


def read(
    source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Read]:
    """Yield the images, and then the records of regions without an image, as malformed rows.

    An image without regions has no caption. Of several rows with an image id the first counts. If the list of images is
    damaged, regions without an image belong to its damaged stretches. If the regions are damaged, images without
    regions are a damaged stretch, because they would seem to have no caption.

    Raises:
        InputError: there is not exactly one file of regions.
    """
    companion = _regions_of(source, corpus)
    regions = read_regions(companion)
    images = _Images(regions)
    n_rows, part = 0, 0
    for path, part in source.files:
        member = read_one(path, _MEMBER, chunk_bytes)
        try:
            for _, records in read_lists(member.chunks, (WHOLE,), member.place):
                yield from images.batch(records, n_rows, path, part)
                n_rows += len(records)
        except SourceFileError as error:
            images.is_damaged = True
            yield Damage(n_rows, 1, error.reason, str(error), part, path)
            n_rows += 1
    if not images.is_damaged and (orphans := regions.orphans(n_rows)):
        yield SourceBatch(n_rows, pa.nulls(len(orphans), pa.string()), orphans, _choose_none, part)
        n_rows += len(orphans)
    if regions.damage is not None:
        yield Damage(*images.lost(n_rows), "damaged_source", regions.damage, part, companion)


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of images and of regions' records without an image; everything after a fault counts as one."""
    n_rows, is_damaged, ids = 0, False, [np.zeros(0, np.int64)]
    for path, _ in source.files:
        member = read_one(path, _MEMBER)
        counts = count_lists(member.chunks, (WHOLE,), member.place)
        n_rows += counts.n_elements[WHOLE] + (counts.fault is not None)
        is_damaged |= counts.fault is not None
        member = read_one(path, _MEMBER)
        try:
            for _, records in read_lists(member.chunks, (WHOLE,), member.place):
                ids.append(_image_ids(records)[0])
                is_damaged |= bool(lost_places(records))
        except SourceFileError:
            continue  # state when they were counted
    regions = count_regions(_regions_of(source, corpus), np.concatenate(ids))
    return n_rows + regions.n_damaged + (0 if is_damaged else regions.n_orphans)


def _regions_of(source: SourceFiles, corpus: Corpus) -> Path:
    if len(source.companions) != 1:
        raise InputError(
            f"{corpus.title}: expected one file of regions beside its list of images, found"
            f" {len(source.companions)} (expected name: {corpus.companion_pattern}). {corpus.how_to_get}"
        )
    return source.companions[0]


def _choose_none(indices: pa.Array) -> Chosen:
    return Chosen(rows_table({"source_row": pa.nulls(0, pa.int64())}), ())


class _Images:
    """The regions, and the ids of the images read.

    Attributes:
        is_damaged: whether a record of an image could not be read.
    """

    def __init__(self, regions: Regions) -> None:
        self._regions, self._seen, self.is_damaged = regions, SeenIds(), False
        self._first_lost, self._n_lost = -1, 0

    def batch(self, records: list[Any], first_row: int, path: Path, part: int) -> Iterator[Read]:
        """Yield records of new images, and the number of records."""
        ids, faults = _image_ids(records)
        places = np.flatnonzero(ids >= 0)
        is_kept = ids < 0
        is_kept[places] = self._seen.claim(ids[places])
        if n_again := len(records) - int(np.count_nonzero(is_kept)):
            yield Counted("listed_again", n_again)
        for first, n_lost, detail in lost_stretches(faults):
            self.is_damaged = True
            is_kept[first : first + n_lost] = False
            where = f"record {first_row + first}: {detail}"
            yield Damage(first_row + first, n_lost, "damaged_source", where, part, path)
        self._drop_lost(ids, is_kept, first_row)
        kept = np.flatnonzero(is_kept)
        captions, bad_regions = self._captions(ids[kept])
        numbers = {int(row): number for number, row in enumerate(kept)}
        bad = bad_regions | {numbers[row]: fault for row, fault in faults.items() if row in numbers}
        read = _Rows([records[row] if ids[row] >= 0 else {} for row in kept], ids[kept], kept + first_row, captions)
        yield SourceBatch(first_row, captions, read.malformed(bad), read.choose, part)

    def lost(self, end_row: int) -> tuple[int, int]:
        """Return the first row with lost regions and the number of such rows; one row at the end if none are lost."""
        return (self._first_lost, self._n_lost) if self._n_lost else (end_row, 1)

    def _drop_lost(self, ids: _Ids, is_kept: npt.NDArray[np.bool_], first_row: int) -> None:
        places = np.flatnonzero(is_kept & (ids >= 0))
        lost = places[self._regions.are_lost(ids[places])]
        is_kept[lost] = False
        if len(lost) and not self._n_lost:
            self._first_lost = first_row + int(lost[0])
        self._n_lost += len(lost)

    def _captions(self, ids: _Ids) -> tuple[pa.Array, Faults]:
        places = np.flatnonzero(ids >= 0)
        texts, faults = self._regions.look_up(ids[places])
        numbers = np.cumsum(ids >= 0) - 1
        captions = texts.take(pa.array(numbers, pa.int64(), mask=ids < 0))
        return captions, {int(places[i]): fault for i, fault in faults.items()}


def _image_ids(records: list[Any]) -> tuple[_Ids, Faults]:
    """Return the image ids, -1 if missing, and the reason."""
    ids, faults = np.full(len(records), -1, np.int64), Faults()
    for place, record in enumerate(records):
        image_id = record.get("image_id") if type(record) is dict else None
        if is_id(image_id):
            ids[place] = image_id
        elif isinstance(record, BadElement):
            faults[place] = (record.reason, record.detail)
        else:
            faults[place] = ("bad_record", f"expected an object with an image_id, found {ascii(record)[:80]}")
    return ids, faults


class _Rows(NamedTuple):
    """A group of records with their images, positions in the file and captions."""

    records: list[Any]
    ids: _Ids
    numbers: _Ids
    captions: pa.Array

    def choose(self, indices: pa.Array) -> Chosen:
        """Return our columns of some records."""
        places = indices.to_pylist()
        records = [self.records[i] for i in places]
        urls, bad_urls = as_texts([record.get("url") for record in records], "the URL")
        columns = {
            "source_row": pa.array(self.numbers[places], pa.int64()),
            "native_id": pa.array(self.ids[places]).cast(pa.string()),
            "url": urls,
            "source_caption": self.captions.take(indices),
            "published_width_px": pa.array([_pixels(record.get("width")) for record in records], pa.int32()),
            "published_height_px": pa.array([_pixels(record.get("height")) for record in records], pa.int32()),
        }
        faults = {places[i]: fault for i, fault in bad_urls.items()}
        is_good = pa.array([i not in faults for i in places], pa.bool_())
        return Chosen(rows_table(columns).filter(is_good), self.malformed(faults))

    def malformed(self, faults: Faults) -> tuple[Malformed, ...]:
        """Return records that cannot be read."""
        return tuple(
            Malformed(int(self.numbers[i]), *faults[i], str(self.ids[i]) if self.ids[i] >= 0 else None)
            for i in sorted(faults)
        )


def _pixels(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < _INT32_END else None
