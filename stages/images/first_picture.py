"""Decode the first picture of a file: of the format that was found, within a limit on pixels, and nothing behind it.

The one place that opens image files: the decoding child, the models and the encoder of TIFFs decode by it.
"""

import hashlib
import io
import math

from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from stages.images.exif import hide_xmp
from stages.images.formats import plugin_of
from stages.images.mending import close_jpeg, mend


class TooManyPixels(ValueError):
    """The header states more pixels than the limit."""


def load_first(data: bytes, image_format: str, max_pixels: int | None = None) -> Image.Image:
    """Return the first picture of a file, decoded, as it is stored; a TIFF alone is turned upright, by PIL.

    Args:
        data: the file.
        image_format: as find_format or screen found it; no other plugin of PIL is asked.
        max_pixels: larger pictures are not decoded; None for any size.

    Raises:
        TooManyPixels: by the header.
        Exception: whatever PIL raises on these bytes.
    """
    return finish(open_first(data, image_format, max_pixels), data)


def open_first(
    data: bytes, image_format: str, max_pixels: int | None = None, longest_px: int | None = None
) -> Image.Image:
    """Return the first picture of a file, its header alone read; as load_first.

    Args:
        data: the file.
        image_format: as found.
        max_pixels: as load_first.
        longest_px: a JPEG will be decoded at a reduced size, but at twice this length of its longer side at least.
    """
    image = _open(mend(data, image_format), plugin_of(image_format))
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise TooManyPixels(f"{image.width} x {image.height}, more than {max_pixels}")
    if longest_px is not None:
        # Twice the size: what is left to reduce is filtered, not what the decoder skips.
        width, height = reduced_size(image.size, longest_px)
        image.draft(None, (2 * width, 2 * height))
    return image


def finish(image: Image.Image, data: bytes, longest_px: int | None = None) -> Image.Image:
    """Decode what open_first opened, and return it; a JPEG of whole pixels that lacks its end is given one."""
    try:
        return _load(image)
    except OSError as error:
        if plugin_of(str(image.format)) != "JPEG" or "truncated" not in str(error):
            raise
        closed = close_jpeg(data, lambda other: _digest(_load(open_first(other, "JPEG"))))
        if closed is None:
            raise
    return _load(open_first(closed, "JPEG", None, longest_px))


def reduced_size(size: tuple[int, int], longest_px: int | None) -> tuple[int, int]:
    """Return the size of an image whose longer side is at most longest_px."""
    if longest_px is None or max(size) <= longest_px:
        return size
    scale = longest_px / max(size)
    return max(1, math.floor(size[0] * scale + 0.5)), max(1, math.floor(size[1] * scale + 0.5))


def _load(image: Image.Image) -> Image.Image:
    hide_xmp(image)  # before PIL turns a TIFF
    image.load()
    hide_xmp(image)  # a PNG may have it behind its pixels
    return image


def _open(data: bytes, plugin: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=[plugin])
    except (UnidentifiedImageError, Image.DecompressionBombError, MemoryError):
        raise
    except Exception:
        if plugin != "JPEG":
            raise
        # A broken index of further pictures (MPO): the first one is a JPEG all the same.
        return JpegImagePlugin.JpegImageFile(io.BytesIO(data))


def _digest(image: Image.Image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()
