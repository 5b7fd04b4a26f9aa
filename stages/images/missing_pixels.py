"""Find pictures that decode although some of their pixels are missing: decoders leave these in one tone.

Every picture has a cheap test of what decoders leave; only those that fail it are looked at again.
"""

from collections.abc import Callable

from PIL import Image

from stages.images.mending import (
    END,
    FILLING,
    has_all_pixels,
    has_all_scans,
    remove_filling,
    walk_markers,
)
from stages.images.png_pixels import count_due_bytes, count_found_bytes

_EMPTY_JPEG_LEVELS = {127, 128}  # libjpeg's missing blocks are middle grey; CMYK is stored inverted


def check_pixels(image: Image.Image, data: bytes, digest: Callable[[bytes], str]) -> None:
    """Check that a decoded PNG or JPEG has all of its pixels; other formats' decoders do it, and tiff_pieces.py.

    Args:
        image: as decoded, in its stored orientation.
        data: its file.
        digest: returns the digest of the pixels of another JPEG.

    Raises:
        OSError: pixels are missing.
    """
    if image.format == "PNG" and _has_empty_row(image):
        n_due = count_due_bytes(data)
        n_found = count_found_bytes(data, n_due)
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
