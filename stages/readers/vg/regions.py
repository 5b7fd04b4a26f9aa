"""The phrases of Visual Genome's regions by image, in compact form: five million take some 200 MB.

The images are read in `stages/readers/vg/reader.py`.
"""

from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.readers.batch import Malformed, SourceFileError
from stages.readers.formats.json_stream import WHOLE, count_lists, read_lists
from stages.readers.formats.json_values import BadElement, Faults, as_texts, lost_places
from stages.readers.formats.members import CHUNK_BYTES, read_one

_MEMBER = r"region_descriptions(_v1)?\.json"
_Ids = npt.NDArray[np.int64]


class Regions:
    """The phrases of all records, and which records' images were found.

    Attributes:
        damage: the first damage of the file; None if it is intact.
    """

    def __init__(self, ids: _Ids, texts: pa.Array, faults: Faults, damage: str | None = None) -> None:
        self._ids, self._texts, self._faults, self.damage = ids, texts, faults, damage
        self._order = np.argsort(ids, kind="stable")
        self._sorted = ids[self._order]
        self._is_found = np.zeros(len(ids), bool)

    def are_lost(self, images: _Ids) -> npt.NDArray[np.bool_]:
        """Return whether records of images are missing because the file is damaged."""
        if self.damage is None:
            return np.zeros(len(images), bool)
        return ~np.isin(images, self._ids)

    def look_up(self, images: _Ids) -> tuple[pa.Array, Faults]:
        """Return each image's phrases, joined by line ends (null without phrases), and the faults of unreadable ones.

        Args:
            images: ids of images, not negative.
        """
        first, last = (np.searchsorted(self._sorted, images, side) for side in ("left", "right"))
        n_records = last - first
        records = self._order[np.minimum(first, max(len(self._order) - 1, 0))] if len(self._order) else first
        texts = self._texts.take(pa.array(records, pa.int64(), mask=n_records == 0)).cast(pa.string())
        joined, faults = {}, Faults()
        if n_records.max(initial=0) > 1 or self._faults:
            for place in map(int, np.flatnonzero(n_records)):
                those = [int(record) for record in self._order[first[place] : last[place]]]
                if bad := [self._faults[record] for record in those if record in self._faults]:
                    faults[place] = bad[0]
                elif len(those) > 1:
                    joined[place] = "\n".join(filter(None, self._texts.take(pa.array(those)).to_pylist()))
        for place in map(int, np.flatnonzero(n_records)):
            self._is_found[self._order[first[place] : last[place]]] = True
        if joined or faults:
            values = [joined.get(i, text) for i, text in enumerate(texts.to_pylist())]
            texts = pa.array([None if i in faults else value for i, value in enumerate(values)], pa.string())
        return texts, faults

    def orphans(self, first_row: int) -> tuple[Malformed, ...]:
        """Return the records whose image was not looked up, as rows numbered from first_row."""
        found: list[Malformed] = []
        for record in map(int, np.flatnonzero(~self._is_found)):
            if self._faults.get(record, ("",))[0] == "damaged_source":  # counted with the file's damage
                continue
            image = int(self._ids[record])
            what = self._faults.get(record, ("bad_record", ""))[1] if image < 0 else f"image {image} is not listed"
            found.append(Malformed(first_row + len(found), "bad_record", f"regions, record {record}: {what}"))
        return tuple(found)


def read_regions(path: Path, chunk_bytes: int = CHUNK_BYTES) -> Regions:
    """Return the regions of a file, as far as it can be read."""
    ids, chunks, faults, n_records = [np.zeros(0, np.int64)], list[pa.Array](), Faults(), 0
    damage: str | None = None
    member = read_one(path, _MEMBER, chunk_bytes)
    try:
        for _, records in read_lists(member.chunks, (WHOLE,), member.place):
            texts, bad = _texts_of(records)
            ids.append(_region_ids(records))
            chunks.append(texts.cast(pa.large_string()))
            faults |= {n_records + place: fault for place, fault in bad.items()}
            if damage is None and (lost := lost_places(records)):
                damage = f"record {n_records + lost[0]}: {bad[lost[0]][1]}"
            n_records += len(records)
    except SourceFileError as error:
        damage = damage or str(error).removeprefix(f"{path}/")
    texts = pa.chunked_array(chunks, pa.large_string()).combine_chunks()
    return Regions(np.concatenate(ids), texts, faults, damage)


def _texts_of(records: list[Any]) -> tuple[pa.Array, Faults]:
    values, bad = [], Faults()
    for place, record in enumerate(records):
        try:
            values.append(_phrases(record))
        except ValueError as error:
            values.append(None)
            bad[place] = record if isinstance(record, BadElement) else ("bad_record", str(error))
    texts, bad_texts = as_texts(values, "a phrase")
    return texts, bad | bad_texts


class RegionCounts(NamedTuple):
    """The rows that a file of regions adds.

    Attributes:
        n_orphans: number of records without an image, counted without parsing.
        n_damaged: one if the file is damaged but no image has lost its regions.
    """

    n_orphans: int
    n_damaged: int


def count_regions(path: Path, images: _Ids) -> RegionCounts:
    """Return the rows that a file of regions adds to those of the images.

    Args:
        path: the file.
        images: ids of the images, -1 if a record has none.
    """
    images = np.unique(images[images >= 0])
    member = read_one(path, _MEMBER)
    counts = count_lists(member.chunks, (WHOLE,), member.place)
    n_known, n_lost, has_regions = 0, 0, np.zeros(len(images), bool)
    member = read_one(path, _MEMBER)
    try:
        for _, records in read_lists(member.chunks, (WHOLE,), member.place):
            ids = _region_ids(records)
            n_known += int(np.count_nonzero(np.isin(ids, images)))
            n_lost += len(lost_places(records))
            has_regions |= np.isin(images, ids)
    except SourceFileError:
        pass  # state when they were counted
    is_damaged = counts.fault is not None or n_lost > 0
    return RegionCounts(counts.n_elements[WHOLE] - n_known - n_lost, int(is_damaged and bool(has_regions.all())))


def _region_ids(records: list[Any]) -> _Ids:
    """Return the image id of each record, -1 if it has none."""
    return np.array([_image_of(record) for record in records], np.int64)


def _image_of(record: Any) -> int:
    if type(record) is not dict:
        return -1
    regions = record.get("regions")
    first = regions[0] if type(regions) is list and regions and type(regions[0]) is dict else {}
    named = (record.get("id"), first.get("image_id"), first.get("image"))
    return next((image for image in named if is_id(image)), -1)


def is_id(value: Any) -> TypeGuard[int]:
    """Return whether a value is a valid image id."""
    return type(value) is int and 0 <= value < 1 << 63


def _phrases(record: Any) -> str | None:
    """Return the phrases of a record, joined by line ends; None if it has none. A null phrase is none.

    Raises:
        ValueError: the record does not have the published form.
    """
    if isinstance(record, BadElement):
        raise ValueError(record.detail)
    try:
        phrases = [region["phrase"] for region in record["regions"]]
        return "\n".join([text for phrase in phrases if phrase is not None and (text := phrase.strip())]) or None
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"expected regions with a text as phrase each, found {ascii(_odd_one(record))[:80]}"
        ) from error


def _odd_one(record: Any) -> Any:
    """Return the first region without a phrase, or what is in the place of the regions."""
    regions = record.get("regions") if type(record) is dict else record
    if type(regions) is not list:
        return regions
    are_texts = (type(region) is dict and isinstance(region.get("phrase", 0), str | None) for region in regions)
    return next((region for region, is_text in zip(regions, are_texts, strict=True) if not is_text), None)
