"""Finds cut and slightly turned copies among training images by their keypoints.

Not for the images of a build: `stages/dedup`. Copies as a whole are found by hashes: `flows/detector/digests.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from stages.dedup.summary import N_DIMENSIONS, summarise
from stages.images.keypoints import Keypoints, compare_keypoints, find_keypoints

Pairs = npt.NDArray[np.int64]
# Measured on 284 real images and cuts of 100 of them by 5 to 9 % of a side: all cuts found, no other pair.
N_NEIGHBOURS = 4  # as dedup.n_summary_neighbours
MIN_COS = 0.25  # as dedup.min_summary_cos
MIN_INLIERS, MIN_CORRELATION = 20, 0.9
_ROWS = 1_000  # compared with all others at once


class CopyFinder:
    """Takes images one after another, and compares each with the most similar others: 50 kB an image."""

    def __init__(self) -> None:
        """Start without images."""
        self._keypoints: list[Keypoints] = []
        self._summaries: list[npt.NDArray[np.float16]] = []

    def add(self, images: Sequence[Image.Image]) -> None:
        """Take the next images, as shown."""
        found = [find_keypoints(image) for image in images]
        self._keypoints += found
        self._summaries += [summarise(one) for one in found]

    def pairs(self) -> Pairs:
        """Return the pairs of images that are copies, int64 [m, 2], the smaller number first and in order."""
        found = [pair for pair in self._candidates() if self._is_copy(*pair)]
        return np.array(found, np.int64).reshape(-1, 2)

    def _candidates(self) -> list[tuple[int, int]]:
        """Return each image with its nearest others by summary."""
        vectors = np.array(self._summaries, np.float32).reshape(-1, N_DIMENSIONS)
        found: set[tuple[int, int]] = set()
        for start in range(0, len(vectors), _ROWS):
            cosines = vectors[start : start + _ROWS] @ vectors.T
            rows = np.arange(len(cosines))
            cosines[rows, rows + start] = -1
            for _ in range(min(N_NEIGHBOURS, len(vectors) - 1)):
                nearest = cosines.argmax(axis=1)
                is_near = cosines[rows, nearest] >= MIN_COS
                cosines[rows, nearest] = -1
                pairs = zip((rows[is_near] + start).tolist(), nearest[is_near].tolist(), strict=True)
                found |= {(min(pair), max(pair)) for pair in pairs}
        return sorted(found)

    def _is_copy(self, first: int, second: int) -> bool:
        agreement = compare_keypoints(self._keypoints[first], self._keypoints[second])
        return agreement.n_inliers >= MIN_INLIERS and agreement.correlation >= MIN_CORRELATION
