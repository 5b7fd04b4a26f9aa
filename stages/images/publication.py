"""Decide at screen whether an image can be published, and as which bytes; runs in the decoding child.

Not for writing files: write_shards strips again and compares the digest.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from stages.images.strip_metadata import AS_JPEG, published_format, strip_metadata
from stages.images.stripping.result import UnpublishableImage

Facts = dict[str, Any]


def decide_publication(data: bytes, facts: Facts, decode: Callable[[bytes, str], Facts]) -> Facts:
    """Return digest, size and format of the file to publish, or a reason and its detail.

    Args:
        data: the file that was decoded.
        facts: what was found: format, exif_orientation, pixel_sha256.
        decode: returns the facts of a file of the named format, or a reason; asked only where a part was removed
            that may change decoding.
    """
    image_format = facts["format"]
    try:
        stripped = strip_metadata(data, image_format, facts["exif_orientation"])
    except UnpublishableImage as fault:
        return {"reason": "unpublishable_image", "detail": str(fault)}
    # A TIFF's pixels are encoded anew by this project's own encoder: they are near the original's, not equal to them.
    if stripped.doubts and image_format != "TIFF":
        again = decode(stripped.data, "JPEG" if image_format in AS_JPEG else image_format)
        if again.get("pixel_sha256") != facts["pixel_sha256"]:
            found = again.get("detail", "other pixels")
            return {"reason": "unpublishable_image", "detail": f"stripped of {'; '.join(stripped.doubts)}: {found}"}
    return {
        "published_sha256": hashlib.sha256(stripped.data).hexdigest(),
        "published_n_bytes": len(stripped.data),
        "published_format": published_format(image_format),
    }
