"""The tar of a partition's rendered pictures. Not for images in files of their own, which stay there."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

from stages.contract import Context


class Pictures:
    """A plain tar of rendered images, begun with the first one; its bytes depend on them and their order alone."""

    def __init__(self, context: Context) -> None:
        self._files = context.files
        self._tar: tarfile.TarFile | None = None
        self.paths: tuple[Path, ...] = ()

    def __enter__(self) -> "Pictures":
        return self

    def __exit__(self, *error: object) -> None:
        if self._tar is not None:
            self._tar.close()

    def add(self, sample_id: str, jpeg: bytes) -> dict[str, Any]:
        """Append an image and return the columns that locate it."""
        if self._tar is None:
            self.paths = (self._files.new_file("pictures.tar"),)
            self._tar = tarfile.open(self.paths[0], "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        member = tarfile.TarInfo(f"{sample_id}.jpg")  # mtime, uid and gid are 0 and the mode is 0644 by default
        member.size = len(jpeg)
        offset = self._tar.offset + tarfile.BLOCKSIZE  # a ustar header is one block
        self._tar.addfile(member, io.BytesIO(jpeg))
        return {
            "n_bytes": len(jpeg),
            "body_sha256": hashlib.sha256(jpeg).hexdigest(),
            "body_file": self._files.address(self.paths[0]),
            "body_offset": offset,
        }
