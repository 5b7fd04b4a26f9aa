"""Decode one picture and describe it, or say why it is refused; runs in the decoding child of screen."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from PIL import Image

from stages.images.exif import facts_of, orientation_of, read_tags
from stages.images.first_picture import TooManyPixels, finish, open_first
from stages.images.formats import explain, find_format, name_foreign, plugin_of
from stages.images.frames import count_frames
from stages.images.shown import raw_bytes, shown_strips, turned_size
from stages.screen.perceptual_hash import Values, reduce_grey
from stages.screen.plain_jpeg import PlainJpeg, decode_plain

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # a detail that differs from run to run would not be reproducible
KEPT_PIXELS = 1 << 17  # larger grey pictures are reduced at once: several of them need memory

Facts = dict[str, Any]
Grey = Image.Image | Values
Described = tuple[Facts, Grey | None]


def describe(data: bytes, max_pixels: int, formats: Sequence[str]) -> Described:
    """Decode an image and return its facts, or reason and detail; and its grey levels.

    Raises:
        MemoryError: the image does not fit into the memory of the process.
    """
    refusal, picture = open_picture(data, max_pixels, formats)
    return (refusal, None) if picture is None else decode_picture(data, picture)


def open_picture(data: bytes, max_pixels: int, formats: Sequence[str]) -> tuple[Facts, Image.Image | None]:
    """Return an opened image, not decoded yet, without facts; or reason and detail; raises as describe."""
    # PIL raises its own error at twice this number, before plugins allocate their canvas.
    Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
    image_format = find_format(data)
    if image_format is None:
        return _refuse(*name_foreign(data)), None
    if image_format not in map(plugin_of, formats):
        return _refuse("format_not_allowed", image_format), None
    try:
        picture = open_first(data, image_format, max_pixels)
    except Exception as error:
        return _explain(data, image_format, error), None
    if picture.format not in formats:
        return _refuse("format_not_allowed", str(picture.format)), None
    return {}, picture


def decode_picture(data: bytes, picture: Image.Image) -> Described:
    """Decode an image opened by open_picture and return what describe does; raises as describe."""
    try:
        return _describe(data, picture)
    except Exception as error:
        return _explain(data, plugin_of(str(picture.format)), error), None


def _explain(data: bytes, image_format: str, error: Exception) -> Facts:
    """Return reason and detail for an error of decoding.

    A catch-all does not lose a row here: whatever PIL raises is a property of the bytes, and is recorded.
    """
    if isinstance(error, TooManyPixels | Image.DecompressionBombError):
        return _refuse("too_many_pixels", str(error))
    if isinstance(error, MemoryError):
        raise error
    if "out of memory" in str(error):
        raise MemoryError(str(error)) from error
    return _refuse(*explain(data, image_format, error))


def _refuse(reason: str, detail: str) -> Facts:
    return {"reason": reason, "detail": ADDRESS.sub("", detail)}


def _describe(data: bytes, picture: Image.Image) -> Described:
    found_format, stored_mode = picture.format, picture.mode
    image = finish(picture, data)
    exif = read_tags(image)
    orientation = None if image.format == "TIFF" else orientation_of(exif)
    facts, grey = describe_pixels(image, orientation)
    facts |= {"format": found_format, "mode": stored_mode, "n_frames": count_frames(data, image)}
    return facts | facts_of(exif), grey


def describe_jpeg(data: bytes, jpeg: PlainJpeg) -> tuple[Facts, Grey] | None:
    """Return the facts and the grey levels of a plain JPEG; None if it does not decode."""
    picture = decode_plain(data, jpeg)
    if picture is None:
        return None
    facts, grey = describe_pixels(picture, jpeg.orientation)
    return facts | {"format": "JPEG", "mode": jpeg.mode, "n_frames": 1} | jpeg.exif, grey


def describe_pixels(image: Image.Image, orientation: int | None) -> tuple[Facts, Grey]:
    """Return size, orientation and pixel digest of a decoded picture, and its grey levels."""
    width, height = turned_size(image.size, orientation or 1)
    digest, grey = digest_shown(image, orientation or 1)
    return {"width_px": width, "height_px": height, "pixel_sha256": digest, "exif_orientation": orientation}, grey


def digest_shown(image: Image.Image, orientation: int = 1) -> tuple[str, Grey]:
    """Return the pixel digest, and grey levels for the perceptual hash, both of the picture as shown."""
    size = turned_size(image.size, orientation)
    digest = hashlib.sha256(f"{size[0]}x{size[1]}:".encode())
    grey: Image.Image | None = None
    for top, strip in shown_strips(image, orientation):
        for some in raw_bytes(strip):
            digest.update(some)
        if strip.size == size:
            grey = strip.convert("L")
            break
        grey = grey or Image.new("L", size)
        grey.paste(strip.convert("L"), (0, top))
    grey = grey or Image.new("L", size)
    return digest.hexdigest(), grey if grey.width * grey.height <= KEPT_PIXELS else reduce_grey(grey)
