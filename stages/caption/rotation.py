"""Views of an image rotated about its centre, all cropped to one square without pixels from outside the image.

Views are compared with captions in ranking.py.
"""

import math

from PIL import Image

_QUARTERS = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)


def inscribed_side_px(width_px: int, height_px: int) -> int:
    """Return the side of the largest upright square inside the image at every rotation.

    Rotation about the centre keeps exactly the disc of radius r = min(width, height) / 2 inside the image: a point
    farther out leaves it when rotated towards the shorter side. A centred square is inside the disc if half its
    diagonal, side / sqrt(2), is at most r: side = min(width, height) / sqrt(2), rounded down, at least one pixel.

    Source: Thales: the square inscribed in a circle has the diameter for its diagonal.
    """
    return max(1, math.isqrt(min(width_px, height_px) ** 2 // 2))


def turned_views(image: Image.Image, n_views: int) -> list[Image.Image]:
    """Return the image rotated counter-clockwise by 0, 360 / n_views, … degrees, cropped to its inscribed square.

    A quarter turn maps the square's pixels onto each other: if n_views is divisible by four, only the views of the
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
    """Return the central square of the rotated image, sampled once from the image itself.

    The transform maps each point of the view to a point of the image, centre to centre.
    """
    # Rounded to make right angles exact: Pillow truncates, and the smallest offset from a pixel costs it a level.
    cos, sin = (round(f(math.radians(angle_deg)), 15) for f in (math.cos, math.sin))
    half = side_px / 2
    x0 = image.width / 2 - half * (cos - sin)
    y0 = image.height / 2 - half * (sin + cos)
    # Bicubic: bilinear blurs all angles but the right ones, and the variance would measure that blur.
    return image.transform(
        (side_px, side_px), Image.Transform.AFFINE, (cos, -sin, x0, sin, cos, y0), Image.Resampling.BICUBIC
    )
