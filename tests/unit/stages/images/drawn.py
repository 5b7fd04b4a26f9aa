"""Draws and encodes pictures for the tests of images."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image


def draw(mode: str = "RGB", width_px: int = 53, height_px: int = 41) -> Image.Image:
    random = np.random.default_rng(8)
    return Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8)).resize((width_px, height_px)).convert(mode)


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def segment(code: int, body: bytes) -> bytes:
    """Return a JPEG segment."""
    return struct.pack(">BBH", 0xFF, code, len(body) + 2) + body


TiffTags = Mapping[int, tuple[int, Sequence[int] | bytes]]


def write_tiff(entries: TiffTags, pieces: Sequence[bytes], order: str = "<") -> bytes:
    """Return a TIFF of one directory behind its pixels.

    Args:
        entries: type and values of each tag, by its number; 2 is a text, 3 is 16 bits, 4 is 32 bits. Those of strips
            (273 and 279) are added, unless they or those of tiles are given.
        pieces: the strips or tiles.
        order: of bytes, < or >.
    """
    places = [8 + sum(map(len, pieces[:n])) for n in range(len(pieces))]
    strips = {} if 324 in entries else {273: (4, places), 279: (4, [len(piece) for piece in pieces])}
    filled: TiffTags = {**strips, **entries}
    start = 8 + sum(map(len, pieces))
    directory, behind = struct.pack(order + "H", len(filled)), b""
    for tag, (code, values) in sorted(filled.items()):
        body = values if isinstance(values, bytes) else struct.pack(f"{order}{len(values)}{'HI'[code - 3]}", *values)
        place = struct.pack(order + "I", start + 6 + 12 * len(filled) + len(behind))
        directory += struct.pack(order + "HHI", tag, code, len(values))
        directory += body.ljust(4, b"\0") if len(body) <= 4 else place
        behind += body if len(body) > 4 else b""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    return head + b"".join(pieces) + directory + bytes(4) + behind
