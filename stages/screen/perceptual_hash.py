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
from stages.images.shown import raw_bytes

SIDE, LOW = 32, 8  # px per side of the reduced picture; frequencies per side of the hash, one bit each
DETAIL_RANK = 16
# Pillow's resampling of 8-bit pixels, src/libImaging/Resample.c: weights are integers with this many fractional bits.
PRECISION_BITS = 32 - 8 - 2
LANCZOS_SUPPORT = 3.0
UNSURE = 1e-6  # weights this near to a half may be rounded otherwise by another sine; doubles are good to 1e-9 here
TINY = 1e-20  # its sine divided by it is 1
MAX_PIXELS, MAX_SIDE_PX = 1 << 22, 2048  # Pillow itself reduces larger ones: weights and pixels as doubles cost memory
N_BANDS = 4  # more of them spare multiplications and cost calls (measured here, 256 to 1024 px)
BLOCK_VALUES = 1 << 17  # half a MiB of floats, which stays in the cache
LOW_BITS = 7  # of a weight; the high part of a weight then has at most 16 bits with its sign

Values = np.ndarray[Any, np.dtype[np.float64]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
Places = np.ndarray[Any, np.dtype[np.int64]]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Band:
    """The weights of some neighbouring pixels of the reduced side.

    Attributes:
        start: the first source pixel that counts.
        parts: float32 [source pixels, 2 x reduced pixels], integers: for each reduced pixel a column of the high parts
            of its weights and one of their low parts.
    """

    start: int
    parts: Floats

    @property
    def weights(self) -> Values:
        """Return float64 [source pixels, reduced pixels], integers of PRECISION_BITS."""
        parts = self.parts.astype(np.float64)
        return np.asarray(parts[:, ::2] * (1 << LOW_BITS) + parts[:, 1::2])


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

    Each pass is a product of matrices for the high parts of the weights and one for their low parts. Their elements are
    integers and the sums stay below 2 ** 24, so that floats are exact in whatever order they are added.
    """
    width, height = grey.size
    if not min(grey.size) or width * height > MAX_PIXELS or max(grey.size) > MAX_SIDE_PX:
        return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float64)
    levels = read_levels(grey)
    # Pillow's own order: the vertical pass goes first where the height shrinks by more than twice as many pixels.
    if height - SIDE > max(0, 2 * (width - SIDE)):
        return _reduce_columns(_reduce_rows(levels.T)).T.astype(np.float64)
    return _reduce_columns(_reduce_rows(levels)).astype(np.float64)


def read_levels(grey: Image.Image) -> Pixels:
    """Return uint8 [height, width]: the levels of a picture in mode L, copied once; numpy.asarray copies them twice."""
    levels = b"".join(raw_bytes(grey, grey.width * grey.height))  # one piece, which join does not copy
    return np.frombuffer(levels, np.uint8).reshape(grey.height, grey.width)


def _reduce_rows(levels: Floats | Pixels) -> Floats:
    """Return float32 [rows, 32]: each row of whole grey levels reduced; unchanged if it has that length."""
    n_rows, length = levels.shape
    if length == SIDE:
        return levels.astype(np.float32)
    sums = np.empty((n_rows, 2 * SIDE), np.float32)
    n_at_once = min(n_rows, max(1, BLOCK_VALUES // length))
    for first in range(0, n_rows, n_at_once):
        block = levels[first : first + n_at_once].astype(np.float32)
        column = 0
        for band in lanczos_bands(length):
            n_weighed, n_sums = band.parts.shape
            weighed = block[:, band.start : band.start + n_weighed]
            np.matmul(weighed, band.parts, out=sums[first : first + n_at_once, column : column + n_sums])
            column += n_sums
    return _round_sums(sums.reshape(-1, 2, 1)).reshape(n_rows, SIDE)


def _reduce_columns(levels: Floats) -> Floats:
    """Return float32 [32, columns]: each of a few columns reduced; unchanged if it has that length."""
    length, n_columns = levels.shape
    if length == SIDE:
        return levels
    bands = lanczos_bands(length)
    sums = [np.matmul(band.parts.T, levels[band.start : band.start + band.parts.shape[0]]) for band in bands]
    return _round_sums(np.concatenate(sums).reshape(SIDE, 2, n_columns))


def _round_sums(sums: Floats) -> Floats:
    """Return grey levels, float32 [first axis, last axis], from sums by the high and by the low parts of weights."""
    whole = sums[:, 0].astype(np.int32)
    whole <<= LOW_BITS
    whole += sums[:, 1].astype(np.int32)
    whole += 1 << (PRECISION_BITS - 1)
    whole >>= PRECISION_BITS
    np.maximum(whole, 0, out=whole)  # numpy.clip takes longer on so few values
    np.minimum(whole, 255, out=whole)
    return whole.astype(np.float32)


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
        high = np.rint(band * 0.5**LOW_BITS)
        parts = np.stack([high, band - high * (1 << LOW_BITS)], axis=2).reshape(len(band), -1)
        bands.append(Band(start, parts.astype(np.float32)))
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
