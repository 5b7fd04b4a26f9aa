"""Draws and encodes pictures for the tests of images."""

import io
import struct
import zlib

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
