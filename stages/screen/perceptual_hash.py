"""The perceptual hash of a picture, and how much it says: equal to imagehash.phash bit by bit, in a third of its time.

Not for opening or turning pictures: grey ones come in, the way up that they are shown. Imported by the decoding child.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fftpack
from PIL import Image

from stages.images.orientations import find_medians, hash_orientations

SIDE, LOW = 32, 8  # px per side of the reduced picture; frequencies per side of the hash, one bit each
DETAIL_RANK = 16
# Pillow's resampling of 8-bit pixels, src/libImaging/Resample.c: weights are integers with this many fractional bits.
PRECISION_BITS = 32 - 8 - 2
LANCZOS_SUPPORT = 3.0
UNSURE = 1e-6  # weights this near to a half may be rounded otherwise by another sine; doubles are good to 1e-9 here
TINY = 1e-20  # its sine divided by it is 1
MAX_PIXELS, MAX_SIDE_PX = 1 << 22, 2048  # Pillow itself reduces larger ones: weights and pixels as doubles cost memory
N_BANDS = 2  # more of them spare multiplications and cost calls (measured here, 256 to 1024 px)
BLOCK_VALUES = 1 << 16  # half a MiB of doubles, which stays in the cache beside the weights

Values = np.ndarray[Any, np.dtype[np.float64]]
Places = np.ndarray[Any, np.dtype[np.int64]]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Band:
    """The weights of some neighbouring pixels of the reduced side.

    Attributes:
        start: the first source pixel that counts.
        weights: float64 [source pixels, reduced pixels], integers of PRECISION_BITS.
    """

    start: int
    weights: Values


def hash_grey(grey: Image.Image) -> dict[str, Any]:
    """Return phash (uint64), phash_orientations and phash_detail (grey levels) of a picture in mode L."""
    return hash_reduced(reduce_grey(grey)[None])[0]


def hash_reduced(small: Values) -> list[dict[str, Any]]:
    """Return the result of hash_grey for several pictures; together they take a fifth of the time.

    Args:
        small: float64 [pictures, 32, 32], as reduce_grey returns them.
    """
    low = low_frequencies(small)
    hashes, details = hash_orientations(low), measure_detail(low)
    return [
        {"phash": ways[0], "phash_orientations": ways, "phash_detail": detail}
        for ways, detail in zip(hashes, details, strict=True)
    ]


def reduce_grey(grey: Image.Image) -> Values:
    """Return float64 [32, 32], whole grey levels, as Pillow's resize by Lanczos: two passes, each rounded.

    Each pass is one product of matrices. Their elements are integers and the sums stay below 2 ** 53, so that doubles
    are exact in whatever order they are added.
    """
    width, height = grey.size
    if not min(grey.size) or width * height > MAX_PIXELS or max(grey.size) > MAX_SIDE_PX:
        return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float64)
    values = np.asarray(grey)
    # Pillow's own order: the vertical pass goes first where the height shrinks by more than twice as many pixels.
    if height - SIDE > max(0, 2 * (width - SIDE)):
        return _reduce_rows(_reduce_rows(values.T).T)
    return _reduce_rows(_reduce_rows(values).T).T


def _reduce_rows(values: Values | Pixels) -> Values:
    """Return float64 [rows, 32]: each row of grey levels reduced; unchanged if it has that length."""
    n_rows, length = values.shape
    if length == SIDE:
        return values.astype(np.float64, copy=False)
    bands = lanczos_bands(length)
    sums = np.empty((n_rows, SIDE))
    n_at_once = min(n_rows, max(1, BLOCK_VALUES // length))
    for first in range(0, n_rows, n_at_once):
        block = values[first : first + n_at_once].astype(np.float64, copy=False)
        column = 0
        for band in bands:
            n_weighed, n_reduced = band.weights.shape
            weighed = block[:, band.start : band.start + n_weighed]
            np.matmul(weighed, band.weights, out=sums[first : first + n_at_once, column : column + n_reduced])
            column += n_reduced
    sums *= 0.5**PRECISION_BITS
    sums += 0.5
    np.floor(sums, out=sums)
    np.maximum(sums, 0.0, out=sums)
    np.minimum(sums, 255.0, out=sums)
    return sums


@functools.lru_cache(maxsize=512)
def lanczos_bands(length: int) -> tuple[Band, ...]:
    """Return the weights by which Pillow reduces a side of some pixels, other than 32, to 32."""
    scale = length / SIDE
    support, inverse = LANCZOS_SUPPORT * max(scale, 1.0), 1.0 / max(scale, 1.0)
    centers: Values = (np.arange(SIDE, dtype=np.float64) + 0.5) * scale
    firsts = np.maximum(np.trunc(centers - support + 0.5).astype(np.int64), 0)
    lasts = np.minimum(np.trunc(centers + support + 0.5).astype(np.int64), length)
    places = firsts[:, None] + np.arange((lasts - firsts).max())
    is_inside = places < lasts[:, None]
    weights = _find_weights(places, is_inside, centers, inverse)
    bands = []
    for outputs in np.array_split(np.arange(SIDE), N_BANDS):
        start = int(firsts[outputs[0]])
        band = np.zeros((int(lasts[outputs[-1]]) - start, outputs.size))
        row, column = np.nonzero(is_inside[outputs])
        band[places[outputs][row, column] - start, row] = weights[outputs][row, column]
        bands.append(Band(start, band))
    return tuple(bands)


def _find_weights(places: Places, is_inside: np.ndarray[Any, Any], centers: Values, inverse: float) -> Values:
    """Return float64 [32, longest window], integers.

    Args:
        places: of source pixels, a window a row.
        is_inside: whether a place belongs to the window; windows at the sides are shorter.
        centers: of the reduced pixels, among source pixels.
        inverse: reduced pixels a source pixel, at most 1.
    """
    distances = (places - centers[:, None] + 0.5) * inverse
    is_inside = is_inside & (distances >= -LANCZOS_SUPPORT) & (distances < LANCZOS_SUPPORT)
    angles = np.where(distances == 0, TINY, distances) * math.pi
    weights = np.where(is_inside, np.sin(angles) * np.sin(angles / LANCZOS_SUPPORT) / angles**2 * LANCZOS_SUPPORT, 0.0)
    # Added from left to right, as Pillow adds them.
    weights /= np.cumsum(weights, axis=1)[:, -1:]
    scaled = weights * (1 << PRECISION_BITS)
    rounded: Values = np.trunc(scaled + np.copysign(0.5, scaled))
    is_unsure = (np.abs(np.abs(scaled - rounded) - 0.5) < UNSURE).any(axis=1)
    for n in np.flatnonzero(is_unsure).tolist():
        window = places[n, is_inside[n]].tolist()
        rounded[n, is_inside[n]] = _exact_weights(window, float(centers[n]), inverse)
    return rounded


def _exact_weights(window: list[int], center: float, inverse: float) -> list[int]:
    """Return the weights of one reduced pixel by the C library's sine, which Pillow takes."""

    def sinc(x: float) -> float:
        return math.sin(x * math.pi) / (x * math.pi) if x else 1.0

    distances = [(place - center + 0.5) * inverse for place in window]
    weights = [sinc(x) * sinc(x / 3) for x in distances]
    total = 0.0
    for weight in weights:
        total += weight  # not sum(): from Python 3.12 on it compensates
    scaled = [weight / total * (1 << PRECISION_BITS) for weight in weights]
    return [math.trunc(value - 0.5 if value < 0 else value + 0.5) for value in scaled]


def low_frequencies(small: Values) -> Values:
    """Return float64 [..., 8, 8]: the lowest frequencies of the discrete cosine transform, as imagehash.phash's.

    A mirrored picture has those of odd order along the mirrored side with the other sign, and a transposed picture has
    them transposed: the hashes of all eight orientations follow from these values, up to the rounding of the reduction.

    Args:
        small: float64 [..., 32, 32].
    """
    columns = scipy.fftpack.dct(small, axis=-2)[..., :LOW, :]
    return np.asarray(scipy.fftpack.dct(columns, axis=-1)[..., :LOW])


def measure_detail(low: Values) -> list[float]:
    """Return each picture's 17th smallest distance of its hash's 64 coefficients from their median, in grey levels.

    Each bit of the hash says on which side of the median a coefficient is. If a quarter of them are almost equal to it,
    as in plain bands and gradients, their bits are noise or all alike, and different pictures have near hashes.

    Args:
        low: float64 [pictures, 8, 8].
    """
    flat = low.reshape(-1, LOW * LOW)
    margins = np.sort(np.abs(flat - find_medians(flat)[:, None]), axis=1)
    details: list[float] = (margins[:, DETAIL_RANK] / SIDE / SIDE).tolist()
    return details
