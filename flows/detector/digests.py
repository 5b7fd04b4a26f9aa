"""Digests of the images that a detector was trained on, and the near duplicates among them: trained_on.csv.

Not for comparing evaluation sets (`flows/detector/evaluation.py`).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from flows.detector.examples import Example
from stages.contamination.near import nearest_within
from stages.dedup.neighbours import components
from stages.dedup.window_pairs import find_window_pairs
from stages.images.orientations import N_ORIENTATIONS
from stages.images.windows import N_WINDOWS, find_windows
from stages.screen.perceptual_hash import hash_grey

USED = "trained_on.csv"
NEAR_BITS = 6  # of 64; more than in dedup, since a missed copy makes the measured figures too good
MIN_DETAIL = 0.05  # grey levels, as dedup.min_detail; below it turned hashes and windows are not compared
N_TURNED = N_ORIENTATIONS - 1
_COLUMNS = ("part", "label", "class", "file", "file_sha256", "phash")
_MORE_COLUMNS = ("phash_turned", "window_hashes")  # lists of earlier versions lack them
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Digests:
    """Digests of images.

    Attributes:
        files: sha256 of each file, in hex.
        hashes: perceptual hashes, uint64 [n].
        turned: those of the image mirrored and turned by quarters, uint64 [n, 7]; empty: not known.
        windows: those of its inside, uint64 [n, 3], 0 for too little detail; empty: not known. See
            `stages/images/windows.py`.
        copies: pairs of the images that are copies by their keypoints, int64 [m, 2].
    """

    files: Sequence[str]
    hashes: Hashes
    turned: Hashes = field(default_factory=lambda: np.empty((0, N_TURNED), np.uint64))
    windows: Hashes = field(default_factory=lambda: np.empty((0, N_WINDOWS), np.uint64))
    copies: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))

    def find(self, others: Digests) -> npt.NDArray[np.bool_]:
        """Return whether each of some other images has one of these files, or is a near duplicate of one; bool [n]."""
        files = set(self.files)
        found = np.array([name in files for name in others.files], bool)
        found[_near(others.hashes, np.concatenate([self.hashes, self.turned.ravel()]))] = True
        for window in range(N_WINDOWS if len(others.windows) else 0):
            rows = np.flatnonzero(others.windows[:, window])
            known = self.windows[:, window]
            found[rows[_near(others.windows[rows, window], known[known != 0])]] = True
        return found

    def take(self, rows: Sequence[int]) -> Digests:
        """Return the digests of some of the images, to search for."""
        chosen = np.array(rows, np.int64)
        return Digests(
            [self.files[n] for n in rows], self.hashes[chosen],
            windows=self.windows[chosen] if len(self.windows) else self.windows,
        )  # fmt: skip

    def pairs(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return pairs of images such that near duplicates are connected by them."""
        turned = self.turned if len(self.turned) else None
        labels = components(self.hashes, NEAR_BITS, turned)
        first, second = find_window_pairs(self.windows, self.windows != 0, NEAR_BITS)
        rows = np.arange(len(labels))
        return np.concatenate([labels, first, self.copies[:, 0]]), np.concatenate([rows, second, self.copies[:, 1]])


def _near(hashes: Hashes, queries: Hashes) -> npt.NDArray[np.int64]:
    """Return the rows of the hashes that are near one of the queries."""
    distinct = np.unique(queries)
    none = np.zeros(len(distinct), np.int64)
    return nearest_within(hashes, distinct, NEAR_BITS, none, none)[0]


def digest_images(files: Sequence[str], images: Sequence[Image.Image]) -> Digests:
    """Return the digests of images as shown, with the sha256 of their files."""
    rows = [hash_grey(image.convert("L")) for image in images]
    ways = np.array([row["phash_orientations"] for row in rows], np.uint64).reshape(-1, N_ORIENTATIONS)
    is_plain = np.array([row["phash_detail"] < MIN_DETAIL for row in rows], bool)
    turned = np.where(is_plain[:, None], ways[:, :1], ways[:, 1:])
    insides = [find_windows(image) for image in images]
    details = np.array([inside.details for inside in insides]).reshape(-1, N_WINDOWS)
    windows = np.array([inside.hashes for inside in insides], np.uint64).reshape(-1, N_WINDOWS)
    return Digests(files, ways[:, 0], turned, np.where(details < MIN_DETAIL, np.uint64(0), windows))


def stored_digests(
    files: Sequence[str], hashes: Sequence[int], windows: Sequence[Any], details: Sequence[Any]
) -> Digests:
    """Return the digests of images of a build by columns of `image` and `keypoint_summary`, to search for.

    Args:
        files: body_sha256.
        hashes: phash.
        windows: window_hashes; None where a build has none.
        details: window_details; None likewise.
    """
    rows = [[0] * N_WINDOWS if value is None else value for value in windows]
    levels = np.array([[0.0] * N_WINDOWS if value is None else value for value in details]).reshape(-1, N_WINDOWS)
    found = np.array(rows, np.uint64).reshape(-1, N_WINDOWS)
    found[levels < MIN_DETAIL] = 0
    return Digests(files, np.array(hashes, np.uint64), windows=found)


def join_digests(found: Sequence[Digests], copies: npt.NDArray[np.int64]) -> Digests:
    """Return the digests of all images, in order, with the pairs of copies among them."""
    hashes, turned, windows = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("hashes", "turned", "windows")
    )
    return Digests([file for one in found for file in one.files], hashes, turned, windows, copies)


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


def write_used(
    folder: Path, parts: Sequence[str], examples: Sequence[Example], digests: Digests, start: Path | None = None
) -> None:
    """Write split, label, class, name and digests of each example into a detector's folder.

    Images that the weights of `start`, another detector's folder, were trained on follow, in the split "start".
    """
    with (folder / USED).open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines, lineterminator="\n")
        rows.writerow((*_COLUMNS, *_MORE_COLUMNS))
        for n, (part, example, file) in enumerate(zip(parts, examples, digests.files, strict=True)):
            hashes = (_words(values[n : n + 1]) for values in (digests.hashes, digests.turned, digests.windows))
            rows.writerow((part, example.label, example.name, example.path.name, file, *hashes))
        for row in _rows_of(start) or () if start else ():
            rows.writerow(("start", *(row.get(name, "") for name in (*_COLUMNS[1:], *_MORE_COLUMNS))))


def _words(hashes: Hashes) -> str:
    return " ".join(f"{value:016x}" for value in hashes.ravel().tolist())


def read_used(folder: Path) -> Digests | None:
    """Return the digests of the images that a detector was trained on; None if its folder does not list them."""
    used = _rows_of(folder)
    if used is None:
        return None
    return Digests(
        [row["file_sha256"] for row in used],
        np.array([int(row["phash"], 16) for row in used], np.uint64),
        _read_words([row.get("phash_turned") for row in used], N_TURNED),
        _read_words([row.get("window_hashes") for row in used], N_WINDOWS),
    )


def _rows_of(folder: Path) -> list[dict[str, str]] | None:
    """Return the rows of the images that a detector was trained on; None without a list that has digests."""
    if not has_digests(folder):
        return None
    with (folder / USED).open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["part"] != "test"]


def has_digests(folder: Path) -> bool:
    """Return whether a detector's folder lists its training images with their digests; only the header is read."""
    if not (folder / USED).is_file():
        return False
    with (folder / USED).open(encoding="utf-8", newline="") as lines:
        return set(_COLUMNS) <= set(csv.DictReader(lines).fieldnames or ())  # an earlier state wrote names only


def _read_words(texts: Sequence[str | None], n: int) -> Hashes:
    """Return uint64 [rows with hashes, n]."""
    rows = [[int(word, 16) for word in text.split()] for text in texts if text]
    return np.array(rows, np.uint64).reshape(-1, n)
