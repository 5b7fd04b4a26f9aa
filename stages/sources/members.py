"""Read files as their corpora pack them, a chunk at a time: plain, in a zip, or in a gzipped tar. Nothing is unpacked.

Not for what is in them: that is for the readers.
"""

import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from stages.sources.batch import SourceFileError

CHUNK_BYTES = 1 << 18  # what is made of a chunk stays in the cache: four megabytes take half as long again
_TAR_BLOCK_BYTES = 512
_TAR_FILES = (b"0", b"\0")
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
_FAULTS = (
    OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip


class Member(NamedTuple):
    """A file, packed or not: what messages name it, and its bytes, to be taken before the next member's."""

    place: str
    chunks: Iterator[bytes]


def read_members(path: Path, pattern: str, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Member]:
    """Yield the file, or the members of an archive whose names fit, in the order of their names (tar: as they stand).

    Args:
        path: ends in .zip or .tar.gz where it is an archive.
        pattern: regular expression for the last part of a member's name.
        chunk_bytes: the most that is held at once.

    Raises:
        SourceFileError: the archive cannot be read, or has no such member; also raised by the chunks.
    """
    is_wanted = re.compile(pattern).fullmatch
    n_found = 0
    with _named(path):
        for member in _members(path, lambda name: is_wanted(name.rpartition("/")[2]) is not None, chunk_bytes):
            n_found += 1
            yield member
    if not n_found:
        raise SourceFileError(f"{path}: expected a file named {pattern} in it, found none; download it again")


def read_one(path: Path, pattern: str, chunk_bytes: int = CHUNK_BYTES) -> Member:
    """Return the file, or the one member of an archive whose name fits; a second one is a fault that the chunks raise.

    Raises:
        SourceFileError: raised by the chunks, as by those of `read_members`.
    """

    def chunks() -> Iterator[bytes]:
        for n_before, member in enumerate(read_members(path, pattern, chunk_bytes)):
            if n_before:
                raise SourceFileError(f"{path}: expected one file named {pattern} in it, found two; download it again")
            yield from member.chunks

    return Member(str(path), chunks())


def _members(path: Path, is_wanted: Callable[[str], bool], chunk_bytes: int) -> Iterator[Member]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if is_wanted(info.filename):
                    place = f"{path}/{info.filename}"
                    yield Member(place, _chunks(place, partial(archive.open, info), chunk_bytes))
    elif path.name.endswith((".tar.gz", ".tgz")):
        with gzip.open(path) as packed:
            yield from _tar_members(path, packed, is_wanted, chunk_bytes)
    else:
        yield Member(str(path), _chunks(path, lambda: path.open("rb"), chunk_bytes))


def _chunks(place: object, open_it: Callable[[], IO[bytes]], chunk_bytes: int) -> Iterator[bytes]:
    with _named(place), open_it() as file:
        while chunk := file.read(chunk_bytes):
            yield chunk


def _tar_members(
    path: Path, packed: gzip.GzipFile, is_wanted: Callable[[str], bool], chunk_bytes: int
) -> Iterator[Member]:
    # tarfile holds what a header calls a long name, whatever its size.
    while (header := packed.read(_TAR_BLOCK_BYTES)).strip(b"\0"):
        n_bytes = _tar_size(path, header)
        end = packed.tell() + n_bytes
        name = header[:100].rstrip(b"\0").decode(errors="replace")
        if header[156:157] in _TAR_FILES and is_wanted(name):
            yield Member(f"{path}/{name}", _tar_chunks(path, packed, end, chunk_bytes))
        for _ in _tar_chunks(path, packed, end + -n_bytes % _TAR_BLOCK_BYTES, chunk_bytes):
            continue
    while packed.read(chunk_bytes):  # gzip's checksum stands at the end
        continue


def _tar_size(path: Path, header: bytes) -> int:
    """Return the size of a member in bytes."""
    checksum, size = (_OCTAL.fullmatch(field) for field in (header[148:156], header[124:136]))
    # The checksum is taken with blanks in its own place.
    found = sum(header[:148]) + sum(header[156:]) + 8 * ord(" ")
    if checksum and size and int(checksum[1], 8) == found and len(header) == _TAR_BLOCK_BYTES:
        return int(size[1], 8)
    raise SourceFileError(f"{path}: expected a tar, found no header of one; download it again")


def _tar_chunks(path: Path, packed: gzip.GzipFile, end: int, chunk_bytes: int) -> Iterator[bytes]:
    """Yield what there is up to a place in the tar."""
    with _named(path):
        while (n_left := end - packed.tell()) > 0:
            chunk = packed.read(min(n_left, chunk_bytes))
            if not chunk:
                raise SourceFileError(f"{path}: expected a whole tar, found its end before; download it again")
            yield chunk


@contextmanager
def _named(place: object) -> Iterator[None]:
    """Raise what goes wrong with a file as SourceFileError."""
    try:
        yield
    except SourceFileError:
        raise
    except _FAULTS as error:
        found = getattr(error, "strerror", None) or error
        raise SourceFileError(
            f"{place}: expected a readable file, found: {found}; restore the file or its permissions"
        ) from error
