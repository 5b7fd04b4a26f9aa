"""Whether a build folder can be written, and what to do if not. Not for a full disk: that is `disk.py`."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

from flows.ledger.disk import is_disk_full
from stages.contract import InputError

REMEDY = "name a folder on another disk with BUILD=…, or make this one writable"
_CODES = (errno.EROFS, errno.EACCES, errno.EPERM)


class NotWritableError(InputError):
    """A build folder cannot be written: on a read-only disk, below a file, or owned by somebody else."""

    def __init__(self, build: Path, error: OSError) -> None:
        super().__init__(f"{build} cannot be written ({error.strerror}): {REMEDY}")


def is_refused(error: OSError, build: Path) -> bool:
    """Return whether an error of the system says that a build folder, or a path in it, must not be written."""
    return error.errno in _CODES and Path(error.filename or build).absolute().is_relative_to(build.absolute())


def why_not_writable(build: Path, mark: str) -> str:
    """Return the system's reason why a build folder can be neither made nor written, "" if it can; nothing is left.

    Args:
        build: the folder, which need not exist.
        mark: name of a file that each command opens for writing there, if the folder exists.
    """
    folder = build
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        if (build / mark).exists():
            (build / mark).open("a").close()
    except OSError as error:
        return "" if is_disk_full(error) else str(error.strerror)
    return ""
