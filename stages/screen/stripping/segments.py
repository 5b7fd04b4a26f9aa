"""Walk over the segments and scans of a JPEG: the places where opening and stripping find what they read.

Decodes nothing.
"""

import re
from collections.abc import Iterator

import numpy as np

from stages.screen.stripping.result import require

# 0xFF bytes, then a code that is neither stuffing nor fill. libjpeg skips bytes between markers.
MARKER = re.compile(rb"\xff+([^\x00\xff])")
SCAN_END = re.compile(rb"\xff\xff*[^\x00\xff\xd0-\xd7]")  # begins with a literal, so memchr finds it: 5 times as fast
SHORT_SCAN_BYTES, BLOCK_BYTES = 1 << 14, 1 << 16  # looked through at once
# Frames, Huffman and arithmetic tables, quantisation, restart interval. 0xC8 is reserved; DNL is kept by its length.
KEPT = (set(range(0xC0, 0xD0)) - {0xC8}) | {0xDB, 0xDD}
TEM, SOI, EOI, SOS, DNL, COM = 0x01, 0xD8, 0xD9, 0xDA, 0xDC, 0xFE
KNOWN = KEPT | {SOS, DNL, COM, *range(0xE0, 0xF0)}
NO_EOI = "no EOI"

Segment = tuple[int, slice, int]  # code; place, marker and length included; for SOS the bytes of the scan that follows


def walk(data: bytes, doubts: list[str]) -> Iterator[Segment]:
    """Yield each segment up to EOI.

    Decoders stop reading when the pixels are complete: a fault after the first scan ends the walk, with a doubt.

    Args:
        data: a file that starts with SOI.
        doubts: receives why a decoder might read other segments; empty at the end of a walk over a sound file.

    Raises:
        UnpublishableImage: a fault before the first scan.
    """
    position, has_scan = 2, False
    while True:
        start = position
        # Most segments follow at once, and need no expression to be found.
        if position + 2 > len(data) or data[position] != 0xFF or data[position + 1] in (0, 0xFF):
            marker = MARKER.search(data, position)
            if marker is None:
                break
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
        if code not in KNOWN or not 2 <= n_bytes <= len(data) - position:
            name = f"segment 0x{code:02X}"
            problem = f"JPEG {name} ends after the file" if code in KNOWN else f"JPEG has an unknown {name}"
            require(has_scan, problem)
            doubts.append(problem)
            return
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
