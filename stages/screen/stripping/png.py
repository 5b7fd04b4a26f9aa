"""Strip a PNG: pixels, palette, transparency, colour space and animation stay; texts, dates and private chunks go."""

import struct
import zlib
from collections.abc import Iterator

from stages.images.mending import PALETTE, is_transparency_applied
from stages.images.png_pixels import end_stream
from stages.screen.stripping.result import Stripped, cut_profile, require, write_orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The lengths that the standard allows: decoders skip chunks of other lengths.
LENGTHS = {
    b"IHDR": (13,),
    b"gAMA": (4,),
    b"cHRM": (32,),
    b"sRGB": (1,),
    b"cICP": (4,),
    b"sBIT": (1, 2, 3, 4),
    b"bKGD": (1, 2, 6),
    b"pHYs": (9,),
    b"acTL": (8,),
    b"fcTL": (26,),
}
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ANIMATION = (b"acTL", b"fcTL", b"fdAT")
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
PROFILE_LIMIT = 1 << 20  # bytes; PIL refuses to open a file with a larger profile, so it is dropped
INFLATED_AT_ONCE = 1 << 18

Chunk = tuple[bytes, bytes]


def strip_png(data: bytes, orientation: int) -> Stripped:
    """Return the file with the chunks that affect its pixels, with new checksums."""
    require(data[:8] == SIGNATURE, "PNG has no signature")
    doubts: list[str] = []
    kept: list[Chunk] = []
    colour_type = -1
    is_animation_sound = True
    for kind, body, is_sound in _walk(data, doubts):
        if kind == b"IHDR" and not kept and len(body) == 13:
            colour_type = body[9]
        if colour_type < 0:
            doubts.append("a chunk before IHDR")
            continue
        if not is_sound and kind in PIXEL_CHUNKS:
            doubts.append(f"a wrong checksum in {kind.decode()}")
        n_colours = next((len(b) // 3 for k, b in kept if k == b"PLTE"), 0)
        body = _keep(kind, body, is_sound or kind in (b"IHDR", b"PLTE", b"IDAT"), colour_type, n_colours)
        is_late = any(k == b"IDAT" for k, _ in kept) and kind not in (b"IDAT", *ANIMATION)
        is_repeated = kind not in (b"IDAT", b"fcTL", b"fdAT") and any(k == kind for k, _ in kept)
        if body and not is_late and not is_repeated:
            if kind == b"IDAT" and kept[-1][0] != kind and any(k == kind for k, _ in kept):
                doubts.append("IDAT chunks apart")
            kept.append((kind, body))
        elif kind in PIXEL_CHUNKS and (body or kind != b"PLTE"):
            doubts.append(f"{kind.decode()} that is late, repeated or of the wrong length")
        elif kind in ANIMATION:
            is_animation_sound = False
    require(bool(kept), "PNG has no header")
    require(any(kind == b"IDAT" for kind, _ in kept), "PNG has no pixels")
    kinds = [kind for kind, _ in kept]
    if not is_animation_sound or kinds.count(b"acTL") != 1 or b"fcTL" not in kinds:
        kept = [(kind, body) for kind, body in kept if kind not in ANIMATION]
    kept = _cut_pixels(kept)
    if orientation != 1:
        kept.insert(1, (b"eXIf", write_orientation(orientation)))
    return Stripped(SIGNATURE + b"".join(_write(*chunk) for chunk in [*kept, (b"IEND", b"")]), tuple(doubts))


def _walk(data: bytes, doubts: list[str]) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield type, body and whether the checksum is right, for each chunk up to IEND.

    Decoders stop reading when the pixels are complete: a fault after the first IDAT ends the walk, with a doubt.
    """
    position, has_pixels = 8, False
    while True:
        n_bytes, kind = struct.unpack_from(">I4s", data, position) if position + 8 <= len(data) else (0, b"")
        start, end = position + 8, position + 8 + n_bytes
        problem = ""
        if not kind.isalpha() or end + 4 > len(data):
            problem = f"PNG chunk {kind!r} ends after the file"
        elif kind not in (b"IHDR", b"PLTE", b"IDAT", b"IEND") and kind[:1].isupper():
            problem = f"PNG has an unknown critical chunk {kind!r}"
        has_pixels = has_pixels or kind == b"IDAT"
        if problem and has_pixels:
            doubts.append(problem)
            if kind == b"IDAT":
                yield kind, data[start:end], True
            return
        require(not problem, problem)
        if kind == b"IEND":
            return
        checksum = zlib.crc32(memoryview(data)[position + 4 : end])
        yield kind, data[start:end], checksum == int.from_bytes(data[end : end + 4], "big")
        position = end + 4


def _keep(kind: bytes, body: bytes, is_sound: bool, colour_type: int, n_colours: int) -> bytes:
    """Return the kept body of a chunk; b"" if the chunk is dropped."""
    if not is_sound:
        return b""  # libpng skips ancillary chunks with a wrong checksum
    if kind == b"IDAT":
        return body
    if kind == b"PLTE":  # with other colour types it is only a suggestion
        return body if colour_type == PALETTE and len(body) % 3 == 0 and len(body) <= 768 else b""
    if kind == b"tRNS":
        return body if is_transparency_applied(len(body), colour_type, n_colours) else b""
    if kind == b"iCCP":
        return _keep_profile(body)
    if kind == b"fdAT":
        return body if len(body) > 4 else b""
    return body if len(body) in LENGTHS.get(kind, ()) else b""


def _keep_profile(body: bytes) -> bytes:
    """Return a colour profile under a neutral name; b"" if it is not a profile, or is followed by other data."""
    _, _, packed = body.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(packed[1:], PROFILE_LIMIT)
    except zlib.error:
        return b""
    is_whole = inflater.eof and not inflater.unused_data and cut_profile(profile) == profile
    return b"icc\0" + packed if profile and is_whole and packed[:1] == b"\0" else b""


def _cut_pixels(chunks: list[Chunk]) -> list[Chunk]:
    """Return the chunks with data after the compressed pixels cut from the last IDAT or fdAT of a picture.

    A wrong sum of the first picture is corrected: many decoders refuse such a file.
    """
    n_expected = _count_pixel_bytes(chunks[0][1])
    pictures: list[list[int]] = [[]]  # indices of a picture's chunks; fdAT begins with 4 more bytes
    for n, (kind, _) in enumerate(chunks):
        if kind == b"fcTL":
            pictures.append([])
        elif kind in (b"IDAT", b"fdAT"):
            pictures[-1].append(n)
    cut = list(chunks)
    for picture in pictures:
        n_before = [4 if chunks[n][0] == b"fdAT" else 0 for n in picture]
        bodies = [chunks[n][1][b:] for n, b in zip(picture, n_before, strict=True)]
        try:
            n_behind = _count_bytes_behind(bodies, n_expected)
        except zlib.error:
            if ended := end_stream(b"".join(bodies), n_expected) if chunks[picture[0]][0] == b"IDAT" else None:
                for n in picture:
                    cut[n] = (b"IDAT", b"")
                cut[picture[0]] = (b"IDAT", ended)
            continue
        for n, b in zip(reversed(picture), reversed(n_before), strict=True):
            kind, body = chunks[n]
            n_cut = min(n_behind, len(body) - b)
            n_behind -= n_cut
            cut[n] = (kind, body[: len(body) - n_cut])
    empty = ((b"IDAT", 0), (b"fdAT", 4))
    return [chunk for chunk in cut if (chunk[0], len(chunk[1])) not in empty]


def _count_bytes_behind(bodies: list[bytes], n_expected: int) -> int:
    """Return how many bytes follow the compressed pixels; 0 if these do not end.

    Raises:
        zlib.error: they do not inflate, or have a wrong sum.
    """
    inflater = zlib.decompressobj()
    n_inflated = 0
    for n, body in enumerate(bodies):
        rest = body
        while rest and not inflater.eof:
            n_inflated += len(inflater.decompress(rest, INFLATED_AT_ONCE))
            if n_inflated > n_expected:
                return 0  # the stream holds more than pixels, perhaps endlessly
            rest = inflater.unconsumed_tail
        if inflater.eof:
            return len(inflater.unused_data) + sum(map(len, bodies[n + 1 :]))
    return 0


def _count_pixel_bytes(header: bytes) -> int:
    """Return the maximum number of bytes of the pixels: each row has a filter byte, an interlaced image 7 passes."""
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    row_bits = width * header[8] * CHANNELS.get(header[9], 4)
    return (row_bits // 8 + 2) * (7 * height if header[12] else height)


def _write(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
