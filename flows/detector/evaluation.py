"""Compares training images with the pictures of evaluation sets, by hashes of turned pictures and windows.

Not for marking samples of a build, which also compares keypoints: `stages/contamination`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.detector.views import open_image
from stages.contamination.captions import read_captions, splits_of
from stages.contamination.layouts import layout_shares
from stages.contamination.near import nearest_within
from stages.contamination.sets import SetFolder, find_sets, list_images
from stages.contamination.settings import NearParams
from stages.contamination.shared import read_shared
from stages.contamination.stage import HashParams
from stages.contamination.variants import hash_variants
from stages.contract import InputError

Hashes = npt.NDArray[np.uint64]
MAX_DISTANCE = 2  # bits; below contamination.max_distance, since grey levels confirm no match here


@dataclass(frozen=True)
class Overlap:
    """A split of an evaluation set, and the training images among its pictures.

    Attributes:
        name: set and split, such as rsicd/test.
        n_pictures: its pictures.
        n_not_read: those of them that could not be decoded, and were not compared.
        examples: indices of the training images that are one of its pictures, ascending.
    """

    name: str
    n_pictures: int
    n_not_read: int
    examples: tuple[int, ...]

    def facts(self, parts: Sequence[str]) -> dict[str, Any]:
        """Return the figures as plain values, with the number of images that a detector was trained on."""
        n_trained_on = sum(parts[number] != "test" for number in self.examples)
        return {"name": self.name, "n": self.n_pictures, "n_not_read": self.n_not_read, "n_trained_on": n_trained_on}


def find_overlap(evaluation: Path, hashes: Hashes) -> list[Overlap]:
    """Return each split of the evaluation sets with the training images that are near one of its pictures.

    Args:
        evaluation: a folder of evaluation sets, a TOML manifest, or a parquet file of hashes.
        hashes: perceptual hashes of the training images, uint64 [n].

    Raises:
        InputError: the evaluation sets are missing or cannot be read.
    """
    found: dict[str, list[tuple[list[int], list[float]] | None]] = {}
    for name, described in _describe(evaluation):
        found.setdefault(name, []).append(described)
    return [
        Overlap(name, len(rows), rows.count(None), _near(hashes, [row for row in rows if row]))
        for name, rows in sorted(found.items())
    ]


def _describe(evaluation: Path) -> Iterator[tuple[str, tuple[list[int], list[float]] | None]]:
    """Yield set and split of each picture, with its hashes and their details; None if it cannot be decoded."""
    sets = find_sets(evaluation)
    for path in sets.shared:
        columns = ["evaluation_set", "evaluation_split", "variant_hashes", "variant_details"]
        for row in read_shared(path, columns).to_pylist():
            yield _name(row), (row["variant_hashes"], row["variant_details"])
    for one in sets.folders:
        for row in _rows(one):
            yield _name(row), _hash(Path(row["evaluation_file"]))


def _rows(one: SetFolder) -> list[dict[str, Any]]:
    rows, _ = list_images(one, splits_of(read_captions(one)))
    return rows


def _name(row: dict[str, Any]) -> str:
    return f"{row['evaluation_set']}/{row['evaluation_split']}"


def _hash(path: Path) -> tuple[list[int], list[float]] | None:
    params = HashParams.model_validate({})
    try:
        return hash_variants(open_image(path), params.max_cut, params.n_cuts)
    except InputError:
        return None  # counted in the report as not read


def _near(hashes: Hashes, rows: list[tuple[list[int], list[float]]]) -> tuple[int, ...]:
    params = NearParams.model_validate({})
    is_near = np.zeros(len(hashes), bool)
    distinct, place = np.unique(hashes, return_inverse=True)
    queries = np.array(
        [
            value
            for values, details in rows
            for value, detail in zip(values, details, strict=True)
            if detail >= params.min_detail
        ],
        np.uint64,
    )
    queries = queries[layout_shares(queries) <= params.max_layout_share]
    none = np.zeros(len(queries), np.int64)
    near, _, _ = nearest_within(distinct, queries, MAX_DISTANCE, none, none)
    is_near |= np.isin(place, near[layout_shares(distinct[near]) <= params.max_layout_share])
    return tuple(np.flatnonzero(is_near).tolist())
