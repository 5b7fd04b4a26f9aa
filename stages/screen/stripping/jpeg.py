"""Strip a JPEG: tables, frames, scans, density, Adobe's colour transform, colour profile and orientation stay."""

import re
import struct
from collections.abc import Iterable, Iterator

from stages.screen.stripping.result import LOOSE_BYTES, LOOSE_TEXT, Stripped, cut_profile, require, write_orientation
from stages.screen.stripping.segments import DNL, KEPT, NO_EOI, SOS, Segment, walk

DNL_BYTES = 2
LOOSE_END = re.compile(LOOSE_TEXT.pattern + rb"\xff\xd9")
PROFILE_NAME = b"ICC_PROFILE\0"
PROFILE_BYTES = 0xFFFF - 2 - len(PROFILE_NAME) - 2  # bytes of a profile in one segment


def strip_jpeg(data: bytes, orientation: int, segments: Iterable[Segment] | None = None) -> Stripped:
    """Return the first image of the file up to its EOI; metadata segments, thumbnails and trailers are removed.

    The last scan has a loose end if it has no EOI, or ends in text: compressed pixels rarely end in 8 bytes of text.

    Args:
        data: the file.
        orientation: as for strip_metadata.
        segments: those of a walk without doubts, if there was one.
    """
    require(data[:2] == b"\xff\xd8", "JPEG does not start with SOI")
    header: dict[str, bytes] = {}
    profiles: dict[int, bytes] = {}
    kept: list[slice] = []
    # Most kept segments are neighbours: from start to stop they are copied together, and only once.
    start = stop = 0
    doubts: list[str] = []
    has_scan, scan_bytes = False, 0
    for code, place, n_scan in segments or walk(data, doubts):
        if code in KEPT or code == SOS or (code == DNL and place.stop - place.start == 4 + DNL_BYTES):
            has_scan, scan_bytes = has_scan or code == SOS, n_scan
            if place.start != stop:
                kept.append(slice(start, stop))
                start = place.start
            stop = place.stop + n_scan
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
    pieces = [view[place] for place in (*kept, slice(start, stop))]
    stripped = b"".join([*head, header.get("Adobe", b""), *pieces, b"\xff\xd9"])
    is_loose = NO_EOI in doubts or LOOSE_END.search(stripped, len(stripped) - LOOSE_BYTES - 2) is not None
    loose_end = len(stripped) - 2 - scan_bytes if is_loose else 0
    return Stripped(stripped, tuple(dict.fromkeys(doubts)), loose_end)


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
