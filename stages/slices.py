"""The pilot slice: which rows or scenes belong to a share of a corpus, by hash; a larger share holds a smaller one.

Not for random sampling: the same URL is in or out in every corpus, file and run.
"""

import hashlib

import pyarrow as pa

_SALT = b"slice:"
_END = 1 << 64


def is_in_slice(texts: pa.Array | pa.ChunkedArray, share: float) -> pa.Array:
    """Return true for the texts whose hash is in the first `share` of all hashes.

    Args:
        texts: URLs or scene ids; null is false.
        share: in (0, 1].
    """
    return pa.array([text is not None and belongs(text, share) for text in texts.to_pylist()], pa.bool_())


def belongs(text: str, share: float) -> bool:
    """Return whether one text is in the slice."""
    digest = hashlib.sha256(_SALT + text.strip().encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < share * _END
