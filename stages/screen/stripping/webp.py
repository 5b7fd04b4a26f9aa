"""Strip a WEBP: pictures, alpha, animation, colour profile and orientation stay; EXIF, XMP and unknown chunks go."""

import struct
from collections.abc import Iterator

from stages.images.mending import is_whole_frame
from stages.screen.stripping.result import LOOSE_BYTES, LOOSE_TEXT, Stripped, cut_profile, require, write_orientation

PROFILE_FLAG, ALPHA_FLAG, EXIF_FLAG, ANIMATION_FLAG = 0x20, 0x10, 0x08, 0x02  # in the first byte of VP8X
IMAGES = (b"VP8 ", b"VP8L")
FRAME_HEADER_BYTES = 16

Chunk = tuple[bytes, bytes]


def strip_webp(data: bytes, orientation: int) -> Stripped:
    """Return the file with the chunks that affect its pixels."""
    require(data[:4] == b"RIFF" and data[8:12] == b"WEBP", "WEBP has no RIFF header")
    n_bytes = int.from_bytes(data[4:8], "little")
    require(n_bytes >= 4, "WEBP states that it is empty")
    doubts = ["WEBP ends after its file"] if n_bytes > len(data) - 8 else []
    chunks = list(_walk(data[12 : 8 + n_bytes], doubts))
    require(any(kind in (*IMAGES, b"ANMF") for kind, _ in chunks), "WEBP has no image")
    if chunks[0][0] != b"VP8X":
        # Without VP8X decoders read only the first chunk.
        if chunks[0][0] not in IMAGES or orientation != 1:
            doubts.append("no VP8X before other chunks")
        return _with_loose_end([next(c for c in chunks if c[0] in IMAGES)], doubts)
    kept = _keep(chunks[1:], doubts)
    profile = cut_profile(dict(reversed(chunks)).get(b"ICCP", b""))
    flags, canvas = chunks[0][1][0] & (ALPHA_FLAG | ANIMATION_FLAG), chunks[0][1][4:10]
    require(len(canvas) == 6, "WEBP has a VP8X chunk that is too short")
    if profile:
        flags |= PROFILE_FLAG
        kept.insert(0, (b"ICCP", profile))
    if orientation != 1:
        flags |= EXIF_FLAG
        kept.append((b"EXIF", write_orientation(orientation)))
    return _with_loose_end([(b"VP8X", bytes([flags, 0, 0, 0]) + canvas), *kept], doubts)


def _with_loose_end(chunks: list[Chunk], doubts: list[str]) -> Stripped:
    """Return the file; its picture has a loose end if it comes last and ends in text."""
    data, (kind, body) = _write_file(chunks), chunks[-1]
    is_loose = kind in IMAGES and LOOSE_TEXT.fullmatch(body[-LOOSE_BYTES:]) is not None
    start = len(data) - len(body) - len(body) % 2
    return Stripped(data, tuple(doubts), start if is_loose else 0)


def cut_picture(stripped: Stripped, n_bytes: int) -> bytes:
    """Return the file with its picture, the last chunk, cut to an even length that gives the file about this length."""
    start = stripped.loose_end
    body = stripped.data[start : n_bytes + (n_bytes - start) % 2]
    head = stripped.data[: start - 4] + struct.pack("<I", len(body))
    return head[:4] + struct.pack("<I", len(head) + len(body) - 8) + head[8:] + body


def _keep(chunks: list[Chunk], doubts: list[str]) -> list[Chunk]:
    """Return the chunks of pictures and animation, each frame with the chunks its picture needs."""
    kept: list[Chunk] = []
    for kind, body in chunks:
        is_repeated = kind != b"ANMF" and any(kind == other for other, _ in kept)
        if is_repeated:
            doubts.append(f"a second {kind!r} chunk")
        elif kind == b"ANMF":
            if not is_whole_frame(body):
                doubts.append("a broken frame")  # libwebp opens no animation that has one
                continue
            frame = _keep_once(_walk(body[FRAME_HEADER_BYTES:], doubts), doubts)
            kept.append((kind, body[:FRAME_HEADER_BYTES] + b"".join(_write(*chunk) for chunk in frame)))
        elif kind == b"ANIM":
            kept.append((kind, body[:6]))
        elif kind in (b"ALPH", *IMAGES):
            kept.append((kind, body))
    return kept


def _keep_once(chunks: Iterator[Chunk], doubts: list[str]) -> list[Chunk]:
    kept: dict[bytes, bytes] = {}
    for kind, body in chunks:
        if kind in kept:
            doubts.append(f"a second {kind!r} chunk in a frame")
        elif kind in (b"ALPH", *IMAGES):
            kept[kind] = body
    return list(kept.items())


def _walk(data: bytes, doubts: list[str]) -> Iterator[Chunk]:
    position = 0
    has_image = False
    while position < len(data):
        kind, n_bytes = struct.unpack_from("<4sI", data, position) if position + 8 <= len(data) else (b"", 0)
        if position + 8 + n_bytes > len(data):
            require(has_image, f"WEBP chunk {kind!r} ends after its file")
            doubts.append(f"chunk {kind!r} ends after its file")
            return
        has_image = has_image or kind in (*IMAGES, b"ANMF")
        end = position + 8 + n_bytes
        if n_bytes % 2 and data[end : end + 1] not in (b"", b"\0"):
            doubts.append(f"a byte behind chunk {kind!r}")  # libwebp reads it if the picture's own data end too early
        yield kind, data[position + 8 : end]
        position += 8 + n_bytes + n_bytes % 2


def _write(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _write_file(chunks: list[Chunk]) -> bytes:
    return _write(b"RIFF", b"WEBP" + b"".join(_write(*chunk) for chunk in chunks))
