"""Read the files that were listed as pictures of evaluation sets."""

from pathlib import Path

from stages.contract import InputError
from stages.screen.decoding import Refused


def read_listed(path: Path, size_bytes: int) -> bytes | Refused:
    """Return the bytes of a listed file, or why it cannot be read.

    Raises:
        InputError: it has changed since it was listed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        return Refused("unreadable", str(error.strerror))
    if len(data) != size_bytes:
        raise InputError(f"{path} has {len(data)} bytes, but had {size_bytes} when listed: run the same command again")
    return data
