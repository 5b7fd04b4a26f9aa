"""Bodies as they arrive, written once into a tar and hashed on the way: img2dataset's writer and resizer.

Nothing is decoded. A URL without a body is left to the caller.
"""

import hashlib
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from stages.safety.hash_lists import md5_of

Resized = tuple[bytes, None, None, None, None, None]

# Positions of the fields of a ustar header that differ between members (POSIX.1-1988).
_NAME, _SIZE, _CHECKSUM = slice(0, 100), slice(124, 136), slice(148, 156)
_LARGEST_BYTES = 8**11 - 1


@dataclass(frozen=True)
class Body:
    """The location of a body in the tar, and its digests."""

    offset: int
    n_bytes: int
    sha256: str
    md5: str


def keep_bytes(stream: BinaryIO, blurring_bbox_list: object = None) -> Resized:
    """Return the body as it is, in the shape of img2dataset's resizer; sizes are left to the screen stage."""
    return stream.read(), None, None, None, None, None


class Spool:
    """One plain tar of bodies in order of arrival, named by fetch_id; img2dataset writes it from a single thread.

    The tar appears whole when `finish` is called, or not at all. Its bytes depend on the order of arrival: it is
    addressed by the offsets alone, and to sort it every body would have to be written twice.
    """

    def __init__(self, tar: Path, *, on_write: Callable[[int], None] | None, on_failure: Callable[[], None]) -> None:
        self._tar = tar
        self._draft = tar.with_name(tar.name + ".part")
        self._file = self._draft.open("wb", buffering=1 << 20)
        self._on_write = on_write
        self._on_failure = on_failure
        self._offset = 0
        self.bodies: dict[str, Body] = {}
        self.errors: dict[str, str] = {}
        self.failure: Exception | None = None

    def writer(self, *args: object) -> "SpoolWriter":
        """Return the writer of a shard; img2dataset calls this as its sample writer class."""
        return SpoolWriter(self)

    def add(self, fetch_id: str, body: bytes | None, error: str | None) -> None:
        """Take one result; an error of our own is kept, because img2dataset prints and drops a writer's exceptions."""
        if self.failure is not None:
            return
        try:
            if body is None:
                self.errors[fetch_id] = error or "no body and no error"
            else:
                self._write(fetch_id, body)
            if self._on_write is not None:
                self._on_write(len(self.bodies) + len(self.errors))
        except Exception as failure:
            self.failure = failure
            self._on_failure()

    def _write(self, fetch_id: str, body: bytes) -> None:
        self._put(_header(fetch_id, len(body)))
        offset = self._offset
        self._put(body)
        self._put(bytes(-len(body) % tarfile.BLOCKSIZE))
        self.bodies[fetch_id] = Body(offset, len(body), hashlib.sha256(body).hexdigest(), md5_of(body))

    def _put(self, data: bytes) -> None:
        self._offset += self._file.write(data)

    def finish(self) -> None:
        """End the tar and give it its name."""
        self._put(bytes(2 * tarfile.BLOCKSIZE))
        self._put(bytes(-self._offset % tarfile.RECORDSIZE))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._draft.replace(self._tar)

    def close(self) -> None:
        """Close the file, and remove it if it was not finished."""
        self._file.close()
        self._draft.unlink(missing_ok=True)


class SpoolWriter:
    """The part of img2dataset's sample writer that its downloader calls."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def write(self, img_str: bytes | None, key: str, caption: object, meta: Mapping[str, Any]) -> None:
        """Take one result; the fetch_id is the additional column, not the position."""
        self._spool.add(meta["fetch_id"], img_str, meta["error_message"])

    def close(self) -> None:
        """Do nothing: the spool outlives the shard."""


def _header(name: str, n_bytes: int) -> bytes:
    """Return the header of a member: mtime, uid and gid are 0, the mode is 0644.

    Raises:
        ValueError: the body is larger than a ustar header can state (8 GiB).
    """
    if n_bytes > _LARGEST_BYTES:
        raise ValueError(f"a body of {n_bytes} bytes; a tar of this form holds at most {_LARGEST_BYTES}")
    header = bytearray(_TEMPLATE)
    header[_NAME] = name.encode("ascii").ljust(tarfile.LENGTH_NAME, b"\0")
    header[_SIZE] = b"%011o\0" % n_bytes
    # The sum of all bytes, with the checksum itself counted as spaces.
    header[_CHECKSUM] = b"%06o\0 " % (_TEMPLATE_SUM + sum(header[_NAME]) + sum(header[_SIZE]))
    return bytes(header)


def _blank(header: bytearray) -> bytes:
    header[_NAME], header[_SIZE], header[_CHECKSUM] = bytes(100), bytes(12), b" " * 8
    return bytes(header)


_TEMPLATE = _blank(bytearray(tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)))
_TEMPLATE_SUM = sum(_TEMPLATE)
