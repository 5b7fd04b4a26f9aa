"""Find pictures that decode although some of their pixels are missing: decoders leave these in one tone.

Every picture has a cheap test of what decoders leave; only those that fail it are looked at again.
"""

import struct
import zlib
from collections.abc import Callable, Iterator

from PIL import Image

from stages.images.mending import (
    END,
    FILLING,
    PNG_SIGNATURE,
    has_all_pixels,
    has_all_scans,
    remove_filling,
    walk_markers,
)

_EMPTY_JPEG_LEVELS = {127, 128}  # libjpeg's missing blocks are middle grey; CMYK is stored inverted
_PIECE_BYTES = 1 << 20
_N_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by the colour type of a PNG
# First column and row, and steps between columns and rows. Source: PNG specification, Adam7.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def check_pixels(image: Image.Image, data: bytes, digest: Callable[[bytes], str]) -> None:
    """Check that a decoded PNG or JPEG has all of its pixels; other formats' decoders do it.

    Args:
        image: as decoded, in its stored orientation.
        data: its file.
        digest: returns the digest of the pixels of another JPEG.

    Raises:
        OSError: pixels are missing.
    """
    if image.format == "PNG" and _has_empty_row(image):
        n_found, n_due = _count_png_bytes(data)
        if n_found < n_due:
            raise OSError(f"image file is truncated ({n_found} of {n_due} bytes of pixels)")
    elif (
        image.format in ("JPEG", "MPO")
        and may_lack_pixels(image, data, "progressive" in image.info)
        and not has_all_pixels(remove_filling(data[: _end_of_scans(data)]), digest)
    ):
        raise OSError("image file is truncated (its last scan ends before its last pixel)")


def may_lack_pixels(image: Image.Image, data: bytes, has_scans: bool) -> bool:
    """Return whether a JPEG must be looked at again: one of about a thousand whole ones.

    Args:
        image: as decoded, in its stored orientation.
        data: its file.
        has_scans: its pixels are in several scans, as in a progressive file.
    """
    corner = image.getpixel((image.width - 1, image.height - 1))
    return (
        set(corner if isinstance(corner, tuple) else (corner,)) <= _EMPTY_JPEG_LEVELS
        or (data.endswith(FILLING) and _end_of_scans(data) == len(data))
        or (has_scans and not has_all_scans(data))
    )


def _end_of_scans(data: bytes) -> int:
    """Return where the end marker of a JPEG's first picture is; the length of the file without one."""
    return next((place for code, place, _ in walk_markers(data) if code == END), len(data))


def _has_empty_row(image: Image.Image) -> bool:
    """Return whether one of the last two rows is zero: the last one to be decoded is one of them, interlaced too."""
    width, height = image.size
    return any(not any(image.crop((0, y, width, y + 1)).tobytes()) for y in range(max(0, height - 2), height))


def _count_png_bytes(data: bytes) -> tuple[int, int]:
    """Return how many bytes of rows a PNG has, and how many its header states; counting stops there."""
    width, height, n_bits, colour_type, is_interlaced = struct.unpack_from(">IIBBxxB", data, 16)
    n_pixel_bits = n_bits * _N_SAMPLES[colour_type]
    n_due = 0
    for left, top, step, row_step in _PASSES if is_interlaced else ((0, 0, 1, 1),):
        n_columns, n_rows = max(0, -((left - width) // step)), max(0, -((top - height) // row_step))
        n_due += n_rows * (1 + (n_columns * n_pixel_bits + 7) // 8) if n_columns else 0
    inflater = zlib.decompressobj()
    n_found = 0
    for packed in _pixel_chunks(data):
        while packed and n_found < n_due and not inflater.eof:
            n_found += len(inflater.decompress(packed, _PIECE_BYTES))
            packed = inflater.unconsumed_tail
    return n_found + len(inflater.flush()), n_due


def _pixel_chunks(data: bytes) -> Iterator[bytes]:
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        n_bytes, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IDAT":
            yield data[position + 8 : position + 8 + n_bytes]
        position += 12 + n_bytes
