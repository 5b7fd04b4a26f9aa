"""Hashes of the inside of a picture: without a plain frame, and without the top or bottom, where captions are printed.

A framed or captioned copy has the hashes of the original. Not for copies that were cut: keypoints find these.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

LONGEST_PX = 320  # longest side to which larger pictures are reduced
LEFT_OUT = 1 / 6  # of the height, by the windows without top or bottom; strips of text take up to .14 of it
MOST_BORDER = 0.2  # of a side, at each end
BORDER_LEVELS = 8  # grey levels by which the pixels of a border differ from its colour: JPEG's noise
# Of a line's pixels, those that have the frame's colour where a watermark covers it: the last line; lines of letters.
MARKED_SHARE, HIDDEN_SHARE = 0.6, 0.25
N_WINDOWS = 3
WINDOWS = ("window_hashes", "window_details")  # columns of a table
SMOOTH_PX = 160  # longest side of the inside while thin lines are removed
# Reduced px. Measured: of 122 real and 145 drawn copies with frame and watermark .93 and .91 are near and correlate,
# with a median of 5 alone .89 and .91; with a black watermark .95 and .96, otherwise .93 and .93. The opening alone,
# which knows bright letters only, leaves .84 and .79 of the black ones.
THIN_PX, MEDIAN_PX = 3, 13
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
        box: left, top, right and bottom of the inside, as shares of the picture's sides.
    """

    hashes: npt.NDArray[np.uint64]
    details: npt.NDArray[np.float64]
    small: Pixels
    box: tuple[float, float, float, float]


def find_windows(picture: Image.Image) -> Windows:
    """Return the windows of a picture as shown, in any mode."""
    from stages.screen.perceptual_hash import hash_reduced, reduce_grey

    grey = picture.convert("L")
    share = LONGEST_PX / max(grey.size)
    if share < 1:
        size = max(1, round(grey.width * share)), max(1, round(grey.height * share))
        grey = grey.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    left, top, right, bottom = frame = find_frame(np.asarray(grey))
    inside = _smooth(grey.crop(frame))
    width, height = inside.size
    cut = round(height * LEFT_OUT)
    boxes = (0, 0, width, height), (0, 0, width, height - cut), (0, cut, width, height)
    found = hash_reduced(np.stack([reduce_grey(inside.crop(box)) for box in boxes]))
    small = np.asarray(inside.resize((SIDE, SIDE), Image.Resampling.BOX))
    hashes = np.array([one["phash"] for one in found], np.uint64)
    details = np.array([one["phash_detail"] for one in found], np.float64)
    box = left / grey.width, top / grey.height, right / grey.width, bottom / grey.height
    return Windows(hashes, details, small, box)


def _smooth(grey: Image.Image) -> Image.Image:
    """Return a grey picture, reduced, without thin lines, such as letters of a watermark, bright or dark.

    A large median removes them, and rounds other shapes. Hence it may not be darker than the opening, which removes
    only bright lines thinner than THIN_PX, nor brighter than the closing, which removes dark ones.
    """
    import cv2  # importing it takes 0.2 s

    cv2.setNumThreads(1)
    share = SMOOTH_PX / max(grey.size)
    size = max(1, round(grey.width * share)), max(1, round(grey.height * share))
    reduced = np.asarray(grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0))
    square = np.ones((THIN_PX, THIN_PX), np.uint8)
    darkest, brightest = (cv2.morphologyEx(reduced, way, square) for way in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE))
    return Image.fromarray(np.clip(cv2.medianBlur(reduced, MEDIAN_PX), darkest, brightest))


def find_frame(grey: Pixels) -> tuple[int, int, int, int]:
    """Return the box (left, top, right, bottom) of a picture without a frame of one colour, with marks on it or not."""
    ring = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    found = [_count_marked(side, float(np.median(ring))) for side in _sides(grey)]
    left, top, right, bottom = found if all(found) else [0, 0, 0, 0]
    return left, top, grey.shape[1] - right, grey.shape[0] - bottom


def _sides(grey: Pixels) -> tuple[Pixels, ...]:
    """Return the lines that may be a border, at the left, top, right and bottom, outermost first."""
    height, width = grey.shape
    across, down = max(1, int(width * MOST_BORDER)), max(1, int(height * MOST_BORDER))
    return grey.T[:across], grey[:down], grey.T[::-1][:across], grey[::-1][:down]


def _count_marked(lines: Pixels, colour: float) -> int:
    """Return how many of the first lines are a frame's; 0 if all are.

    Letters hide much of such a line, but do not reach through the whole frame.
    """
    shares = (np.abs(lines - colour) <= BORDER_LEVELS).mean(axis=1)
    n_marked = int((shares < HIDDEN_SHARE).argmax()) if shares.min() < HIDDEN_SHARE else len(shares)
    whole = np.flatnonzero(shares[:n_marked] >= MARKED_SHARE)
    n_found = int(whole[-1]) + 1 if whole.size else 0
    return n_found if n_found < len(shares) else 0


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
    """Return the least Hamming distance of two pictures' equal windows of enough detail; 64 without such windows."""
    is_known = np.minimum(first.details, second.details) >= min_detail
    bits = np.bitwise_count(first.hashes ^ second.hashes)[is_known]
    return int(bits.min()) if bits.size else 64


def read_windows(block: pa.Table) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float64]]:
    """Return hashes, uint64 [n, windows], and details, float64 [n, windows], of rows with the columns of WINDOWS."""
    found = (block[name].combine_chunks().flatten().to_numpy(zero_copy_only=False) for name in WINDOWS)
    hashes, details = (values.reshape(-1, N_WINDOWS) for values in found)
    return hashes, details
