"""Find the samples of a released tar, `KEY.img_name`, `KEY.img_content` and `KEY.caption`, with their offsets.

Headers are read here, not by tarfile: tarfile ends silently at a damaged header or at a tar cut between two members.
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

MEMBERS = ("img_name", "img_content", "caption")
_KNOWN = re.compile(rf"(.+)\.({'|'.join(MEMBERS)})", re.DOTALL)
_BLOCK = tarfile.BLOCKSIZE
_READ_BYTES = 1 << 22
_PAX_RECORD = re.compile(rb"(\d{1,9}) ([^=]+)=")
_MAX_HEADER_BYTES = 1 << 20  # limit for an extended header, which has a name
_NAMES = {b"path": "path", b"size": "size"}


# A member in a listing of files: the tar, the sample, and where its body begins.
_MEMBER_PATH = re.compile(r"(?P<tar>.+\.tar)/[^/]+@(?P<offset>\d+)\.(?:img_name|img_content|caption)")


class Body(NamedTuple):
    """Offset and size of a member's body in its tar, in bytes."""

    offset: int
    n_bytes: int


class TarDamage(ValueError):
    """A tar cannot be read beyond some byte; the message says which and why."""


@dataclass
class PackedSample:
    """Consecutive members with one key.

    Attributes:
        key: the members' common name without the ending; may contain slashes and dots.
        place: position among the tar's samples, from 0.
        bodies: bodies by ending, for the existing MEMBERS.
    """

    key: str
    place: int
    bodies: dict[str, Body] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The endings of the missing MEMBERS."""
        return [name for name in MEMBERS if name not in self.bodies]


def walk_samples(file: BinaryIO) -> Iterator[PackedSample]:
    """Yield the complete samples of an open tar, in order, up to a fault.

    A member with another ending belongs to the sample of its key and is not read.

    Raises:
        TarDamage: the tar ends without its end mark, or a header is damaged.
    """
    current: PackedSample | None = None
    n_samples = 0
    try:
        for name, body in _walk(file):
            key, ending = split_name(name)
            if current is None or key != current.key or ending in current.bodies:
                if current is not None:
                    yield current
                current, n_samples = PackedSample(key, n_samples), n_samples + 1
            if ending in MEMBERS and body is not None:
                current.bodies[ending] = body
    except TarDamage as damage:
        if current is None or current.missing:
            said = f"; its last sample, {current.key[:80]!r}, is incomplete" if current is not None else ""
            raise TarDamage(f"{damage}{said}") from None
        yield current
        raise
    if current is not None:
        yield current


def count_samples(path: Path) -> tuple[int, bool]:
    """Return the number of complete samples in a tar, and whether the whole tar is readable."""
    n_samples = 0
    with path.open("rb") as file:
        try:
            for _ in walk_samples(file):
                n_samples += 1
        except TarDamage:
            return n_samples, False
    return n_samples, True


def split_name(name: str) -> tuple[str, str]:
    """Split a member's name into key and ending: at one of the three endings, else at the file name's first dot."""
    if found := _KNOWN.fullmatch(name):
        return found[1], found[2]
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{folder}{slash}{stem}", ending


def split_member(path: str) -> tuple[str, int]:
    """Return the file of a listed path and the offset of its bytes; for a member of a tar this is the tar."""
    found = _MEMBER_PATH.fullmatch(path)
    return (found["tar"], int(found["offset"])) if found else (path, 0)


def read_listed(path: Path, n_bytes: int) -> Iterator[bytes]:
    """Yield the bytes of a listed path in blocks: the whole file, or n_bytes of the tar that a member is in.

    Raises:
        OSError: the file cannot be read.
    """
    name, offset = split_member(str(path))
    left = n_bytes if name != str(path) else None
    with Path(name).open("rb") as file:
        file.seek(offset)
        while block := file.read(_READ_BYTES if left is None else min(left, _READ_BYTES)):
            yield block
            left = None if left is None else left - len(block)


def read_body(file: BinaryIO, body: Body, n_bytes: int | None = None) -> bytes:
    """Return a member's body, or its first bytes."""
    file.seek(body.offset)
    return file.read(body.n_bytes if n_bytes is None else min(n_bytes, body.n_bytes))


def _walk(file: BinaryIO) -> Iterator[tuple[str, Body | None]]:
    """Yield name and body of each member except folders; None as body of links and devices."""
    end = file.seek(0, 2)
    at, extended = 0, dict[str, str]()
    while True:
        file.seek(at)
        block = file.read(_BLOCK)
        if len(block) < _BLOCK:
            raise TarDamage(f"the tar is cut short: it ends at byte {end} without an end mark")
        if not any(block):
            _check_end(file, at)
            return
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise TarDamage(f"damaged header at byte {at}: {error}") from None
        start = at + _BLOCK
        n_bytes = int(extended.get("size", header.size)) if header.isreg() else header.size
        if not 0 <= n_bytes <= end - start:
            raise TarDamage(f"the tar is cut short: {n_bytes} bytes of {header.name[:80]!r} expected at byte {start}")
        at = start + -(-n_bytes // _BLOCK) * _BLOCK
        if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            extended |= _extended(header, read_body(file, Body(start, min(n_bytes, _MAX_HEADER_BYTES))), at)
            continue
        if header.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            continue
        if not header.isdir():
            yield extended.get("path", header.name), Body(start, n_bytes) if header.isreg() else None
        extended = {}


def _extended(header: tarfile.TarInfo, data: bytes, at: int) -> dict[str, str]:
    """Return the name and size in an extended header."""
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    found: dict[str, str] = {}
    while data:
        record = _PAX_RECORD.match(data)
        n_bytes = int(record[1]) if record else 0
        if record is None or not record.end() < n_bytes <= len(data):
            raise TarDamage(f"damaged extended header before byte {at}")
        if record[2] in _NAMES:
            found[_NAMES[record[2]]] = data[record.end() : n_bytes - 1].decode("utf-8", "surrogateescape")
        data = data[n_bytes:]
    if not found.get("size", "0").isdecimal():
        raise TarDamage(f"damaged extended header before byte {at}: size {found['size'][:20]!r}")
    return found


def _check_end(file: BinaryIO, at: int) -> None:
    """Check that only zeros follow the end mark, since members after it would be lost silently."""
    while block := file.read(1 << 20):
        if any(block):
            raise TarDamage(f"members behind the end mark at byte {at}: two tars were joined, or blocks were lost")
