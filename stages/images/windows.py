"""Hashes of the inside of a picture: without a plain border, and without the top or the bottom, where texts are set.

A copy that was framed or captioned has the hashes of the original. Not for copies that were cut: these have keypoints.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

LONGEST_PX = 320  # longest side to which larger pictures are reduced
LEFT_OUT = 1 / 6  # of the height, by the windows without top or bottom; strips of text take up to .14 of it
MOST_BORDER = 0.2  # of a side, at each end
BORDER_LEVELS = 8  # grey levels by which the pixels of a border differ from its colour: JPEG's noise
MARKED_SHARE = 0.6  # of a line's pixels that have the border's colour where a watermark covers it
N_WINDOWS = 3
SIDE, TILE = 32, 8  # px of the reduced inside, and of the tiles that are correlated
_LEAST_TILES = 4

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Windows:
    """The inside of a picture.

    Attributes:
        hashes: uint64 [3], perceptual hashes of the inside, of its upper and of its lower five sixths.
        details: float64 [3], grey levels, as phash_detail.
        small: uint8 [32, 32], grey levels of the inside.
    """

    hashes: npt.NDArray[np.uint64]
    details: npt.NDArray[np.float64]
    small: Pixels


def find_windows(picture: Image.Image) -> Windows:
    """Return the windows of a picture as shown, in any mode."""
    from stages.screen.perceptual_hash import hash_grey

    grey = picture.convert("L")
    share = LONGEST_PX / max(grey.size)
    if share < 1:
        size = max(1, round(grey.width * share)), max(1, round(grey.height * share))
        grey = grey.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    inside = grey.crop(find_inside(np.asarray(grey)))
    width, height = inside.size
    cut = round(height * LEFT_OUT)
    found = [
        hash_grey(inside.crop(box))
        for box in ((0, 0, width, height), (0, 0, width, height - cut), (0, cut, width, height))
    ]
    small = np.asarray(inside.resize((SIDE, SIDE), Image.Resampling.BOX))
    hashes = np.array([one["phash"] for one in found], np.uint64)
    return Windows(hashes, np.array([one["phash_detail"] for one in found], np.float64), small)


def find_inside(grey: Pixels) -> tuple[int, int, int, int]:
    """Return the box (left, top, right, bottom) of a picture without its border.

    A border is plain lines at two opposite sides, or, on all four, lines of one colour with marks on them. Plain lines
    at one side may be part of the picture, or of a strip of text.
    """
    ring = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    marked = [_count_lines(side, float(np.median(ring)), MARKED_SHARE) for side in _sides(grey)]
    if not all(marked):
        plain = [_count_lines(side, float(np.median(side[:1])), 1.0) for side in _sides(grey)]
        marked = [own if other else 0 for own, other in zip(plain, plain[2:] + plain[:2], strict=True)]
    left, top, right, bottom = marked
    return left, top, grey.shape[1] - right, grey.shape[0] - bottom


def _sides(grey: Pixels) -> tuple[Pixels, ...]:
    """Return the lines at the left, top, right and bottom, from outside, that may be a border."""
    height, width = grey.shape
    across, down = max(1, int(width * MOST_BORDER)), max(1, int(height * MOST_BORDER))
    return grey.T[:across], grey[:down], grey.T[::-1][:across], grey[::-1][:down]


def _count_lines(lines: Pixels, colour: float, least_share: float) -> int:
    """Return how many of the first lines have a colour; 0 if all have it, as in a plain picture."""
    is_plain = (np.abs(lines - colour) <= BORDER_LEVELS).mean(axis=1) >= least_share
    return int(is_plain.argmin()) if not is_plain.all() else 0


def correlate_windows(first: Windows, second: Windows) -> float:
    """Return the median correlation of 16 tiles of both insides, in [-1, 1]; 0 if nearly all are plain in both.

    A text or a mark spoils some of the tiles.
    """
    found = []
    for top in range(0, SIDE, TILE):
        for left in range(0, SIDE, TILE):
            tiles = [one.small[top : top + TILE, left : left + TILE].astype(np.float64) for one in (first, second)]
            one, other = (tile.ravel() - tile.mean() for tile in tiles)
            if max(one.std(), other.std()) < 1:
                continue
            norm = float(np.sqrt((one @ one) * (other @ other)))
            found.append(float(one @ other) / norm if norm else 0.0)
    return float(np.median(found)) if len(found) >= _LEAST_TILES else 0.0


def window_distance(first: Windows, second: Windows, min_detail: float) -> int:
    """Return the least Hamming distance of two pictures' equal windows of enough detail, 64 if none has it."""
    is_known = np.minimum(first.details, second.details) >= min_detail
    bits = np.bitwise_count(first.hashes ^ second.hashes)[is_known]
    return int(bits.min()) if bits.size else 64
