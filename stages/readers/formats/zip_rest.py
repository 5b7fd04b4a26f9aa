"""Read the members of a zip with a missing or damaged directory, by the headers before their data.

Intact zips are read by zipfile.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_HEADER = struct.Struct("<4s5H3I2H")
_MAGIC = b"PK\3\4"
_STORED, _DEFLATED = 0, 8
_HAS_DESCRIPTOR = 8  # flag: sizes follow the data, in at most this number of bytes
_DESCRIPTOR_BYTES = 24
_PIECE_BYTES = 512  # maximum number of packed bytes lost before a fault


class _Scan:
    """A zip read from its beginning.

    Attributes:
        is_whole: whether the last member was complete.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.is_whole = file, True

    def header(self) -> tuple[str, Iterator[bytes]] | None:
        """Return the next member's name and bytes, or None if no header follows."""
        found = self._file.read(_HEADER.size)
        if len(found) < _HEADER.size or not found.startswith(_MAGIC):
            return None
        _, _, flags, method, _, _, _, n_bytes, _, n_name, n_extra = _HEADER.unpack(found)
        name = self._file.read(n_name).decode(errors="replace")
        self._file.seek(n_extra, 1)
        self.is_whole = False
        if method == _DEFLATED:
            return name, self._inflate(bool(flags & _HAS_DESCRIPTOR))
        return name, self._copy(n_bytes) if method == _STORED else iter(())

    def _inflate(self, has_descriptor: bool) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        while not unpacker.eof and (piece := self._file.read(_PIECE_BYTES)):
            try:
                yield unpacker.decompress(piece)
            except zlib.error:
                return
        if not unpacker.eof:
            return
        self._file.seek(-len(unpacker.unused_data), 1)
        if has_descriptor:
            ahead = self._file.read(_DESCRIPTOR_BYTES + len(_MAGIC))
            place = ahead.find(_MAGIC)
            self._file.seek((place if place >= 0 else len(ahead)) - len(ahead), 1)
        self.is_whole = True

    def _copy(self, n_bytes: int) -> Iterator[bytes]:
        while n_bytes and (piece := self._file.read(min(n_bytes, 1 << 16))):
            n_bytes -= len(piece)
            yield piece
        self.is_whole = not n_bytes


def scan_members(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield name and bytes of the members, up to the first one that is cut short or damaged.

    Checksums are not compared. A member's bytes must be read before the next member.
    """
    with path.open("rb") as file:
        scan = _Scan(file)
        while scan.is_whole and (member := scan.header()):
            yield member
            for _ in member[1]:
                continue
