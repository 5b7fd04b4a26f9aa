"""Correlate the grey levels of an evaluation picture, turned or cut, with those of another picture.

A near hash is confirmed by frequencies that the hash does not hold: unlike pictures with near hashes differ there.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
import scipy.fftpack
from PIL import Image

from stages.contamination.variants import TURNS
from stages.images.windows import find_frame
from stages.screen.perceptual_hash import LOW

Levels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

SQUARE_PX = 64  # side of the square that is stored of each evaluation picture
SIDE = 32  # px of the squares that are compared: smaller windows are off by less than half of these pixels
HIGHEST = 20  # frequencies a side: higher ones do not survive a window that is off by half a step
# Steps are 2.5 % of a side by default: the sides of a window are moved by half of one, and then by a quarter.
MOVES_PX, N_ROUNDS = (0.8, 0.4), 2
BLEND_PX = 2  # px beside a frame that it shares, in the square and by the resampling of a box, which reads beyond it
UNLIKE = 0.1  # below it no moving helps. Measured: copies begin at .3
MIN_LEVELS = 0.3  # deviation of these frequencies, grey levels: below it they are rounding and noise of JPEG
_LEAST_ENERGY = (MIN_LEVELS * SIDE) ** 2
# By EXIF orientation, as `TURNS`: whether rows and columns are exchanged, and then which of them are reversed.
_TURNED = dict(
    zip(
        TURNS,
        (
            (False, 1, 1), (False, 1, -1), (False, -1, -1), (False, -1, 1),
            (True, 1, 1), (True, 1, -1), (True, -1, -1), (True, -1, 1),
        ),
        strict=True,
    )
)  # fmt: skip


def reduce_square(picture: Image.Image) -> Levels:
    """Return uint8 [64, 64]: the grey levels of a picture as shown, in any mode, its sides reduced to one length."""
    grey = picture.convert("L")
    return np.asarray(grey.resize((SQUARE_PX, SQUARE_PX), Image.Resampling.BOX, reducing_gap=2.0))


def read_square(data: bytes) -> Levels:
    """Return the grey levels that reduce_square found, from their bytes."""
    return np.frombuffer(data, np.uint8).reshape(SQUARE_PX, SQUARE_PX)


def correlate_variant(evaluation: bytes, variant: str, shown: Levels) -> float:
    """Return the correlation of a variant of an evaluation picture with another picture, in [-1, 1].

    The sides of the variant are moved a little, to where it is highest. Only frequencies that the perceptual hash does
    not hold count, up to HIGHEST a side; 0 where there are hardly any. Plain frames that both have are left out: they
    would correlate whatever they surround.

    Args:
        evaluation: its grey levels, as reduce_square returns them.
        variant: one of variant_names.
        shown: grey levels of the other picture, as reduce_square returns them.
    """
    levels, sides = change_square(read_square(evaluation), variant)
    frames = _frame(levels), _frame(shown)
    if not (frames[0].any() and frames[1].any()):
        frames = np.zeros(4), np.zeros(4)
    sides = np.maximum(sides, frames[0])
    target = _frequencies(shown, frames[1])
    best = _correlate(_frequencies(levels, sides), target)
    if best < UNLIKE:
        return round(best, 3)
    for move in MOVES_PX:
        for _ in range(N_ROUNDS):
            for change in (*np.eye(4) * move, *np.eye(4) * -move):
                moved = np.maximum(sides + change, 0)
                found = _correlate(_frequencies(levels, moved), target)
                if found > best:
                    best, sides = found, moved
    return round(best, 3)  # the last digits of sums depend on the machine


def change_square(levels: Levels, variant: str) -> tuple[Levels, Values]:
    """Return the square turned as a variant's name says, and what it leaves out: px left, above, right and below.

    Args:
        levels: uint8 [side, side] or [side, side, 3].
        variant: one of variant_names.
    """
    if variant in _TURNED:
        is_transposed, down, across = _TURNED[variant]
        turned = (levels.swapaxes(0, 1) if is_transposed else levels)[::down, ::across]
        return np.ascontiguousarray(turned), np.zeros(4)
    above, below, left, right = (float(share) * len(levels) / 100 for share in variant.split()[1:])
    return levels, np.array([left, above, right, below])


def _frame(levels: Levels) -> Values:
    """Return the widths of a square's plain frame: px left, above, right and below; zeros if it has none."""
    left, top, right, bottom = find_frame(levels)
    found = np.array([left, top, levels.shape[1] - right, levels.shape[0] - bottom], np.float64)
    return found + BLEND_PX if found.any() else found


def _correlate(first: Values, second: Values) -> float:
    energies = float(first @ first), float(second @ second)
    return float(first @ second / np.sqrt(energies[0] * energies[1])) if min(energies) >= _LEAST_ENERGY else 0.0


def _frequencies(levels: Levels, sides: Values) -> Values:
    """Return the compared values of the cosine transform of a square without some px at its sides."""
    left, above, right, below = sides.tolist()
    box = (left, above, SQUARE_PX - right, SQUARE_PX - below)
    # Bilinear also for whole pictures: both sides of a pair are then equally sharp.
    reduced = np.asarray(Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box), np.float64)
    cosines = _cosines()
    return np.asarray((cosines @ reduced @ cosines.T)[_is_compared()])


@cache
def _cosines() -> Values:
    """Return float64 [20, 32]: the lowest rows of the orthonormal cosine transform."""
    return np.asarray(scipy.fftpack.dct(np.eye(SIDE), axis=0, norm="ortho")[:HIGHEST])


@cache
def _is_compared() -> npt.NDArray[np.bool_]:
    places = np.arange(HIGHEST)
    return np.asarray(np.maximum(places[:, None], places) >= LOW)
