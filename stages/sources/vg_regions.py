"""The phrases of Visual Genome's regions by image, held compactly: five million of them take some 200 MB.

Not for the images themselves: that is `stages/sources/vg_reader.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.contract import InputError
from stages.sources.batch import Malformed, SourceFileError
from stages.sources.json_count import count_lists
from stages.sources.json_stream import WHOLE, BadElement, read_lists
from stages.sources.json_texts import Faults, as_texts
from stages.sources.members import CHUNK_BYTES, read_one

_MEMBER = r"region_descriptions(_v1)?\.json"
_Ids = npt.NDArray[np.int64]


class Regions:
    """What each record of the file says of its image, and which records an image was found for."""

    def __init__(self, ids: _Ids, texts: pa.Array, faults: Faults) -> None:
        self._ids, self._texts, self._faults = ids, texts, faults
        self._order = np.argsort(ids, kind="stable")
        self._sorted = ids[self._order]
        self._is_found = np.zeros(len(ids), bool)

    def look_up(self, images: _Ids) -> tuple[pa.Array, Faults]:
        """Return the phrases of images, joined by line ends, null where there are none, and why some are unreadable.

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
        """Return the records that no image was looked up for, as rows from a number on."""
        found: list[Malformed] = []
        for record in map(int, np.flatnonzero(~self._is_found)):
            image = int(self._ids[record])
            what = self._faults.get(record, ("bad_record", ""))[1] if image < 0 else f"image {image} is not listed"
            found.append(Malformed(first_row + len(found), "bad_record", f"regions, record {record}: {what}"))
        return tuple(found)


def read_regions(path: Path, chunk_bytes: int = CHUNK_BYTES) -> Regions:
    """Return the regions of a file.

    Raises:
        InputError: the file is damaged.
    """
    ids, chunks, faults, n_records = [np.zeros(0, np.int64)], list[pa.Array](), Faults(), 0
    for records in _read(path, chunk_bytes):
        values, bad = [], Faults()
        for place, record in enumerate(records):
            try:
                values.append(_phrases(record))
            except ValueError as error:
                values.append(None)
                bad[place] = ("bad_record", str(error))
        texts, bad_texts = as_texts(values, "a phrase")
        ids.append(_region_ids(records))
        chunks.append(texts.cast(pa.large_string()))
        faults |= {n_records + place: fault for place, fault in (bad | bad_texts).items()}
        n_records += len(records)
    return Regions(np.concatenate(ids), pa.chunked_array(chunks, pa.large_string()).combine_chunks(), faults)


def count_orphans(path: Path, images: _Ids) -> int:
    """Return the number of records, counted without parsing, less those that belong to one of the images."""
    images = images[images >= 0]
    member = read_one(path, _MEMBER)
    counts = count_lists(member.chunks, (WHOLE,), member.place)
    n_known = sum(int(np.count_nonzero(np.isin(_region_ids(records), images))) for records in _read(path, CHUNK_BYTES))
    return counts.n_elements[WHOLE] - n_known


def _read(path: Path, chunk_bytes: int) -> Iterator[list[Any]]:
    member = read_one(path, _MEMBER, chunk_bytes)
    try:
        for _, records in read_lists(member.chunks, (WHOLE,), member.place):
            yield records
    except SourceFileError as error:
        raise InputError(str(error)) from error


def _region_ids(records: list[Any]) -> _Ids:
    """Return the image of each record, -1 where it names none."""
    return np.array([_image_of(record) for record in records], np.int64)


def _image_of(record: Any) -> int:
    if type(record) is not dict:
        return -1
    regions = record.get("regions")
    first = regions[0] if type(regions) is list and regions and type(regions[0]) is dict else {}
    named = (record.get("id"), first.get("image_id"), first.get("image"))
    return next((image for image in named if is_id(image)), -1)


def is_id(value: Any) -> TypeGuard[int]:
    """Return whether a value can be the id of an image."""
    return type(value) is int and 0 <= value < 1 << 63


def _phrases(record: Any) -> str | None:
    """Return the phrases of a record, joined by line ends; None where there are none.

    Raises:
        ValueError: the record is not what is published.
    """
    if isinstance(record, BadElement):
        raise ValueError(record.detail)
    try:
        return "\n".join([text for region in record["regions"] if (text := region["phrase"].strip())]) or None
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"expected regions that have a phrase each, found none: {type(error).__name__}") from error
