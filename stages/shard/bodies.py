"""Makes the published file of a fetched body again and compares it with the one that screen approved."""

import hashlib
from collections.abc import Mapping
from typing import Any

from schemas.reasons import DETAIL_MAX_CHARACTERS
from stages.checks import check_body
from stages.contract import Dependency, Params
from stages.screen.decoding import decoder_identity
from stages.screen.strip_metadata import ENCODED_ANEW, strip_metadata
from stages.screen.stripping.result import UnpublishableImage

LOCATED = ("n_bytes", "body_sha256", "body_file", "body_offset")
PUBLICATION = ("image_format", "exif_orientation", "published_sha256", "published_n_bytes")


def strip_body(data: bytes, row: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the file to publish, and how it differs from the one that screen approved ("" if equal).

    If the published file has the digest that screen recorded, the body is proven too. The body itself is digested only
    before it is decoded, or if the digests differ, to say which of the two has changed.

    Raises:
        InputError: the bytes are not the body that was fetched.
    """
    if row["image_format"] in ENCODED_ANEW:
        check_body(data, row)  # decoded without the limits of screen's child
    try:
        published = strip_metadata(data, row["image_format"], row["exif_orientation"], row["published_n_bytes"]).data
        digest = hashlib.sha256(published).hexdigest()
    except UnpublishableImage as fault:
        published, digest = b"", str(fault)
    if digest == row["published_sha256"]:
        return published, ""
    check_body(data, row)
    return published, f"screen: {row['published_sha256']}; now: {digest}"[:DETAIL_MAX_CHARACTERS]


def _codecs(params: Params) -> Mapping[str, str]:
    return decoder_identity()


CODECS = Dependency("codecs", _codecs)  # the bytes of a re-encoded TIFF depend on them
