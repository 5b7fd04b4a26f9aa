"""The URL of an image in a released tar under SOURCES: where its bytes are, and their digest.

Nothing is fetched from such a URL: download takes the image's place from it.
"""

import re
from typing import NamedTuple

SCHEME = "sources:"
# No other file can be named: a URL of a corpus must not lead out of the released tars.
_LOCATED = re.compile(
    rf"{SCHEME}(?P<path>rs5m/(?:(?:train|val)/)?pub11-(?:train|val)-\d{{4}}\.tar)"
    r"\?offset=(?P<offset>\d{1,15})&n_bytes=(?P<n_bytes>\d{1,12})&sha256=(?P<sha256>[0-9a-f]{64})"
)


class Located(NamedTuple):
    """The place of an image.

    Attributes:
        path: of the tar, under SOURCES.
        offset: of the first byte in the tar.
        n_bytes: number of bytes.
        sha256: of the bytes.
    """

    path: str
    offset: int
    n_bytes: int
    sha256: str

    @property
    def url(self) -> str:
        """The URL that `parse_located` reads."""
        return f"{SCHEME}{self.path}?offset={self.offset}&n_bytes={self.n_bytes}&sha256={self.sha256}"


def parse_located(url: str) -> Located | None:
    """Return the place that a URL states; None if it is no such URL."""
    found = _LOCATED.fullmatch(url)
    if found is None:
        return None
    return Located(found["path"], int(found["offset"]), int(found["n_bytes"]), found["sha256"])
