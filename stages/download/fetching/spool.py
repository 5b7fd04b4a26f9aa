"""Bodies as they arrive, and the tar they become: img2dataset's writer and resizer, neither of which decodes.

Not for classification: what has no body is left to the caller.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

Resized = tuple[bytes, None, None, None, None, None]


@dataclass(frozen=True)
class Body:
    """The location of a body in the spool file, and its digest."""

    offset: int
    n_bytes: int
    sha256: str


def keep_bytes(stream: BinaryIO, blurring_bbox_list: object = None) -> Resized:
    """Return the body as it is, in the shape of img2dataset's resizer; sizes are left to the screen stage."""
    return stream.read(), None, None, None, None, None


class Spool:
    """One file of bodies in order of arrival; img2dataset writes into it from a single thread."""

    def __init__(self, path: Path, *, on_write: Callable[[int], None] | None, on_failure: Callable[[], None]) -> None:
        self._file = path.open("w+b")
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
        """Take one result; a failure of ours is kept, because img2dataset prints and forgets what a writer raises."""
        if self.failure is not None:
            return
        try:
            if body is None:
                self.errors[fetch_id] = error or "no body and no error"
            else:
                self._file.write(body)
                self.bodies[fetch_id] = Body(self._offset, len(body), hashlib.sha256(body).hexdigest())
                self._offset += len(body)
            if self._on_write is not None:
                self._on_write(len(self.bodies) + len(self.errors))
        except Exception as failure:
            self.failure = failure
            self._on_failure()

    def read(self, body: Body) -> bytes:
        """Return a body."""
        self._file.seek(body.offset)
        return self._file.read(body.n_bytes)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SpoolWriter:
    """The part of img2dataset's sample writer that its downloader calls."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def write(self, img_str: bytes | None, key: str, caption: object, meta: Mapping[str, Any]) -> None:
        """Take one result; the fetch_id is the additional column, not the position."""
        self._spool.add(meta["fetch_id"], img_str, meta["error_message"])

    def close(self) -> None:
        """Do nothing: the spool outlives the shard."""


def write_tar(spool: Spool, fetch_ids: Sequence[str], tar_path: Path) -> dict[str, int]:
    """Write the bodies into one plain tar, sorted by fetch_id, and return the offset of each one's data.

    The bytes depend on the bodies alone, not on the order of arrival; the file appears whole or not at all.
    """
    part = tar_path.with_name(tar_path.name + ".part")
    try:
        with part.open("wb") as file:
            offsets = _write_members(spool, sorted(fetch_ids), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(tar_path)
    finally:
        part.unlink(missing_ok=True)
    return offsets


def _write_members(spool: Spool, fetch_ids: Sequence[str], file: BinaryIO) -> dict[str, int]:
    """Write one member per id, in the given order, and return the offset of each one's data."""
    offsets: dict[str, int] = {}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for fetch_id in fetch_ids:
            body = spool.read(spool.bodies[fetch_id])
            member = tarfile.TarInfo(fetch_id)  # mtime, uid and gid are 0 and the mode is 0644 by default
            member.size = len(body)
            # A ustar header is one block; the data begins behind it.
            offsets[fetch_id] = tar.offset + tarfile.BLOCKSIZE
            tar.addfile(member, io.BytesIO(body))
    return offsets
