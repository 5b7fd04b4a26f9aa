"""The bytes that take the place of a destroyed picture, so that all others keep their places in the file.

A stage that reads them later rejects the picture. Nothing else has changed, so no derived row is computed again.
"""

_TEXT = b"destroyed by make gc PURGE=yes\n"
PURGED_DETAIL = "its bytes were destroyed by `make gc PURGE=yes`"


def stand_in(n_bytes: int) -> bytes:
    """Return the bytes that replace a body of this length."""
    return (_TEXT * (n_bytes // len(_TEXT) + 1))[:n_bytes]


def is_purged(data: bytes) -> bool:
    """Return whether a body, or the beginning of one, was destroyed; an empty one never was."""
    # The first bytes decide for any other body: a text of its length takes as long as its sha256.
    return bool(data) and data.startswith(_TEXT[: len(data)]) and data == stand_in(len(data))
