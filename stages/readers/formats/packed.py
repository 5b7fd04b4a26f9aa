"""Read the bytes of a source file, plain or packed with gzip or bzip2, up to where it is damaged.

For archives of several files see `members.py`. Readers interpret the bytes.
"""

import bz2
import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from stages.readers.batch import SourceFileError

BLOCK_BYTES = 1 << 22  # a block stays in the cache; 16 MiB took a third longer
_PIECE_BYTES = 1 << 16
_PACKED_BYTES = 1 << 16  # bytes of bzip2 unpacked at once
_BZIP2_STEP_BYTES = 1 << 13  # maximum number of bytes lost before a fault: bzip2 cannot go back
FAULTS = (OSError, EOFError, zlib.error)


class Readable(Protocol):
    """An open file."""

    def read1(self, n_bytes: int, /) -> bytes:
        """Return up to n bytes from one read of the underlying file; b"" at the end."""


def read_bytes(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield the bytes of a file, unpacked if its name ends with .gz or .bz2; all bytes before a fault are yielded.

    Args:
        path: the file.
        block_bytes: bytes read at once; for a packed file, the minimum number yielded at once.

    Raises:
        SourceFileError: the file is missing or unreadable, or its packed data are cut short or damaged.
    """
    waiting, n_waiting = list[bytes](), 0
    fault: Exception | None = None
    try:
        for piece in _pieces(path, block_bytes):
            waiting.append(piece)
            n_waiting += len(piece)
            if n_waiting >= block_bytes:
                yield b"".join(waiting)
                waiting, n_waiting = [], 0
    except FAULTS as error:
        fault = error
    if n_waiting:
        yield b"".join(waiting)
    if fault is not None:
        found = getattr(fault, "strerror", None) or fault
        raise SourceFileError(
            f"{path}: expected a file that can be read to its end, found: {found};"
            " restore the file or its permissions, or download it again"
        ) from fault


def _pieces(path: Path, block_bytes: int) -> Iterator[bytes]:
    if path.suffix == ".gz":
        if not path.stat().st_size:
            raise EOFError("the packed data end too early")  # GzipFile does not notice
        yield from read_to_fault(partial(gzip.GzipFile, path), _PIECE_BYTES, FAULTS)
    elif path.suffix == ".bz2":
        with path.open("rb") as file:
            yield from _unpack_bzip2(file)
    else:
        yield from read_to_fault(lambda: path.open("rb"), block_bytes, FAULTS)


def read_to_fault(
    open_file: Callable[[], AbstractContextManager[Readable]], n_bytes: int, faults: tuple[type[Exception], ...]
) -> Iterator[bytes]:
    """Yield the bytes of a file; a fault is raised after the last byte before it.

    A failed read loses bytes that it has already unpacked, so they are read again one by one.

    Args:
        open_file: opens the file at its beginning.
        n_bytes: maximum number of bytes to read at once.
        faults: exceptions raised by a damaged file.
    """
    n_read = 0
    try:
        with open_file() as file:
            while piece := file.read1(n_bytes):
                n_read += len(piece)
                yield piece
        return
    except faults as error:
        fault = error
    try:
        with open_file() as file:
            while n_read:
                n_read -= len(file.read1(min(n_read, n_bytes)))
            if isinstance(file, zipfile.ZipExtFile):
                file.MIN_READ_SIZE = 1  # otherwise a fault loses bytes that were read ahead
            while byte := file.read1(1):
                yield byte
    except faults:
        pass
    raise fault


def _unpack_bzip2(file: BinaryIO) -> Iterator[bytes]:
    """Yield unpacked bytes of one or several streams. BZ2File takes a damaged second stream for the end."""
    unpacker: bz2.BZ2Decompressor | None = bz2.BZ2Decompressor()
    while piece := file.read(_PACKED_BYTES):
        while piece:
            if unpacker is None:
                piece = piece.lstrip(b"\0")  # tape and block devices pad with zeros
                if not piece:
                    break
                unpacker = bz2.BZ2Decompressor()
            yield unpacker.decompress(piece, _BZIP2_STEP_BYTES)
            while not (unpacker.eof or unpacker.needs_input):
                yield unpacker.decompress(b"", _BZIP2_STEP_BYTES)
            piece = unpacker.unused_data
            if unpacker.eof:
                unpacker = None
    if unpacker is not None:
        raise EOFError("the packed data end too early")
