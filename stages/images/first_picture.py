"""Decode only the first picture of a file, with the plugin of the format that was found, within a pixel limit.

The only module that opens image files, but for the plain JPEGs of screen/plain_jpeg.py: the decoding child, the models
and the encoder of TIFFs use it.
"""

import hashlib
import io
import math
import warnings

from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from stages.images.clear_colour import apply_clear_colour
from stages.images.exif import hide_xmp
from stages.images.formats import plugin_of
from stages.images.grey_opacity import keep_low_bytes, stretch_grey
from stages.images.mending import close_jpeg, mend
from stages.images.missing_pixels import check_pixels
from stages.images.png_pixels import correct_sum
from stages.images.tiff_pieces import check_pieces
from stages.images.tiff_samples import complete_samples

# PIL warns of broken side data, several lines a file; what it cannot decode becomes a reject.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class TooManyPixels(ValueError):
    """The header states more pixels than the limit."""


def load_first(data: bytes, image_format: str, max_pixels: int | None = None) -> Image.Image:
    """Return the first picture of a file, decoded, in its stored orientation; PIL turns a TIFF upright.

    Args:
        data: the file.
        image_format: as found by find_format or screen; no other plugin of PIL is tried.
        max_pixels: larger pictures are not decoded; None for any size.

    Raises:
        TooManyPixels: the header states more pixels than max_pixels.
        Exception: whatever PIL raises on these bytes.
    """
    return finish(open_first(data, image_format, max_pixels), data)


def open_first(
    data: bytes, image_format: str, max_pixels: int | None = None, longest_px: int | None = None
) -> Image.Image:
    """Return the first picture of a file with only its header read; raises as load_first.

    Args:
        data: the file.
        image_format: as found.
        max_pixels: as load_first.
        longest_px: a JPEG will be decoded at a reduced size, with a longer side of at least twice this length.
    """
    image = _open(mend(data, image_format), plugin_of(image_format))
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise TooManyPixels(f"{image.width} x {image.height}, more than {max_pixels}")
    if longest_px is not None:
        # Twice the size: the rest of the reduction is filtered, unlike the decoder's.
        width, height = reduced_size(image.size, longest_px)
        image.draft(None, (2 * width, 2 * height))
    return image


def finish(image: Image.Image, data: bytes, longest_px: int | None = None) -> Image.Image:
    """Decode and return a picture opened by open_first; complete the end of a JPEG or PNG with complete pixels.

    Raises:
        Exception: whatever PIL raises on these bytes; OSError too for missing pixels that it does not report.
    """
    check_pieces(image)
    is_deep_grey = keep_low_bytes(image)
    try:
        _load(image)
    except OSError as error:
        plugin = plugin_of(str(image.format))
        if plugin == "JPEG" and "truncated" in str(error) and (closed := close_jpeg(data, _digest_jpeg)):
            return _load(open_first(closed, "JPEG", None, longest_px))
        if plugin == "PNG" and "broken data stream" in str(error) and (corrected := correct_sum(data)):
            return finish(open_first(corrected, "PNG"), corrected)
        raise
    check_pixels(image, data, _digest_jpeg)
    if is_deep_grey:
        stretch_grey(image)
    apply_clear_colour(image, data)
    complete_samples(image, data)
    _show_clear_bitmap(image)
    return image


def reduced_size(size: tuple[int, int], longest_px: int | None) -> tuple[int, int]:
    """Return the size of an image whose longer side is at most longest_px."""
    if longest_px is None or max(size) <= longest_px:
        return size
    scale = longest_px / max(size)
    return max(1, math.floor(size[0] * scale + 0.5)), max(1, math.floor(size[1] * scale + 0.5))


def _show_clear_bitmap(image: Image.Image) -> None:
    """Make a BMP opaque whose opacity is 0 everywhere: writers leave this byte empty, and viewers show it."""
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        image.putalpha(255)


def _load(image: Image.Image) -> Image.Image:
    hide_xmp(image)  # before PIL rotates a TIFF
    image.load()
    hide_xmp(image)  # a PNG may have it after its pixels
    return image


def _open(data: bytes, plugin: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=[plugin])
    except (UnidentifiedImageError, Image.DecompressionBombError, MemoryError):
        raise
    except Exception:
        if plugin != "JPEG":
            raise
        # Despite a broken index of further pictures (MPO) the first one is a JPEG.
        return JpegImagePlugin.JpegImageFile(io.BytesIO(data))


def _digest_jpeg(data: bytes) -> str:
    return hashlib.sha256(_load(open_first(data, "JPEG")).tobytes()).hexdigest()
