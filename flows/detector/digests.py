"""Digests of the images that a detector was trained on: trained_on.csv, which `make calibrate` reads.

Not for comparing evaluation sets (`flows/detector/evaluation.py`).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image

from flows.detector.examples import Example
from flows.detector.groups import NEAR_BITS
from stages.contamination.near import nearest_within

USED = "trained_on.csv"
_COLUMNS = ("part", "label", "class", "file", "file_sha256", "phash")
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Digests:
    """Digests of images.

    Attributes:
        files: sha256 of each file, in hex.
        hashes: perceptual hashes, uint64 [n].
    """

    files: Sequence[str]
    hashes: Hashes

    def find(self, others: Digests) -> npt.NDArray[np.bool_]:
        """Return whether each of some other images has one of these files, or is a near duplicate of one; bool [n]."""
        files = set(self.files)
        found = np.array([name in files for name in others.files], bool)
        none = np.zeros(len(self.hashes), np.int64)
        near, _, _ = nearest_within(others.hashes, self.hashes, NEAR_BITS, none, none)
        found[near] = True
        return found


NONE = Digests((), np.zeros(0, np.uint64))


def contradictions(examples: Sequence[Example], digests: Digests) -> list[str]:
    """Return the paths of each file that is labelled rs and other, as "a and b"."""
    first: dict[str, Example] = {}
    found = []
    for example, file in zip(examples, digests.files, strict=True):
        known = first.setdefault(file, example)
        if known.label != example.label:
            found.append(f"{known.path} and {example.path}")
    return found


def hash_image(image: Image.Image) -> int:
    """Return the perceptual hash of an image as shown."""
    return int(str(imagehash.phash(image)), 16)


def write_used(folder: Path, parts: Sequence[str], examples: Sequence[Example], digests: Digests) -> None:
    """Write split, label, class, name and digests of each example into a detector's folder."""
    with (folder / USED).open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines, lineterminator="\n")
        rows.writerow(_COLUMNS)
        hashes = (f"{value:016x}" for value in digests.hashes.tolist())
        for part, example, file, value in zip(parts, examples, digests.files, hashes, strict=True):
            rows.writerow((part, example.label, example.name, example.path.name, file, value))


def read_used(folder: Path) -> Digests | None:
    """Return the digests of the images that a detector was trained on; None if its folder does not list them."""
    if not (folder / USED).is_file():
        return None
    with (folder / USED).open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines)
        if not set(_COLUMNS) <= set(rows.fieldnames or ()):
            return None  # an earlier state wrote names only
        used = [(row["file_sha256"], int(row["phash"], 16)) for row in rows if row["part"] != "test"]
    return Digests([file for file, _ in used], np.array([value for _, value in used], np.uint64))
