"""Repair files around intact pixels for decoding: drop broken side chunks, add a missing end.

A repair never changes pixels: a file with missing pixels is not repaired, and is refused. Published files are made by
strip_metadata instead.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator

from stages.images.png_pixels import PNG_SIGNATURE
from stages.images.tiff_tags import remove_side_tags

# The chunks of the first picture and the orientation. Animation chunks are dropped: the first frame is this picture.
PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")
PALETTE = 3  # a colour type
CLEAR_COLOUR_BYTES = {0: 2, 2: 6}  # length of tRNS, by the colour type
RAW_PROFILE = b"Raw profile type exif\0"
TEXT_LIMIT = 1 << 20  # bytes; PIL raises an error at this length of a text
EOI = b"\xff\xd9"
FILLING = bytes(16)  # the end of a file whose download reserved its space and stopped
# Bits to continue a scan with: if pixels are missing, at least one of these changes them. A scan cut between two
# intervals goes on only after a restart marker, of eight.
OTHER_ENDS = (
    *(bytes([pattern]) * 200 for pattern in (0x55, 0xAA, 0xFE, 0x93)),
    b"".join(bytes([0xFF, restart]) + b"\xaa" * 200 for restart in range(0xD0, 0xD8)),
)
MARKER = re.compile(rb"\xff\xff*([^\x00\xff])")  # neither stuffing nor fill; begins with a literal, which is fast
FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SOS, END = 0xDA, 0xD9
WITHOUT_BODY = {0x01, *range(0xD0, 0xDA)}
BMP_RLE = (1, 2)
# How the pixels of either kind begin, where libwebp checks it when it opens a file.
WEBP_PICTURES = {b"VP8 ": re.compile(rb"...\x9d\x01\x2a", re.DOTALL), b"VP8L": re.compile(rb"\x2f")}
WEBP_OTHERS = (b"VP8X", b"ICCP", b"ANIM", b"ALPH", b"EXIF", b"XMP ")
WEBP_FRAME_HEADER_BYTES = 16


def mend(data: bytes, image_format: str) -> bytes:
    """Return the bytes to decode; a JPEG's missing end is added later, when decoding finds it missing."""
    menders = {"PNG": remove_side_chunks, "TIFF": remove_side_tags, "WEBP": close_webp, "BMP": close_bmp}
    return menders[image_format](data) if image_format in menders else data


def remove_side_chunks(data: bytes) -> bytes:
    """Return a PNG with only the chunks that affect its pixels and its orientation.

    Ancillary chunks with a wrong checksum are skipped, as by libpng; PIL would refuse the file for these, and for a
    text or a profile above 1 MB.
    """
    kept, position, has_pixels = [PNG_SIGNATURE], len(PNG_SIGNATURE), False
    seen: set[bytes] = set()
    colour_type, n_colours = data[25] if len(data) > 25 else -1, 0
    while position + 8 <= len(data):
        n_bytes, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + n_bytes
        if end > len(data) or not kind.isalpha():
            if kind == b"IDAT" or not has_pixels:
                kept.append(data[position:])  # the decoder will refuse it
            break
        has_pixels = has_pixels or kind == b"IDAT"
        n_colours = n_bytes // 3 if kind == b"PLTE" else n_colours
        is_applied = kind != b"tRNS" or is_transparency_applied(n_bytes, colour_type, n_colours)
        if is_applied and _is_kept(kind, data[position:end], has_pixels, seen):
            kept.append(_scale_clear_grey(data, data[position:end]) if kind == b"tRNS" else data[position:end])
            seen.add(kind)
        if kind == b"IEND":
            break
        position = end
    return b"".join(kept)


def is_transparency_applied(n_bytes: int, colour_type: int, n_colours: int) -> bool:
    """Return whether decoders apply a tRNS chunk: libpng, and so browsers, skip one of another length.

    Args:
        n_bytes: length of its body.
        colour_type: as the header of the PNG states it.
        n_colours: colours of the palette before the chunk; 0 without a palette.
    """
    if colour_type == PALETTE:
        return 0 < n_bytes <= n_colours
    return n_bytes == CLEAR_COLOUR_BYTES.get(colour_type)


def _scale_clear_grey(data: bytes, chunk: bytes) -> bytes:
    """Return a tRNS chunk with the transparent grey level in 8 bits: PIL scales pixels of 2 and 4 bits, not this."""
    n_bits, colour_type = data[24], data[25]
    if colour_type != 0 or n_bits not in (2, 4) or len(chunk) != 14:
        return chunk
    (level,) = struct.unpack_from(">H", chunk, 8)
    body = b"tRNS" + struct.pack(">H", (level & ((1 << n_bits) - 1)) * (255 // ((1 << n_bits) - 1)))
    return chunk[:4] + body + struct.pack(">I", zlib.crc32(body))


def _is_kept(kind: bytes, chunk: bytes, has_pixels: bool, seen: set[bytes]) -> bool:
    is_profile = kind in (b"tEXt", b"zTXt") and chunk[8:].startswith(RAW_PROFILE)
    if kind not in PNG_KEPT and not is_profile:
        return False
    if kind[:1].isupper():
        return True
    is_late = kind == b"tRNS" and has_pixels
    is_sound = zlib.crc32(memoryview(chunk)[4:-4]) == int.from_bytes(chunk[-4:], "big")
    return is_sound and not is_late and kind not in seen and (not is_profile or _is_short_text(kind, chunk[8:-4]))


def _is_short_text(kind: bytes, body: bytes) -> bool:
    if kind == b"tEXt":
        return len(body) < TEXT_LIMIT
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(body[len(RAW_PROFILE) + 1 :], TEXT_LIMIT)
    except zlib.error:
        return False
    return inflater.eof and len(text) < TEXT_LIMIT


def close_webp(data: bytes) -> bytes:
    """Return the intact chunks of a WEBP that is shorter than it states or has a broken frame.

    The file is unchanged if it has neither fault, or no intact picture: libwebp opens no animation with a broken frame.
    """
    is_short = len(data) < 8 + int.from_bytes(data[4:8], "little")
    if not is_short and b"ANMF" not in data:
        return data
    position, kept, n_pictures, n_dropped = 12, [], 0, int(is_short)
    while position + 8 <= len(data):
        kind, n_bytes = struct.unpack_from("<4sI", data, position)
        end = position + 8 + n_bytes
        is_picture = kind in WEBP_PICTURES or (kind == b"ANMF" and is_whole_frame(data[position + 8 : end]))
        if end <= len(data) and (is_picture or kind in WEBP_OTHERS):
            kept.append(data[position:end] + b"\0" * (n_bytes % 2))
            n_pictures += is_picture
        else:
            n_dropped += 1
        position = end + n_bytes % 2
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body if n_pictures and n_dropped else data


def is_whole_frame(body: bytes) -> bool:
    """Return whether the body of an ANMF chunk has a picture and ends where its last chunk ends."""
    position, has_picture = WEBP_FRAME_HEADER_BYTES, False
    while position + 8 <= len(body):
        kind, n_bytes = struct.unpack_from("<4sI", body, position)
        signature = WEBP_PICTURES.get(kind)
        has_picture = has_picture or (signature is not None and signature.match(body, position + 8) is not None)
        position += 8 + n_bytes + n_bytes % 2
    return has_picture and position - 1 <= len(body) <= position


def close_bmp(data: bytes) -> bytes:
    """Return a BMP with the padding of its last row added, if nothing else is missing."""
    if len(data) < 54 or int.from_bytes(data[14:18], "little") < 40:
        return data
    start, width, height, n_bits, compression = struct.unpack_from("<I4xiixxHI", data, 10)
    row_bits = width * n_bits
    n_stored, n_used = (row_bits + 31) // 32 * 4, (row_bits + 7) // 8
    n_missing = start + n_stored * abs(height) - len(data)
    is_filling = compression not in BMP_RLE and width > 0 and 0 < n_missing <= n_stored - n_used
    return data + bytes(n_missing) if is_filling else data


def close_jpeg(data: bytes, digest: Callable[[bytes], str]) -> bytes | None:
    """Return a JPEG with its missing end marker added if its pixels are complete, else None.

    libjpeg silently invents missing pixels. So the file is decoded with several endings: if the pixels are complete,
    the ending changes none of them, and every component has reached its last bit.

    Args:
        data: a file that ends before the decoder finishes.
        digest: returns the digest of the pixels of such a file.
    """
    data = remove_filling(data).rstrip(b"\xff")
    closed = data + EOI
    return closed if has_all_scans(closed) and has_all_pixels(data, digest) else None


def has_all_pixels(data: bytes, digest: Callable[[bytes], str]) -> bool:
    """Return whether the pixels of a JPEG without its end marker are the same, however its last scan goes on.

    Arguments are as for close_jpeg.
    """
    found = digest(data + EOI)
    return all(digest(data + end + EOI) == found for end in OTHER_ENDS)


def remove_filling(data: bytes) -> bytes:
    """Return a JPEG's scan without the zeros behind it; one stays, since the last byte of a scan may be zero."""
    return data.rstrip(b"\0") + b"\0" if data.endswith(FILLING) else data


def walk_markers(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield code, place and body of each marker of a JPEG's first picture, its end marker included."""
    position = 2
    while marker := MARKER.search(data, position):
        code, position = marker[1][0], marker.end()
        n_bytes = 0 if code in WITHOUT_BODY else int.from_bytes(data[position : position + 2], "big")
        body = data[position + 2 : position + n_bytes]
        yield code, marker.start(), body
        if code == END:
            break
        position += 0 if code in WITHOUT_BODY else 2 + len(body)


def has_all_scans(data: bytes) -> bool:
    """Return whether the scans of a JPEG complete all 64 coefficients of each component to the last bit."""
    missing: dict[int, set[int]] = {}
    for code, _, body in walk_markers(data):
        if code in FRAMES and len(body) >= 6:
            missing = {component: set(range(64)) for component in body[6::3]}
        elif code == SOS and len(body) >= 4:
            components, (first, last, precision) = body[1:-3:2], body[-3:]
            for component in components if precision & 15 == 0 else b"":
                missing.get(component, set()).difference_update(range(first, last + 1))
    return bool(missing) and not any(missing.values())
