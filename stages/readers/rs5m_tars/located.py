"""URLs of images in released tars under SOURCES, with the location and digest of their bytes.

Such a URL is not requested: download takes the image's location from it.
"""

import re
from typing import NamedTuple

SCHEME = "sources:"
# Only released tars can be named: a corpus's URL must not lead to another file.
_LOCATED = re.compile(
    rf"{SCHEME}(?P<path>rs5m/(?:(?:train|val)/)?pub11-(?:train|val)-\d{{4}}\.tar)"
    r"\?offset=(?P<offset>\d{1,15})&n_bytes=(?P<n_bytes>\d{1,12})&sha256=(?P<sha256>[0-9a-f]{64})"
)


class Located(NamedTuple):
    """The location of an image.

    Attributes:
        path: path of the tar under SOURCES.
        offset: offset of the first byte in the tar.
        n_bytes: number of bytes.
        sha256: sha256 of the bytes, in hex.
    """

    path: str
    offset: int
    n_bytes: int
    sha256: str

    @property
    def url(self) -> str:
        """The location as a URL, for `parse_located`."""
        return f"{SCHEME}{self.path}?offset={self.offset}&n_bytes={self.n_bytes}&sha256={self.sha256}"


def parse_located(url: str) -> Located | None:
    """Return the location in a URL; None for another URL."""
    found = _LOCATED.fullmatch(url)
    if found is None:
        return None
    return Located(found["path"], int(found["offset"]), int(found["n_bytes"]), found["sha256"])
