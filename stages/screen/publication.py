"""Decide whether an image can be published, and as which bytes; runs in the decoding child of screen.

Writes no files: write_shards strips again and compares the digest.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from stages.screen.strip_metadata import AS_JPEG, cut_loose_end, published_format, strip_metadata
from stages.screen.stripping.result import LOOSE_BYTES, Stripped, UnpublishableImage
from stages.screen.stripping.segments import Segment

Facts = dict[str, Any]


def decide_publication(
    data: bytes, facts: Facts, decode: Callable[[bytes, str], Facts], segments: Sequence[Segment] | None = None
) -> Facts:
    """Return digest, size and format of the file to publish, or a reason and its detail.

    Args:
        data: the file that was decoded.
        facts: format, exif_orientation and pixel_sha256 as found.
        decode: returns the facts on a file of the named format, or a reason; called only if a segment was removed
            that may affect decoding.
        segments: as for strip_metadata.
    """
    image_format = facts["format"]
    try:
        stripped = strip_metadata(data, image_format, facts["exif_orientation"], segments=segments)
    except UnpublishableImage as fault:
        return {"reason": "unpublishable_image", "detail": str(fault)}
    # A TIFF is re-encoded as JPEG: its pixels are near the original's, not equal to them.
    decoded_format = "JPEG" if image_format in AS_JPEG else image_format
    if stripped.doubts and image_format != "TIFF":
        again = decode(stripped.data, decoded_format)
        if again.get("pixel_sha256") != facts["pixel_sha256"]:
            found = again.get("detail", "other pixels")
            return {"reason": "unpublishable_image", "detail": f"stripped of {'; '.join(stripped.doubts)}: {found}"}
    published = _cut(stripped, lambda other: decode(other, decoded_format).get("pixel_sha256") == facts["pixel_sha256"])
    return {
        "published_sha256": hashlib.sha256(published).hexdigest(),
        "published_n_bytes": len(published),
        "published_format": published_format(image_format),
    }


def _cut(stripped: Stripped, is_same: Callable[[bytes], bool]) -> bytes:
    """Return the file cut after its pixels, if that does not change them."""
    if stripped.loose_end:
        return cut_loose_end(stripped, _find_end(stripped, is_same))
    return stripped.shorter if stripped.shorter and is_same(stripped.shorter) else stripped.data


def _find_end(stripped: Stripped, is_same: Callable[[bytes], bool]) -> int:
    """Return the length of the shortest file that has the same pixels, found by bisection.

    Most files have nothing to cut: they cost one decoding, the others about 16.
    """
    n_same, n_other = len(stripped.data), stripped.loose_end
    if is_same(cut_loose_end(stripped, n_same - LOOSE_BYTES)):
        while n_same - n_other > 1:
            middle = (n_same + n_other) // 2
            if is_same(cut_loose_end(stripped, middle)):
                n_same = middle
            else:
                n_other = middle
    return n_same
