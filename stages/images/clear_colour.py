"""Make the one transparent colour of a PNG with 16-bit RGB samples an alpha channel.

PIL keeps only the high byte of each sample, so it does not compare this colour with any of its pixels.
"""

import io

from PIL import Image, ImageChops, PngImagePlugin

from stages.images.mending import remove_side_chunks
from stages.images.png_pixels import PNG_SIGNATURE

_DEPTH = len(PNG_SIGNATURE) + 16  # where IHDR states the bits of a sample


def apply_clear_colour(image: Image.Image, data: bytes) -> None:
    """Add the alpha channel to a loaded picture; leave every other picture as it is.

    Args:
        image: of any format.
        data: its file.
    """
    colour = image.info.get("transparency")
    if image.format != "PNG" or image.mode != "RGB" or not isinstance(colour, tuple) or data[_DEPTH] != 16:
        return
    high = [_where(band, value >> 8) for band, value in zip(image.split(), colour, strict=True)]
    low = [_where(band, value & 255) for band, value in zip(_load_low_bytes(data).split(), colour, strict=True)]
    clear = high[0]
    for mask in (*high[1:], *low):
        clear = ImageChops.multiply(clear, mask)
    del image.info["transparency"]
    image.putalpha(ImageChops.invert(clear))


def _where(band: Image.Image, value: int) -> Image.Image:
    """Return 255 where a band has the value, else 0."""
    return band.point([255 * (level == value) for level in range(256)])


def _load_low_bytes(data: bytes) -> Image.Image:
    """Return the low byte of each sample: PIL takes the other byte of a sample in the other byte order."""
    image = PngImagePlugin.PngImageFile(io.BytesIO(remove_side_chunks(data)))
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    image.load()
    return image
