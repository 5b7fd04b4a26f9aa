"""Compare the colours of an evaluation picture, turned or cut, with those of another picture.

Drawings of one routine may correlate in grey levels, but seldom have the same colours.
"""

import numpy as np
from PIL import Image

from stages.contamination.grey import change_square
from stages.images.colours import Colours, colour_distance, cut_colours, reduce_colours

SQUARE_PX = 16  # side of the square that is stored of each evaluation picture


def reduce_tints(picture: Image.Image) -> Colours:
    """Return uint8 [16, 16, 3]: the colours of a picture as shown, in any mode, its sides reduced to one length."""
    return reduce_colours(picture, SQUARE_PX, SQUARE_PX)


def read_tints(data: bytes) -> Colours:
    """Return the colours that reduce_tints found, from their bytes."""
    return np.frombuffer(data, np.uint8).reshape(SQUARE_PX, SQUARE_PX, 3)


def tint_distance(evaluation: bytes, variant: str, shown: Colours) -> float:
    """Return the colour distance of a variant of an evaluation picture to another picture, in levels.

    Args:
        evaluation: its colours, as reduce_tints returns them.
        variant: one of variant_names.
        shown: colours of the other picture, as reduce_tints returns them.
    """
    changed, sides = change_square(read_tints(evaluation), variant)
    left, above, right, below = (sides / SQUARE_PX).tolist()
    return colour_distance(cut_colours(changed, (left, above, 1 - right, 1 - below)), cut_colours(shown, (0, 0, 1, 1)))
