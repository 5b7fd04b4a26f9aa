"""The picture as shown: one definition for hash, pixel digest, models and published file.

EXIF orientation is applied, transparent pixels are shown over white, deep samples are stretched to 8 bits, and the
result is RGB; colour profiles are not applied. Opens no files.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

# Modes of more than 8 bits per sample, which PIL clips when it converts.
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
WHITE = (255, 255, 255)
STRIP_PIXELS = 1 << 22  # larger pictures are converted in strips, to avoid a second copy in memory
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF 2.32, tag 0x0112: how to turn the stored pixels

PIXEL_BYTES = 1 << 16  # to be hashed at once

Values = np.ndarray[Any, np.dtype[Any]]
Range = tuple[float, float]
Strips = Iterator[tuple[int, Values, Values]]  # first row, samples, opacity


def turn(image: Image.Image, orientation: int) -> Image.Image:
    """Return a stored picture turned by an EXIF orientation."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return width and height of a picture as shown."""
    return (size[1], size[0]) if orientation >= 5 else size


def show(image: Image.Image, orientation: int = 1) -> Image.Image:
    """Return a stored picture as shown, in RGB."""
    size = turned_size(image.size, orientation)
    whole = None
    for top, strip in shown_strips(image, orientation):
        if strip.size == size:
            return strip
        whole = whole or Image.new("RGB", size)
        whole.paste(strip, (0, top))
    return whole or Image.new("RGB", size)


def shown_strips(image: Image.Image, orientation: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield the picture as shown in strips from the top: each strip in RGB, and its first row."""
    width, height = turned_size(image.size, orientation)
    n_rows = max(1, STRIP_PIXELS // width)
    limits = _find_range(image) if image.mode in DEEP_MODES else None
    for top in range(0, height, n_rows):
        bottom = min(top + n_rows, height)
        is_whole = (top, bottom) == (0, height)
        stored = image if is_whole else image.crop(_stored_box(top, bottom, image.size, orientation))
        yield top, turn(_flatten(stored, limits), orientation)


def raw_bytes(image: Image.Image, n_bytes: int = PIXEL_BYTES) -> Iterator[bytes]:
    """Yield the bytes of a picture in mode RGB or L, row by row, some rows at once: they then stay in the cache.

    Args:
        image: the picture.
        n_bytes: how many to yield at once; at least a row.
    """
    # As Image.tobytes does, which joins them: a tenth of the time of hashing.
    encoder = Image._getencoder(image.mode, "raw", (image.mode,))
    encoder.setimage(image.im, (0, 0, *image.size))
    code = 0
    while not code:
        _, code, some = encoder.encode(max(n_bytes, 4 * image.width))
        yield some
    if code < 0:
        raise RuntimeError(f"Pillow's encoder ended with code {code}")


def _stored_box(top: int, bottom: int, size: tuple[int, int], orientation: int) -> tuple[int, int, int, int]:
    """Return where rows top to bottom of the shown picture are stored."""
    width, height = size
    if orientation in (3, 4):
        return 0, height - bottom, width, height - top
    if orientation in (5, 6):
        return top, 0, bottom, height
    if orientation in (7, 8):
        return width - bottom, 0, width - top, height
    return 0, top, width, bottom


def _flatten(image: Image.Image, limits: Range | None) -> Image.Image:
    if limits is not None:
        grey = stretch(np.asarray(image), limits)
        clear = _clear_samples(image)
        return Image.fromarray(grey if clear is None else np.where(clear, np.uint8(255), grey)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, (*WHITE, 255)), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _clear_samples(image: Image.Image) -> Values | None:
    """Return where a deep picture is transparent: a PNG may name such a value, a GeoTIFF one of no data."""
    value = image.info.get("transparency")
    return np.asarray(image) == value if isinstance(value, int | float) else None


def _find_range(image: Image.Image) -> Range | None:
    """Return the smallest and the largest finite sample that is not transparent."""
    low, high = np.inf, -np.inf
    n_rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, n_rows):
        is_whole = n_rows >= image.height
        strip = image if is_whole else image.crop((0, top, image.width, min(top + n_rows, image.height)))
        values, clear = np.asarray(strip), _clear_samples(strip)
        values = values[np.isfinite(values) if clear is None else np.isfinite(values) & ~clear]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high


def stretch(values: Values, limits: Range) -> Values:
    """Return uint8: the smallest finite sample as 0, the largest as 255; a uniform picture as middle grey.

    Samples are stretched because they rarely use all 16 bits: sensors deliver 10 to 14.
    """
    low, high = limits
    if high < low:
        return np.zeros(values.shape, np.uint8)
    if high == low:
        return np.full(values.shape, 128, np.uint8)
    finite = np.where(np.isfinite(values), values, low).astype(np.float64)
    # Transparent samples may be outside the range.
    scaled = (np.clip(finite, low, high) - low) * (255 / (high - low))
    return np.asarray(np.rint(scaled), np.uint8)


def stretch_strips(image: Image.Image, strips: Callable[[], Strips], nodata: float | None = None) -> None:
    """Fill a picture in mode RGB or RGBA with deep colours, stretched by one range for all bands: the colours stay.

    Args:
        image: the picture.
        strips: yields the first row of a strip, its samples, uint16 [rows, columns, 3], and its opacity, uint8; called
            twice.
        nodata: a value that does not count for the range, as pixels that are not seen.
    """
    least, most = np.inf, -np.inf
    for _, values, alpha in strips():
        seen = values[(values != nodata) & (alpha[..., None] > 0)]
        if seen.size:
            least, most = min(least, float(seen.min())), max(most, float(seen.max()))
    for top, values, alpha in strips():
        strip = Image.fromarray(stretch(values, (least, most)))
        if image.mode == "RGBA":
            strip.putalpha(Image.fromarray(alpha))
        image.paste(strip, (0, top))
