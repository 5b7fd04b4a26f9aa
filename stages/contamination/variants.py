"""The hashes of an evaluation picture's variants to search for: turned, mirrored, and windows of it.

Not for pictures of the corpora, which have only screen's hash.
"""

import functools

import numpy as np
import numpy.typing as npt
import scipy.fftpack
from PIL import Image

from stages.images.orientations import orient_block
from stages.screen.perceptual_hash import DETAIL_RANK, LOW, PRECISION_BITS, SIDE, lanczos_bands

Values = npt.NDArray[np.float64]

SQUARE_PX = 256  # windows are cut from the picture at this size, so their borders are off by at most 0.2 % of a side
# By EXIF orientation, as in stages/images/orientations.py.
TURNS = (
    "upright", "mirrored", "half turn", "flipped", "transposed", "quarter turn clockwise", "transversed",
    "quarter turn counterclockwise",
)  # fmt: skip


def hash_variants(picture: Image.Image, max_cut: float, n_steps: int) -> tuple[list[int], list[float]]:
    """Return the 64-bit hashes of a picture's variants and their details in grey levels, ordered as `variant_names`.

    Args:
        picture: as shown, in any mode.
        max_cut: largest share of a side that a window leaves out, in [0, 1).
        n_steps: steps from no cut to the largest.
    """
    square = picture.convert("L").resize((SQUARE_PX, SQUARE_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    reduced = _cuts(max_cut, n_steps) @ np.asarray(square, np.float64)  # [cuts, 8, 256]
    windows = np.einsum("aiw,bjw->abij", reduced, _cuts(max_cut, n_steps)).reshape(-1, LOW, LOW)
    low = np.concatenate([orient_block(windows[0]), windows[1:]]).reshape(-1, LOW * LOW)
    ranked = np.sort(low, axis=1)
    middle = LOW * LOW // 2
    medians = (ranked[:, middle - 1] + ranked[:, middle]) / 2
    bits = np.packbits(low > medians[:, None], axis=1)
    margins = np.sort(np.abs(low - medians[:, None]), axis=1)
    hashes = [int.from_bytes(row.tobytes(), "big") for row in bits]
    # Rounded, since the last digits of sums depend on the machine.
    return hashes, (margins[:, DETAIL_RANK] / SIDE / SIDE).round(3).tolist()


def variant_names(max_cut: float, n_steps: int) -> list[str]:
    """Return the variants' names: a turn, or the percentages that a window omits at the top, bottom, left and right."""
    cuts = [f"{100 * low:.0f} {100 * high:.0f}" for low, high in _shares(max_cut, n_steps)]
    windows = [f"window {above} {left}" for above in cuts for left in cuts]
    return [*TURNS, *windows[1:]]


def _shares(max_cut: float, n_steps: int) -> list[tuple[float, float]]:
    """Return the shares of a side omitted at its start and end, at most max_cut together; the first omits nothing."""
    steps = range(n_steps + 1)
    return [(max_cut * a / n_steps, max_cut * b / n_steps) for a in steps for b in steps if a + b <= n_steps]


@functools.cache
def _cuts(max_cut: float, n_steps: int) -> Values:
    """Return matrices, float64 [cuts, 8, 256], that cut a side, reduce it to 32 px and give its lowest frequencies."""
    cosines = scipy.fftpack.dct(np.eye(SIDE), axis=0)[:LOW]
    found = []
    for before, behind in _shares(max_cut, n_steps):
        start, stop = round(before * SQUARE_PX), SQUARE_PX - round(behind * SQUARE_PX)
        reduce = np.zeros((SIDE, SQUARE_PX))
        column = 0
        for band in lanczos_bands(stop - start):
            n_weighed, n_reduced = band.weights.shape
            first = start + band.start
            reduce[column : column + n_reduced, first : first + n_weighed] = band.weights.T * 0.5**PRECISION_BITS
            column += n_reduced
        found.append(cosines @ reduce)
    return np.array(found)
