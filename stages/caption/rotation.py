"""Views of an image turned about its centre, all cut to one square that holds no pixel from outside the image.

Not for comparing them with captions: that is ranking.
"""

import math

from PIL import Image

_QUARTERS = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)


def inscribed_side_px(width_px: int, height_px: int) -> int:
    """Return the side of the largest upright square inside the image however it is turned.

    Turning about the centre keeps exactly the disc of radius r = min(width, height) / 2 inside the image: a point
    farther out leaves it when it is turned towards the shorter side. A centred square is inside the disc when half its
    diagonal, side / sqrt(2), is at most r: side = min(width, height) / sqrt(2), rounded down, one pixel at least.

    Source: Thales: the square inscribed in a circle has the diameter for its diagonal.
    """
    return max(1, math.isqrt(min(width_px, height_px) ** 2 // 2))


def turned_views(image: Image.Image, n_views: int) -> list[Image.Image]:
    """Return the image turned counter-clockwise by 0, 360 / n_views, … degrees, each cut to its inscribed square.

    A quarter turn maps the square's pixels onto each other: where n_views is divisible by four, only the views of the
    first quarter are sampled.

    Args:
        image: RGB.
        n_views: 12 for steps of 30 degrees.
    """
    side_px = inscribed_side_px(*image.size)
    turns = _QUARTERS if n_views % len(_QUARTERS) == 0 else (None,)
    sampled = [_turned(image, 360 * n / n_views, side_px) for n in range(n_views // len(turns))]
    return [view if turn is None else view.transpose(turn) for turn in turns for view in sampled]


def _turned(image: Image.Image, angle_deg: float, side_px: int) -> Image.Image:
    """Return the central square of the turned image, sampled once from the image itself.

    The transform names, for each point of the view, the point of the image it shows; centre falls on centre.
    """
    # Rounded, so that right angles are exact: Pillow truncates, and a hair beside a pixel costs it a level.
    cos, sin = (round(f(math.radians(angle_deg)), 15) for f in (math.cos, math.sin))
    half = side_px / 2
    x0 = image.width / 2 - half * (cos - sin)
    y0 = image.height / 2 - half * (sin + cos)
    # Bicubic: bilinear blurs all but the right angles, and the variance would measure that.
    return image.transform(
        (side_px, side_px), Image.Transform.AFFINE, (cos, -sin, x0, sin, cos, y0), Image.Resampling.BICUBIC
    )
