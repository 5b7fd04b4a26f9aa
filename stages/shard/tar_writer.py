"""Write samples to a tar, with the same bytes as webdataset's TarWriter in a quarter of its time.

Not for reading tars or files: bodies are bytes and are written unchanged.
"""

import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

# webdataset.TarWriter's defaults, except for the time, so that two runs write the same bytes.
MODE, OWNER, GROUP = 0o444, "bigdata", "bigdata"
# Positions of the fields of a ustar header that differ between members (POSIX.1-1988).
NAME, SIZE, CHECKSUM = slice(0, 100), slice(124, 136), slice(148, 156)
PLAIN_NAME = tarfile.LENGTH_NAME
PLAIN_SIZE = 8**11  # bytes; a larger member has its size in an extended header


class TarWriter:
    """Writes samples as a context manager; leaving it writes the end of the tar, unless an error occurred."""

    def __init__(self, file: BinaryIO) -> None:
        """Begin a tar in a file that is open for writing."""
        self._file = file
        self._n_bytes = 0

    def __enter__(self) -> "TarWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._put(bytes(2 * tarfile.BLOCKSIZE))
            self._put(bytes(-self._n_bytes % tarfile.RECORDSIZE))

    def write(self, key: str, members: Mapping[str, bytes]) -> dict[str, int]:
        """Write a sample as members `key.name`, sorted by name; return the byte offset of each body in the tar."""
        offsets = {}
        for name in sorted(members):
            body = members[name]
            self._put(_header(f"{key}.{name}", len(body)))
            offsets[name] = self._n_bytes
            self._put(body)
            self._put(bytes(-len(body) % tarfile.BLOCKSIZE))
        return offsets

    def _put(self, data: bytes) -> None:
        self._n_bytes += self._file.write(data)


@contextmanager
def open_tar(path: Path | None) -> Iterator[TarWriter | None]:
    """Yield a writer of a new tar; None if no path is given."""
    if path is None:
        yield None
        return
    with path.open("wb") as file, TarWriter(file) as writer:
        yield writer


def _header(name: str, n_bytes: int) -> bytes:
    """Return the header blocks of a member."""
    if not name.isascii() or len(name) > PLAIN_NAME or n_bytes >= PLAIN_SIZE:
        return _full_header(name, n_bytes)
    header = bytearray(_TEMPLATE)
    header[NAME] = name.encode().ljust(PLAIN_NAME, b"\0")
    header[SIZE] = b"%011o\0" % n_bytes
    # The sum of all bytes, with the checksum itself counted as spaces.
    header[CHECKSUM] = b"%06o\0 " % (_TEMPLATE_SUM + sum(header[NAME]) + sum(header[SIZE]))
    return bytes(header)


def _full_header(name: str, n_bytes: int) -> bytes:
    """Return the standard library's header, with extended headers if a name or size needs them."""
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.uname, member.gname = n_bytes, MODE, OWNER, GROUP
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _blank(header: bytearray) -> bytearray:
    header[NAME], header[SIZE], header[CHECKSUM] = bytes(100), bytes(12), b" " * 8
    return header


_TEMPLATE = bytes(_blank(bytearray(_full_header("", 0))))
_TEMPLATE_SUM = sum(_TEMPLATE)
