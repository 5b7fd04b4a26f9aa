"""Re-encode a TIFF as JPEG for publishing; no other format is re-encoded.

Screen calls it in the guarded child; write_shards calls it again for bytes with the digest that screen recorded.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from stages.images.first_picture import load_first
from stages.images.shown import show

JPEG_QUALITY = 95  # the default of OpenCV, and so of img2dataset


def encode_tiff_as_jpeg(data: bytes) -> bytes:
    """Return the first page, turned upright, as RGB JPEG of the picture that models see.

    Transparent pixels are shown over white, deep samples stretched over their own range; a colour profile of RGB
    pixels is kept. The same libraries give the same bytes.

    Raises:
        Exception: whatever PIL raises on these bytes.
    """
    with _any_size():
        image = load_first(data, "TIFF")
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
    profile = profile if isinstance(profile, bytes) else None  # a tag of another type is not a profile
    encoded = io.BytesIO()
    show(image).save(encoded, "JPEG", quality=JPEG_QUALITY, icc_profile=profile)
    return encoded.getvalue()


@contextmanager
def _any_size() -> Iterator[None]:
    """Lift PIL's limit on pixels: screen checked the size of these bytes, by a higher limit for labelled images."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
