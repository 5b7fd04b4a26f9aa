"""Bodies of the generated world that screen must reject, by reason, and valid JPEGs to cut and pad.

Not for faults of the transfer (flows/demo/world/faults.py).
"""

import hashlib
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from flows.demo.world.images import decoded, jpeg, save
from flows.demo.world.views import draw_coast

_ATTEMPTS = 200


def damaged(reason: str, seed: int, number: int) -> tuple[bytes, str, str]:
    """Return a body with a fault, checked with PIL, its extension and its Content-Type; variants take turns."""
    variants = DAMAGED[reason]
    make, extension, content_type = variants[number % len(variants)]
    for attempt in range(_ATTEMPTS):
        body = make(seed, number + 10_000 * attempt) if attempt else make(seed, number)
        if reason not in ("truncated_image", "corrupt_image") or _load_fault(body) == reason:
            return body, extension, content_type
    raise RuntimeError(f"no body with the fault {reason} in {_ATTEMPTS} attempts")


def _load_fault(body: bytes) -> str:
    """Return the reject reason of a body that PIL opens but cannot load; "" if it loads."""
    with Image.open(io.BytesIO(body)) as image:
        try:
            image.load()
        except OSError as error:
            return "truncated_image" if "truncated" in str(error) else "corrupt_image"
    return ""


def plain_jpeg(seed: int, number: int) -> bytes:
    """Return a small valid JPEG, to be cut, padded or served where nothing should be fetched."""
    return jpeg(draw_coast(np.random.default_rng([seed, 1 << 20, number]), 160, 120))


def _plain_image(seed: int, number: int) -> Image.Image:
    return decoded(plain_jpeg(seed, number))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _blank_png(width: int, height: int, bits: int) -> bytes:
    """Return a black PNG, compressed in blocks of rows: PIL would need a byte of memory per pixel."""
    packer = zlib.compressobj(1)
    row, block = b"\0" * (1 + (width * bits + 7) // 8), 500
    parts = [packer.compress(row * min(block, height - top)) for top in range(0, height, block)]
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    data = b"".join(parts) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _broken_middle(image_format: str) -> Callable[[int, int], bytes]:
    """Return a function that overwrites the middle of an encoded image; headers and length stay correct."""

    def broken_middle(seed: int, number: int) -> bytes:
        image = _plain_image(seed, number)
        body = bytearray(save(image.quantize(64) if image_format == "GIF" else image, image_format))
        start = len(body) // 2
        body[start : start + 64] = hashlib.sha512(f"{seed}/{number}".encode()).digest()
        return bytes(body)

    return broken_middle


def _png_bad_stream(seed: int, number: int) -> bytes:
    """Return a PNG with correct checksums whose data is not a zlib stream."""
    header = struct.pack(">IIBBBBB", 64 + number, 64, 8, 0, 0, 0, 0)
    junk = hashlib.sha512(f"{seed}{number}".encode()).digest() * 20
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", junk) + _chunk(b"IEND", b"")


def _text(text: str) -> Callable[[int, int], bytes]:
    return lambda seed, number: text.replace("NUMBER", str(number)).encode()


def _cut(image_format: str, divisor: int = 3) -> Callable[[int, int], bytes]:
    def cut(seed: int, number: int) -> bytes:
        body = save(_plain_image(seed, number), image_format)
        return body[: len(body) // divisor]

    return cut


_HTML = "<!DOCTYPE html><html><head><title>Gone NUMBER</title></head><body>This picture has moved.</body></html>\n"
# Per reason: body, extension and Content-Type; some extensions and types are deliberately wrong.
DAMAGED: dict[str, tuple[tuple[Callable[[int, int], bytes], str, str], ...]] = {
    "empty_file": ((lambda seed, number: b"", "jpg", "image/jpeg"), (lambda seed, number: b"", "png", "image/png")),
    "not_an_image": (
        (_text(_HTML), "jpg", "image/jpeg"),
        (_text("picture NUMBER is not here\n"), "png", "image/png"),
        (_text("404 page not found: NUMBER\n"), "jpg", "image/jpeg"),
        (_text('{"error": "no such picture", "number": NUMBER}'), "webp", "application/json"),
        (_text(_HTML), "html", "text/html; charset=utf-8"),
    ),
    "format_not_allowed": (
        (lambda seed, number: save(_plain_image(seed, number), "ICO", sizes=[(64, 48)]), "ico", "image/x-icon"),
        (lambda seed, number: save(_plain_image(seed, number), "PCX"), "pcx", "image/x-pcx"),
        (lambda seed, number: save(_plain_image(seed, number), "PPM"), "jpg", "image/jpeg"),
    ),
    "truncated_image": ((_cut("JPEG"), "jpg", "image/jpeg"), (_cut("PNG"), "png", "image/png")),
    "corrupt_image": (
        (_broken_middle("PNG"), "png", "image/png"),
        (_png_bad_stream, "png", "image/png"),
        (_broken_middle("GIF"), "gif", "image/gif"),
    ),
    "too_many_pixels": (
        (lambda seed, number: _blank_png(9000 + number, 8000, 1), "png", "image/png"),
        (lambda seed, number: _blank_png(8001 + number, 8000, 8), "png", "image/png"),
        (lambda seed, number: _blank_png(20_000 + number, 20_000, 1), "png", "image/png"),
    ),
}  # fmt: skip
