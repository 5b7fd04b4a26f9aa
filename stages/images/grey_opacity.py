"""Stretch the grey of a PNG with 16-bit grey and opacity: PIL keeps only the high byte of each sample."""

import numpy as np
from PIL import Image, PngImagePlugin

from stages.images.shown import STRIP_PIXELS, Strips, stretch_strips

_BOTH = "LA;16B"  # PIL's name of such samples


def keep_low_bytes(image: Image.Image) -> bool:
    """Have an opened picture decoded with both bytes of its samples, and return True, if it is such a PNG.

    Its two samples of two bytes are read as the four bands of RGBA.
    """
    if not isinstance(image, PngImagePlugin.PngImageFile) or not image.tile or image.tile[0].args != _BOTH:
        return False
    image.tile = [tile._replace(args="RGBA") for tile in image.tile]
    return True


def stretch_grey(image: Image.Image) -> None:
    """Stretch a picture decoded after keep_low_bytes to 8 bits, over the range of what is seen."""
    stretch_strips(image, lambda: _strips(image))


def _strips(image: Image.Image) -> Strips:
    n_rows = max(1, STRIP_PIXELS // (4 * image.width))
    for top in range(0, image.height, n_rows):
        bands = np.asarray(image.crop((0, top, image.width, min(top + n_rows, image.height))))
        grey = bands[..., 0].astype(np.uint16) << 8 | bands[..., 1]
        yield top, np.repeat(grey[..., None], 3, axis=2), bands[..., 2]
