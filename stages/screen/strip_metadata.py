"""Remove metadata from image files without touching their pixels: positions, dates, comments, thumbnails, XMP.

Everything that affects how pixels look stays: colour profiles, transparency, animation and orientation.
The input has been decoded by screen; the output is the file to publish.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace

from stages.screen.stripping.bmp import strip_bmp
from stages.screen.stripping.gif import strip_gif
from stages.screen.stripping.jpeg import cut_scan, strip_jpeg
from stages.screen.stripping.png import strip_png
from stages.screen.stripping.result import Stripped, UnpublishableImage
from stages.screen.stripping.segments import Segment
from stages.screen.stripping.webp import cut_picture, strip_webp
from stages.screen.tiff_to_jpeg import encode_tiff_as_jpeg

AS_JPEG = dict.fromkeys(("JPEG", "MPO", "TIFF"), "jpg")
ENCODED_ANEW = ("TIFF",)  # the others are published with the pixels' bytes as they came
PUBLISHED_FORMAT = AS_JPEG | {"PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}


def published_format(image_format: str) -> str:
    """Return the file name extension of a published image of this format (PIL's name)."""
    if image_format not in PUBLISHED_FORMAT:
        raise UnpublishableImage(f"expected one of {', '.join(PUBLISHED_FORMAT)}, found {image_format}")
    return PUBLISHED_FORMAT[image_format]


def strip_metadata(
    data: bytes,
    image_format: str,
    orientation: int | None = None,
    n_bytes: int | None = None,
    segments: Sequence[Segment] | None = None,
) -> Stripped:
    """Return the file without metadata: the pixels stay, and stripping it again changes nothing.

    Only a TIFF is re-encoded; see tiff_to_jpeg.py.

    Args:
        data: the file as fetched.
        image_format: PIL's name of the format, as screen recorded it; the result is of published_format.
        orientation: 2 to 8 if the picture is shown turned, as screen recorded it; else 1 or None. It is written
            into the result as the only tag of an EXIF block.
        n_bytes: the length of the published file, as screen recorded it; screen finds the end of the pixels of a JPEG
            or GIF with a loose end by decoding.
        segments: of a JPEG, by a walk without doubts; None if it was not walked over, or with doubts.

    Raises:
        UnpublishableImage: the structure is broken, or the format is not published.
    """
    published_format(image_format)
    try:
        if segments is None:
            stripped = STRIPPERS[image_format](data, orientation or 1)
        else:
            stripped = strip_jpeg(data, orientation or 1, segments)
    except (struct.error, IndexError) as error:
        raise UnpublishableImage(f"{image_format} ends inside a structure: {error}") from error
    if n_bytes is None:
        return stripped
    is_shorter = n_bytes == len(stripped.shorter)
    return replace(stripped, data=stripped.shorter if is_shorter else cut_loose_end(stripped, n_bytes))


def cut_loose_end(stripped: Stripped, n_bytes: int) -> bytes:
    """Return the file cut after its pixels to this length; unchanged if it has no loose end."""
    if not stripped.loose_end or not stripped.loose_end + 2 <= n_bytes < len(stripped.data):
        return stripped.data
    return (cut_picture if stripped.data.startswith(b"RIFF") else cut_scan)(stripped, n_bytes)


def _encode_tiff(data: bytes, orientation: int) -> Stripped:
    try:
        encoded = encode_tiff_as_jpeg(data)
    except MemoryError:
        raise
    except Exception as error:  # whatever else PIL raises is a property of the bytes
        raise UnpublishableImage(f"TIFF cannot be re-encoded: {type(error).__name__}: {error}") from error
    return strip_jpeg(encoded, 1)


STRIPPERS: dict[str, Callable[[bytes, int], Stripped]] = {
    "JPEG": strip_jpeg,
    "MPO": strip_jpeg,
    "PNG": strip_png,
    "WEBP": strip_webp,
    "GIF": strip_gif,
    "BMP": strip_bmp,
    "TIFF": _encode_tiff,
}
