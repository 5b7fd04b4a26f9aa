"""Remove metadata from image files without touching their pixels: positions, dates, comments, thumbnails, XMP.

What changes how pixels look stays: colour profiles, transparency, animation, and the EXIF orientation by itself.
Not for judging images: bytes that screen has decoded come in, bytes to publish go out.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator

from stages.images.tiff_to_jpeg import encode_tiff_as_jpeg

AS_JPEG = dict.fromkeys(("JPEG", "MPO", "TIFF"), "jpg")
PUBLISHED_FORMAT = AS_JPEG | {"PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}
# PNG: critical chunks, and those that change how the pixels look (cICP is the newer kind of colour profile).
PNG_KEPT = b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT pHYs bKGD hIST sPLT acTL fcTL fdAT cICP".split()
WEBP_KEPT = (b"ICCP", b"ANIM", b"ALPH", b"VP8 ", b"VP8L")
WEBP_FRAME_KEPT = (b"ALPH", b"VP8 ", b"VP8L")
WEBP_EXIF_FLAG, WEBP_XMP_FLAG = 0x08, 0x04  # in the first byte of VP8X
# JPEG: 0xFF bytes, then a code that is neither stuffing nor fill. libjpeg skips what lies between markers.
JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])")
JPEG_SCAN_END = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
JPEG_KEPT = (set(range(0xC0, 0xD0)) - {0xC8}) | set(range(0xDB, 0xE0))  # frames and tables; 0xC8 is reserved
EOI, SOS, COM = 0xD9, 0xDA, 0xFE


class UnpublishableImage(ValueError):
    """The file's structure cannot be walked safely; the text says where it breaks."""


def published_format(image_format: str) -> str:
    """Return the file name extension an image of this format (PIL's name) is published under."""
    if image_format not in PUBLISHED_FORMAT:
        raise UnpublishableImage(f"expected one of {', '.join(PUBLISHED_FORMAT)}, found {image_format}")
    return PUBLISHED_FORMAT[image_format]


def strip_metadata(data: bytes, image_format: str) -> bytes:
    """Return the file without metadata: the same pixels, and the same bytes when stripped again.

    A TIFF alone is re-encoded, as tiff_to_jpeg.py says. The orientation is EXIF's (eXIf in PNG): one that only XMP
    or a PNG text chunk tells is lost, and viewers did not obey it.

    Args:
        data: the file as it was fetched.
        image_format: PIL's name of the format, as screen recorded it; the result is of published_format.

    Raises:
        UnpublishableImage: the structure is broken, or the format is not one that is published.
    """
    published_format(image_format)
    try:
        return STRIPPERS[image_format](data)
    except (struct.error, IndexError) as error:
        raise UnpublishableImage(f"{image_format} ends inside a structure: {error}") from error


def _require(is_met: bool, problem: str) -> None:
    if not is_met:
        raise UnpublishableImage(problem)


def _read_orientation(tiff: bytes) -> int:
    """Return the orientation tag of an EXIF block, 2 to 8; 1 where there is none or it means nothing."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    try:
        if order is None:
            return 1
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (n_tags,) = struct.unpack_from(f"{order}H", tiff, start)
        for n in range(n_tags):
            tag, kind, _, short = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * n)
            if tag == 0x0112:
                is_valid = kind == 3 and 1 <= short <= 8
                return short if is_valid else 1
    except struct.error:
        pass  # a broken EXIF block says nothing: viewers show the image as it lies
    return 1


def _write_orientation(orientation: int) -> bytes:
    """Return an EXIF block of one tag."""
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)


def _strip_jpeg(data: bytes) -> bytes:
    _require(data[:2] == b"\xff\xd8", "JPEG does not start with SOI")
    out = [data[:2]]
    seen: set[bytes] = set()
    position = 2
    while True:
        marker = JPEG_MARKER.search(data, position)
        # Some writers forget EOI; decoders supply it.
        code, position = (marker[1][0], marker.end()) if marker else (EOI, len(data))
        if code == EOI:
            _require(b"SOS" in seen, "JPEG has no scan")
            return b"".join([*out, b"\xff\xd9"])
        if 0xD0 <= code <= 0xD7 or code == 0x01:
            continue  # a restart outside of a scan, or TEM: no content
        (n_bytes,) = struct.unpack_from(">H", data, position)
        _require(n_bytes >= 2 and position + n_bytes <= len(data), f"JPEG segment 0x{code:02X} ends after the file")
        body, position = data[position + 2 : position + n_bytes], position + n_bytes
        kept = body if code in JPEG_KEPT or code == SOS else _strip_jpeg_segment(code, body, seen)
        if kept is not None:
            out.append(struct.pack(">BBH", 0xFF, code, len(kept) + 2) + kept)
        if code == SOS:
            seen.add(b"SOS")
            start, end = position, JPEG_SCAN_END.search(data, position)
            position = end.start() if end else len(data)
            out.append(data[start:position].rstrip(b"\xff"))  # in a scan such bytes are stuffed: these are fill


def _strip_jpeg_segment(code: int, body: bytes, seen: set[bytes]) -> bytes | None:
    """Return what stays of an application segment or comment; the first of each kind decides."""
    _require(0xE0 <= code <= 0xEF or code == COM, f"JPEG has an unknown segment 0x{code:02X}")
    if code == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
        return body
    kinds = {(0xE0, b"JFIF\0"): 14, (0xE1, b"Exif\0\0"): 6, (0xEE, b"Adobe"): 12}
    for (wanted, name), n_bytes in kinds.items():
        if code == wanted and body.startswith(name) and len(body) >= n_bytes and name not in seen:
            seen.add(name)
            if code == 0xE0:
                return body[:12] + b"\0\0"  # the size of the thumbnail, which is cut off
            if code == 0xEE:
                return body[:12]
            orientation = _read_orientation(body[6:])
            return name + _write_orientation(orientation) if orientation != 1 else None
    return None


def _strip_png(data: bytes) -> bytes:
    _require(data[:8] == b"\x89PNG\r\n\x1a\n", "PNG has no signature")
    out = [data[:8]]
    position = 8
    while True:
        n_bytes, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + n_bytes
        _require(end <= len(data), f"PNG chunk {kind!r} ends after the file")
        _require(kind in PNG_KEPT or bool(kind[0] & 0x20), f"PNG has an unknown critical chunk {kind!r}")
        if kind in PNG_KEPT:
            out.append(data[position:end])
        elif kind == b"eXIf":
            orientation = _read_orientation(data[position + 8 : end - 4])
            if orientation != 1:
                body = kind + _write_orientation(orientation)
                out.append(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
        if kind == b"IEND":
            return b"".join(out)
        position = end


def _walk_riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position < len(data):
        kind, n_bytes = struct.unpack_from("<4sI", data, position)
        _require(position + 8 + n_bytes <= len(data), f"WEBP chunk {kind!r} ends after its file")
        yield kind, data[position + 8 : position + 8 + n_bytes]
        position += 8 + n_bytes + n_bytes % 2


def _write_riff(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _strip_webp(data: bytes) -> bytes:
    _require(data[:4] == b"RIFF" and data[8:12] == b"WEBP", "WEBP has no RIFF header")
    (n_bytes,) = struct.unpack_from("<I", data, 4)
    _require(4 <= n_bytes <= len(data) - 8, "WEBP ends after its file")
    chunks = list(_walk_riff(data[12 : 8 + n_bytes]))
    _require(any(kind in (b"VP8 ", b"VP8L", b"ANMF") for kind, _ in chunks), "WEBP has no image")
    is_extended = chunks[0][0] == b"VP8X"  # without it decoders do not look for EXIF
    exif = next((body for kind, body in chunks if kind == b"EXIF" and is_extended), b"")
    orientation = _read_orientation(exif.removeprefix(b"Exif\0\0"))
    out = []
    for n, (kind, body) in enumerate(chunks):
        if kind == b"VP8X" and n == 0:
            flags = body[0] & ~(WEBP_EXIF_FLAG | WEBP_XMP_FLAG) | (WEBP_EXIF_FLAG if orientation != 1 else 0)
            out.append(_write_riff(kind, bytes([flags]) + body[1:10]))
        elif kind == b"ANMF":
            frame = [_write_riff(*chunk) for chunk in _walk_riff(body[16:]) if chunk[0] in WEBP_FRAME_KEPT]
            out.append(_write_riff(kind, body[:16] + b"".join(frame)))
        elif kind in WEBP_KEPT:
            out.append(_write_riff(kind, body))
    if orientation != 1:
        out.append(_write_riff(b"EXIF", _write_orientation(orientation)))
    return _write_riff(b"RIFF", b"WEBP" + b"".join(out))


def _strip_gif(data: bytes) -> bytes:
    _require(data[:6] in (b"GIF87a", b"GIF89a"), "GIF has no signature")
    position = 13 + _count_palette_bytes(data[10])
    out = [data[:position]]
    has_image = False
    while position < len(data) and data[position] != 0x3B:
        start, kind = position, data[position]
        if kind == 0x2C:
            # Descriptor, local palette and code size come before the blocks of pixels.
            position = _skip_blocks(data, position + 11 + _count_palette_bytes(data[position + 9]))
            out.append(data[start:position])
            has_image = True
        elif kind == 0x21:
            position = _skip_blocks(data, position + 2)
            if data[start + 1] == 0xF9:
                out.append(data[start:position])
            elif data[start + 1 : start + 16] == b"\xff\x0bNETSCAPE2.0\x03\x01":
                out.append(data[start : start + 18] + b"\0")
        else:
            _require(kind == 0, f"GIF has an unknown block 0x{kind:02X}")
            position += 1  # a stray terminator, which decoders skip
    _require(has_image, "GIF has no image")
    return b"".join([*out, b"\x3b"])


def _count_palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(data: bytes, position: int) -> int:
    while n_bytes := data[position]:
        position += 1 + n_bytes
    return position + 1


def _keep_bmp(data: bytes) -> bytes:
    _require(data[:2] == b"BM" and len(data) >= 26, "BMP has no header")
    return data


def _encode_tiff(data: bytes) -> bytes:
    if data[:3] == b"\xff\xd8\xff":
        return _strip_jpeg(data)  # stripped before
    try:
        encoded = encode_tiff_as_jpeg(data)
    except MemoryError:
        raise
    except Exception as error:  # whatever else PIL raises is a property of the bytes
        raise UnpublishableImage(f"TIFF cannot be re-encoded: {type(error).__name__}: {error}") from error
    return _strip_jpeg(encoded)


STRIPPERS: dict[str, Callable[[bytes], bytes]] = {
    "JPEG": _strip_jpeg,
    "MPO": _strip_jpeg,
    "PNG": _strip_png,
    "WEBP": _strip_webp,
    "GIF": _strip_gif,
    "BMP": _keep_bmp,
    "TIFF": _encode_tiff,
}
