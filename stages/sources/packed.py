"""Hand out the bytes of a source file, packed with gzip or bzip2 or not at all.

Not for archives of several files, nor for what the bytes mean: that is for the readers.
"""

import bz2
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from stages.sources.batch import SourceFileError

BLOCK_BYTES = 1 << 22  # what is found in a block stays near the processor; 16 MiB took a third longer
_PIECE_BYTES = 1 << 16  # packed bytes that are unpacked at once; gzip makes at most a thousand times as many of them
_BZIP2_STEP_BYTES = 1 << 13  # what lies before a fault is lost up to this much: bzip2 cannot go back
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def read_bytes(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield what a file holds, unpacked where its name ends with .gz or .bz2; all that lies before a fault comes first.

    Args:
        path: the file.
        block_bytes: bytes that are read at once; of a packed file, the least that is yielded at once.

    Raises:
        SourceFileError: the file is missing, cannot be read, or its packed data are cut short or damaged.
    """
    waiting, n_waiting = [], 0
    fault: Exception | None = None
    try:
        with path.open("rb") as file:
            for piece in _pieces(file, path.suffix, block_bytes):
                waiting.append(piece)
                n_waiting += len(piece)
                if n_waiting >= block_bytes:
                    yield b"".join(waiting)
                    waiting, n_waiting = [], 0
    except (OSError, EOFError, zlib.error) as error:
        fault = error
    if n_waiting:
        yield b"".join(waiting)
    if fault is not None:
        found = getattr(fault, "strerror", None) or fault
        raise SourceFileError(
            f"{path}: expected a file that can be read to its end, found: {found};"
            " restore the file or its permissions, or download it again"
        ) from fault


def _pieces(file: BinaryIO, suffix: str, block_bytes: int) -> Iterator[bytes]:
    if suffix == ".gz":
        yield from _unpack(file, _Gzip)
    elif suffix == ".bz2":
        yield from _unpack(file, _Bzip2)
    else:
        while piece := file.read(block_bytes):
            yield piece


class _Member(Protocol):
    """One packed stream; a file may hold several, one behind the other."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield what the piece unpacks to."""

    def rest(self) -> bytes | None:
        """Return what of the last piece lies behind the end of the stream, None before its end."""


def _unpack(file: BinaryIO, begin: Callable[[], _Member]) -> Iterator[bytes]:
    member: _Member | None = begin()
    while piece := file.read(_PIECE_BYTES):
        while piece:
            if member is None:
                piece = piece.lstrip(b"\0")  # tape and block devices fill up with zeros
                if not piece:
                    break
                member = begin()
            yield from member.feed(piece)
            rest = member.rest()
            if rest is not None:
                member = None
            piece = rest or b""
    if member is not None:
        raise EOFError("the packed data end too early")


class _Gzip:
    """A stream of gzip; its checksum and length are checked at its end."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(_GZIP_WINDOW)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        before = self._unpacker.copy()
        try:
            unpacked = self._unpacker.decompress(piece)
        except zlib.error:
            # What the piece holds before the fault, and then the same fault again.
            for place in range(len(piece)):
                yield before.decompress(piece[place : place + 1])
            raise
        yield unpacked

    def rest(self) -> bytes | None:
        return self._unpacker.unused_data if self._unpacker.eof else None


class _Bzip2:
    """A stream of bzip2, unpacked in small steps."""

    def __init__(self) -> None:
        self._unpacker = bz2.BZ2Decompressor()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        yield self._unpacker.decompress(piece, _BZIP2_STEP_BYTES)
        while not (self._unpacker.eof or self._unpacker.needs_input):
            yield self._unpacker.decompress(b"", _BZIP2_STEP_BYTES)

    def rest(self) -> bytes | None:
        return self._unpacker.unused_data if self._unpacker.eof else None
