"""Strip a JPEG: tables, frames, scans, density, Adobe's colour transform, colour profile and orientation stay."""

import re
import struct
from collections.abc import Iterator

import numpy as np

from stages.screen.stripping.result import LOOSE_BYTES, LOOSE_TEXT, Stripped, cut_profile, require, write_orientation

# 0xFF bytes, then a code that is neither stuffing nor fill. libjpeg skips bytes between markers.
MARKER = re.compile(rb"\xff+([^\x00\xff])")
SCAN_END = re.compile(rb"\xff\xff*[^\x00\xff\xd0-\xd7]")  # begins with a literal, so memchr finds it: 5 times as fast
SHORT_SCAN_BYTES, BLOCK_BYTES = 1 << 14, 1 << 16  # looked through at once
# Frames, Huffman and arithmetic tables, quantisation, restart interval. 0xC8 is reserved; DNL is kept by its length.
KEPT = (set(range(0xC0, 0xD0)) - {0xC8}) | {0xDB, 0xDD}
TEM, SOI, EOI, SOS, DNL, COM = 0x01, 0xD8, 0xD9, 0xDA, 0xDC, 0xFE
DNL_BYTES = 2
NO_EOI = "no EOI"
LOOSE_END = re.compile(LOOSE_TEXT.pattern + rb"\xff\xd9")
PROFILE_NAME = b"ICC_PROFILE\0"
PROFILE_BYTES = 0xFFFF - 2 - len(PROFILE_NAME) - 2  # bytes of a profile in one segment


def strip_jpeg(data: bytes, orientation: int) -> Stripped:
    """Return the first image of the file up to its EOI; metadata segments, thumbnails and trailers are removed.

    The last scan has a loose end if it has no EOI, or ends in text: compressed pixels rarely end in 8 bytes of text.
    """
    require(data[:2] == b"\xff\xd8", "JPEG does not start with SOI")
    header: dict[str, bytes] = {}
    profiles: dict[int, bytes] = {}
    kept: list[slice] = []
    doubts: list[str] = []
    has_scan, scan_bytes = False, 0
    for code, place, n_scan in _walk(data, doubts):
        if code in KEPT or code == SOS or (code == DNL and place.stop - place.start == 4 + DNL_BYTES):
            has_scan, scan_bytes = has_scan or code == SOS, n_scan
            # Most of these segments are neighbours: they are copied together, and only once.
            start = kept.pop().start if kept and kept[-1].stop == place.start else place.start
            kept.append(slice(start, place.stop + n_scan))
            continue
        body = data[place.start + 4 : place.stop]
        found = _read_header(code, body)
        if found is None:
            if code == 0xE2 and body.startswith(PROFILE_NAME) and len(body) > len(PROFILE_NAME) + 2:
                profiles.setdefault(body[len(PROFILE_NAME)], body[len(PROFILE_NAME) + 2 :])
            continue
        name, segment = found
        if has_scan or name in header or not segment:
            doubts.append(f"a {name} segment that is late, repeated or short")
        if segment and not has_scan:
            header[name] = segment  # libjpeg uses the last one before the first scan
    require(has_scan, "JPEG has no scan")
    head = [b"\xff\xd8", header.get("JFIF", b""), _write_exif(orientation), *_write_profile(profiles)]
    view = memoryview(data)
    stripped = b"".join([*head, header.get("Adobe", b""), *(view[place] for place in kept), b"\xff\xd9"])
    is_loose = NO_EOI in doubts or LOOSE_END.search(stripped, len(stripped) - LOOSE_BYTES - 2) is not None
    loose_end = len(stripped) - 2 - scan_bytes if is_loose else 0
    return Stripped(stripped, tuple(dict.fromkeys(doubts)), loose_end)


def _walk(data: bytes, doubts: list[str]) -> Iterator[tuple[int, slice, int]]:
    """Yield code and place of each segment up to EOI, and for SOS the bytes of the scan that follows.

    Decoders stop reading when the pixels are complete: a fault after the first scan ends the walk, with a doubt.
    """
    position, has_scan = 2, False
    while marker := MARKER.search(data, position):
        start = marker.end() - 2
        if start != position:
            doubts.append("bytes between segments")
        code, position = data[start + 1], start + 2
        if code == EOI:
            return
        if 0xD0 <= code <= 0xD7 or code == TEM:
            doubts.append("a marker without content outside of a scan")
            continue
        n_bytes = int.from_bytes(data[position : position + 2], "big")
        if n_bytes < 2 and (code in (DNL, COM) or 0xE0 <= code <= 0xEF):
            doubts.append("a segment shorter than its length")  # decoders continue after the length
            n_bytes = 2
        problem = _find_problem(code, n_bytes, len(data) - position)
        if problem and has_scan:
            doubts.append(problem)
            return
        require(not problem, problem)
        position += n_bytes
        place, n_scan = slice(start, position), 0
        if code == SOS:
            has_scan = True
            position = _find_scan_end(data, place.stop)
            n_scan = position - place.stop
            if n_scan and data[position - 1] == 0xFF:  # within a scan such bytes are stuffed: these are fill
                doubts.append("fill bytes after a scan")
                n_scan = len(data[place.stop : position].rstrip(b"\xff"))
        yield code, place, n_scan
    doubts.append(NO_EOI)  # some writers omit it; decoders supply it


def _find_scan_end(data: bytes, start: int) -> int:
    """Return where the first marker after a scan begins, its fill bytes included; the end of the file without one.

    Many scans are short. In a long one, comparing blocks takes less time than the expression, which stops at each
    stuffed byte.
    """
    if end := SCAN_END.search(data, start, start + SHORT_SCAN_BYTES):
        return end.start()
    begin, start = start, min(start + SHORT_SCAN_BYTES, len(data))
    while start > begin and data[start - 1] == 0xFF:
        start -= 1  # of a marker that goes on after the bytes looked through
    while start < len(data) - 1:
        block = np.frombuffer(data, np.uint8, min(BLOCK_BYTES + 1, len(data) - start), start)
        is_unstuffed = block[:-1] == 0xFF
        is_unstuffed &= block[1:] != 0
        first = int(is_unstuffed.argmax())
        if is_unstuffed[first]:
            # It may be a restart marker: the expression goes on from there.
            end = SCAN_END.search(data, start + first)
            return end.start() if end else len(data)
        start += BLOCK_BYTES
    return len(data)


def _find_problem(code: int, n_bytes: int, n_left: int) -> str:
    is_known = code in KEPT or code in (SOS, DNL, COM) or 0xE0 <= code <= 0xEF
    if not is_known:
        return f"JPEG has an unknown segment 0x{code:02X}"
    return "" if 2 <= n_bytes <= n_left else f"JPEG segment 0x{code:02X} ends after the file"


def _segment(code: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(body) + 2) + body


def _read_header(code: int, body: bytes) -> tuple[str, bytes] | None:
    """Return name and kept form of a segment that affects how colours are read; None for any other segment."""
    if code == 0xE0 and body.startswith(b"JFIF"):
        # The size of the thumbnail is set to 0, because it is cut off.
        return "JFIF", _segment(code, body[:12] + b"\0\0") if len(body) >= 14 and body[4] == 0 else b""
    if code == 0xEE and body.startswith(b"Adobe"):
        return "Adobe", _segment(code, body[:12]) if len(body) >= 12 else b""
    return None


def _write_exif(orientation: int) -> bytes:
    return _segment(0xE1, b"Exif\0\0" + write_orientation(orientation)) if orientation != 1 else b""


def _write_profile(stored: dict[int, bytes]) -> Iterator[bytes]:
    """Yield the segments of a colour profile; nothing if a segment is missing or they are not a profile."""
    if sorted(stored) != list(range(1, len(stored) + 1)):
        return
    profile = cut_profile(b"".join(stored[n] for n in sorted(stored)))
    pieces = [profile[n : n + PROFILE_BYTES] for n in range(0, len(profile), PROFILE_BYTES)]
    for n, piece in enumerate(pieces):
        yield _segment(0xE2, PROFILE_NAME + bytes([n + 1, len(pieces)]) + piece)


def cut_scan(stripped: Stripped, n_bytes: int) -> bytes:
    """Return the file with its last scan cut to give the file this length."""
    return stripped.data[: n_bytes - 2] + b"\xff\xd9"
