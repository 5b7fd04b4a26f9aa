"""Compare the colours of two pictures where one lies on the other.

Drawings of one template agree in grey levels and shapes, but seldom in colours. Not for finding where they lie.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from stages.images.alignment import Affine, lay

Colours = npt.NDArray[np.uint8]

# Range of red, green and blue that hardly any pixel of a grey picture exceeds: of a copy in grey no colour is known.
GREY_LEVELS, _COLOURED = 12, 0.95
_DARK = 48  # levels added to the sum of a pixel's three, so that noise in dark ones counts for little
_INSIDE_PX = 8  # side of the insides that are compared


def reduce_colours(picture: Image.Image, height: int, width: int) -> Colours:
    """Return uint8 [height, width, 3]: red, green and blue of a picture as shown, in any mode, reduced to a size."""
    shown = picture.convert("RGB")
    return np.asarray(shown.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0))


def colour_distance(first: Colours, second: Colours, is_compared: npt.NDArray[np.bool_] | None = None) -> float:
    """Return the mean distance of the colours of equal places, in [0, 361]; 0 if one of the pictures is grey.

    A colour is how far the shares of red, green and blue are from equal ones, times 255: brightness does not count.

    Args:
        first: uint8 [height, width, 3].
        second: the same.
        is_compared: bool [height, width], all places by default.
    """
    chosen = np.ones(first.shape[:2], bool) if is_compared is None else is_compared
    one, other = first[chosen].astype(np.float64), second[chosen].astype(np.float64)
    if _is_grey(one) or _is_grey(other):
        return 0.0
    distances = np.linalg.norm(_tints(one) - _tints(other), axis=1)
    return round(float(distances.mean()), 1)  # the last digits depend on the machine


def aligned_distance(first: Colours, second: Colours, affine: Affine) -> float:
    """Return the colour distance of two pictures, the first moved to where it lies on the second.

    Args:
        first: uint8 [height, width, 3], the first picture reduced by alignment.SMALL.
        second: the same of the second.
        affine: float64 [2, 3], maps px of the first picture, not reduced, to those of the second.
    """
    shown, is_covered = lay(first, affine, second.shape)
    return colour_distance(shown, second, is_covered)


def cut_colours(colours: Colours, box: tuple[float, float, float, float]) -> Colours:
    """Return uint8 [8, 8, 3]: a box of a picture, left, top, right and bottom as shares of its sides."""
    height, width = colours.shape[:2]
    left, top, right, bottom = box
    places = left * width, top * height, right * width, bottom * height
    shown = Image.fromarray(colours).resize((_INSIDE_PX, _INSIDE_PX), Image.Resampling.BOX, places)
    return np.asarray(shown)


def _is_grey(pixels: npt.NDArray[np.float64]) -> bool:
    return not len(pixels) or float(np.quantile(np.ptp(pixels, axis=1), _COLOURED)) < GREY_LEVELS


def _tints(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    sums = pixels.sum(axis=1, keepdims=True)
    found: npt.NDArray[np.float64] = 255 * (pixels - sums / 3) / (sums + _DARK)
    return found
