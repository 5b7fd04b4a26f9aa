"""Read files one chunk at a time: plain, in a zip, or in a gzipped tar. Nothing is unpacked to disk.

Readers interpret the content.
"""

import gzip
import lzma
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

from stages.readers.batch import SourceFileError
from stages.readers.formats import packed
from stages.readers.formats.zip_rest import scan_members

CHUNK_BYTES = 1 << 18  # a chunk and its results stay in the cache: four megabytes take 1.5 times as long
_TAR_BLOCK_BYTES = 512
_TAR_FILES = (b"0", b"\0")
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
_FAULTS = (
    *packed.FAULTS, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, struct.error,
    OverflowError,
)  # fmt: skip


class Member(NamedTuple):
    """A file, packed or not: its name in messages, and its bytes, which must be read before the next member."""

    place: str
    chunks: Iterator[bytes]


def read_members(path: Path, pattern: str, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Member]:
    """Yield the file, or the members of an archive with matching names, ordered by name (in a tar by position).

    Hidden members, such as the copies of names that macOS adds (`__MACOSX/._a_2017.json`), are passed over.

    Args:
        path: ends with .zip or .tar.gz if it is an archive.
        pattern: regular expression for the base name of a member.
        chunk_bytes: maximum number of bytes in memory.

    Raises:
        SourceFileError: the archive cannot be read, or has no such member; may also be raised while reading chunks.
    """
    is_wanted = re.compile(rf"(?!\.)(?:{pattern})").fullmatch
    n_found = 0
    with _named(path):
        for member in _members(path, lambda name: is_wanted(name.rpartition("/")[2]) is not None, chunk_bytes):
            n_found += 1
            yield member
    if not n_found:
        raise SourceFileError(f"{path}: expected a file named {pattern} in it, found none; download it again")


def read_one(path: Path, pattern: str, chunk_bytes: int = CHUNK_BYTES) -> Member:
    """Return the file, or the only matching member of an archive; the chunks raise an error if there is a second one.

    Raises:
        SourceFileError: raised by the chunks, as in `read_members`.
    """

    def chunks() -> Iterator[bytes]:
        for n_before, member in enumerate(read_members(path, pattern, chunk_bytes)):
            if n_before:
                raise SourceFileError(f"{path}: expected one file named {pattern} in it, found two; download it again")
            yield from member.chunks

    return Member(str(path), chunks())


def _members(path: Path, is_wanted: Callable[[str], bool], chunk_bytes: int) -> Iterator[Member]:
    if path.suffix == ".zip":
        yield from _zip_members(path, is_wanted, chunk_bytes)
    elif path.name.endswith((".tar.gz", ".tgz")):
        yield from _tar_members(path, is_wanted, chunk_bytes)
    else:
        yield Member(str(path), _chunks(path, lambda: path.open("rb"), chunk_bytes))


def _chunks(
    place: object, open_file: Callable[[], AbstractContextManager[packed.Readable]], chunk_bytes: int
) -> Iterator[bytes]:
    with _named(place):
        yield from packed.read_to_fault(open_file, chunk_bytes, _FAULTS)


def _zip_members(path: Path, is_wanted: Callable[[str], bool], chunk_bytes: int) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except _FAULTS:  # the directory is at the end
        for name, chunks in scan_members(path):
            if is_wanted(name):
                yield Member(f"{path}/{name}", chunks)
        raise
    with archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            place = f"{path}/{info.filename}"
            if is_wanted(info.filename):
                yield Member(place, _chunks(place, partial(_open, archive, info), chunk_bytes))
            elif (fault := _fault_of(archive, info, place)) is not None:
                yield Member(place, _raise(fault))


def _open(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> zipfile.ZipExtFile:
    return cast(zipfile.ZipExtFile, archive.open(info))


def _fault_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> SourceFileError | None:
    """Return why an unwanted member may be a wanted one: its two names in the archive differ."""
    try:
        with _named(place):
            archive.open(info).close()
    except SourceFileError as error:
        return error
    return None


def _raise(fault: SourceFileError) -> Iterator[bytes]:
    yield b""
    raise fault


class _Tar:
    """The bytes of a gzipped tar, read once from beginning to end."""

    def __init__(self, path: Path, chunk_bytes: int) -> None:
        self._blocks = packed.read_to_fault(partial(gzip.GzipFile, path), chunk_bytes, _FAULTS)
        self._block, self.n_read = b"", 0

    def read(self, n_bytes: int) -> bytes:
        """Return up to n bytes; b"" only at the end."""
        if not self._block:
            self._block = next(self._blocks, b"")
        found, self._block = self._block[:n_bytes], self._block[n_bytes:]
        self.n_read += len(found)
        return found

    def header(self) -> bytes:
        """Return the next header, which may be cut off."""
        found = b""
        while len(found) < _TAR_BLOCK_BYTES and (more := self.read(_TAR_BLOCK_BYTES - len(found))):
            found += more
        return found


def _tar_members(path: Path, is_wanted: Callable[[str], bool], chunk_bytes: int) -> Iterator[Member]:
    # tarfile loses the buffer before a cut, and reads a long name of any size into memory.
    tar = _Tar(path, chunk_bytes)
    while (header := tar.header()).strip(b"\0"):
        n_bytes = _tar_size(path, header)
        end = tar.n_read + n_bytes
        name = header[:100].rstrip(b"\0").decode(errors="replace")
        if header[156:157] in _TAR_FILES and is_wanted(name):
            yield Member(f"{path}/{name}", _tar_chunks(path, tar, end, chunk_bytes))
        for _ in _tar_chunks(path, tar, end + -n_bytes % _TAR_BLOCK_BYTES, chunk_bytes):
            continue
    while tar.read(chunk_bytes):  # gzip's checksum is at the end
        continue


def _tar_size(path: Path, header: bytes) -> int:
    """Return the size of a member in bytes."""
    checksum, size = (_OCTAL.fullmatch(field) for field in (header[148:156], header[124:136]))
    # The checksum is computed with spaces in its own field.
    found = sum(header[:148]) + sum(header[156:]) + 8 * ord(" ")
    if checksum and size and int(checksum[1], 8) == found and len(header) == _TAR_BLOCK_BYTES:
        return int(size[1], 8)
    raise SourceFileError(f"{path}: expected a tar, found no header of one; download it again")


def _tar_chunks(path: Path, tar: _Tar, end: int, chunk_bytes: int) -> Iterator[bytes]:
    """Yield the bytes up to a position in the tar."""
    with _named(path):
        while (n_left := end - tar.n_read) > 0:
            chunk = tar.read(min(n_left, chunk_bytes))
            if not chunk:
                raise SourceFileError(f"{path}: expected a complete tar, found its end before; download it again")
            yield chunk


@contextmanager
def _named(place: object) -> Iterator[None]:
    """Raise errors of a file as SourceFileError."""
    try:
        yield
    except SourceFileError:
        raise
    except _FAULTS as error:
        found = getattr(error, "strerror", None) or error
        raise SourceFileError(
            f"{place}: expected a readable file, found: {found}; restore the file or its permissions"
        ) from error
