"""Undo the codings in which an answer was sent (gzip, deflate, br), within the byte limit.

Not for compression within a picture's own format: that is its content.
"""

import http
import http.client
import re
import zlib
from collections.abc import Sequence

import brotli

from stages.download.fetching.faults import Refused
from stages.images.formats import find_format

# Registered codings that are not read. Any other word in the header (identity, none, utf-8, …) means no coding:
# servers write such words before bodies that are not packed.
_UNREAD = frozenset({
    "aes128gcm", "bzip2", "compress", "dcb", "dcz", "exi", "lz4", "lzma", "pack200-gzip", "sdch", "snappy", "x-bzip2",
    "x-compress", "xz", "zstd",
})  # fmt: skip
_GZIP = ("gzip", "x-gzip")
_READ = (*_GZIP, "deflate", "x-deflate", "br")
_MAX_CODINGS = 8
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_MEMBERS = 1000
_PIECE_BYTES = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_MEMBER = b"\x1f\x8b\x08"
_WBITS_GZIP, _WBITS_ZLIB, _WBITS_RAW = 31, 15, -15
_TEXT = re.compile(rb"[\t\n\f\r -~\x80-\xff]*")  # a packed stream soon has a control character
_TEXT_BYTES = 512


class TooLarge(Refused):
    """A body that unpacks to more than the limit.

    Attributes:
        start: what was unpacked, cut at the limit.
    """

    def __init__(self, detail: str, start: bytes) -> None:
        super().__init__("body_too_large", detail)
        self.start = start


class ChunkedResponse(http.client.HTTPResponse):
    """An answer read in three ways beyond the standard library's.

    Interim answers (102, 103) are passed over; headers behind a line that is none count; and chunks are found although
    another transfer coding is named beside them ("gzip, chunked").
    """

    def begin(self) -> None:
        """Read the status and the headers."""
        super().begin()
        while http.HTTPStatus.SWITCHING_PROTOCOLS < self.status < http.HTTPStatus.OK:
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first answer
            super().begin()
        if self.headers.defects:
            self._take_lost_headers()
        transfer = _tokens(self.headers.get_all("Transfer-Encoding"))
        if transfer and transfer[-1] == "chunked" and not self.chunked and self.length != 0:
            self.chunked = True
            self.chunk_left = None
            self.length = None

    def _take_lost_headers(self) -> None:
        """Read the lines that the parser of mail headers took for a body, as browsers do."""
        names = {name.lower() for name in self.headers}
        lines = str(self.headers.get_payload()).splitlines()
        self.headers.set_payload("")
        for name, colon, value in (line.partition(":") for line in lines):
            if colon and _HEADER_NAME.fullmatch(name):
                self.headers[name] = value.strip(" \t")
        length = self.headers.get("Content-Length", "")
        if "content-length" not in names and self.length is None and length.isascii() and length.isdigit():
            self.length = int(length)


def codings_of(headers: http.client.HTTPMessage) -> list[str]:
    """Return the codings of a body in the order in which they were applied, without words that mean no coding."""
    named = [*_tokens(headers.get_all("Content-Encoding")), *_tokens(headers.get_all("Transfer-Encoding"))]
    return [name for name in named if name in _READ or name in _UNREAD]


def _tokens(values: Sequence[str] | None) -> list[str]:
    words = (word.partition(";")[0].strip(" \t\r\n\"'").lower() for value in values or () for word in value.split(","))
    return [word for word in words if word]


def unpack(body: bytes, codings: Sequence[str], max_bytes: int) -> bytes:
    """Return the body without its codings; one that is a picture, or for gzip a text, as it arrived stays as it is.

    Args:
        body: as it arrived, without the framing of chunks.
        codings: in the order in which they were applied.
        max_bytes: of the body after each step.

    Raises:
        Refused: body_too_large, truncated_body, broken_encoding or unknown_encoding.
    """
    for n, name in enumerate(reversed(codings)):
        if not body:
            return body
        try:
            if name in _UNREAD:
                raise Refused("unknown_encoding", f"packed by {name}; read are gzip, deflate and br")
            if n >= _MAX_CODINGS:
                raise Refused("broken_encoding", f"more than {_MAX_CODINGS} codings")
            body = _undo(name, body, max_bytes)
        except Refused as refused:
            # Servers name a coding and send the plain file.
            if refused.reason != "body_too_large" and find_format(body) is not None:
                return body
            raise
    if body.startswith(_GZIP_MEMBER):
        raise Refused(
            "broken_encoding", f"still packed by gzip; the headers name {' and '.join(codings) or 'no coding'}"
        )
    return body


def _undo(name: str, body: bytes, max_bytes: int) -> bytes:
    try:
        if name in _GZIP:
            if body.startswith(_GZIP_MAGIC):
                return _gunzip(body, max_bytes)
            if _is_text(body):
                return body  # as sent by servers that pack nothing: a page, or a robots.txt
            raise Refused("broken_encoding", f"body that is no {name}: starts with {body[:8]!r}")
        if name == "br":
            return _unbrotli(body, max_bytes)
        try:
            return _inflate(body, _WBITS_ZLIB, max_bytes)[0]
        except zlib.error:
            # Some servers send deflate without the frame of zlib that the standard asks for.
            data, n_read = _inflate(body, _WBITS_RAW, max_bytes)
            if n_read < len(body):
                raise zlib.error(f"{len(body) - n_read} bytes behind the end") from None
            return data
    except (zlib.error, brotli.error) as error:
        raise Refused("broken_encoding", f"body that is no {name}: {error}") from None


def _is_text(body: bytes) -> bool:
    return _TEXT.fullmatch(body, 0, _TEXT_BYTES) is not None


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    """Return the content of all members; trailing bytes that are no member are ignored, as by gzip itself."""
    data, position, n_members = b"", 0, 0
    while body.startswith(_GZIP_MAGIC, position):
        n_members += 1
        if n_members > _MAX_MEMBERS:
            raise Refused("broken_encoding", f"gzip of more than {_MAX_MEMBERS} members")
        try:
            more, position = _inflate(body, _WBITS_GZIP, max_bytes - len(data), position)
        except TooLarge as error:
            raise _too_large(max_bytes, data + error.start) from None
        data = data + more if data else more
    return data


def _inflate(body: bytes, wbits: int, max_bytes: int, start: int = 0) -> tuple[bytes, int]:
    """Return the content of one stream, and where it ends."""
    unpacker = zlib.decompressobj(wbits)
    data = bytearray()
    position = start
    while not unpacker.eof:
        # In pieces: zlib copies the remaining input at each call.
        piece = body[position : position + _PIECE_BYTES]
        if not piece:
            raise Refused("truncated_body", f"the packed body ends after {len(body)} bytes, before its end mark")
        data += unpacker.decompress(piece, max_bytes - len(data) + 1)
        if len(data) > max_bytes:
            raise _too_large(max_bytes, data)
        position += len(piece) - len(unpacker.unused_data)
    return bytes(data), position


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    unpacker = brotli.Decompressor()
    data = bytearray()
    for position in range(0, len(body), _PIECE_BYTES):
        piece = body[position : position + _PIECE_BYTES]
        data += unpacker.process(piece, output_buffer_limit=max_bytes - len(data) + 1)
        while len(data) <= max_bytes and not (unpacker.can_accept_more_data() or unpacker.is_finished()):
            data += unpacker.process(b"", output_buffer_limit=max_bytes - len(data) + 1)
        if len(data) > max_bytes:
            raise _too_large(max_bytes, data)
    if not unpacker.is_finished():
        raise Refused("truncated_body", f"the packed body ends after {len(body)} bytes, before its end mark")
    return bytes(data)


def _too_large(max_bytes: int, data: bytes | bytearray) -> TooLarge:
    return TooLarge(f"unpacks to more than {max_bytes} bytes", bytes(data[:max_bytes]))
