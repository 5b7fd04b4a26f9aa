"""Open and decode a plain JPEG by one walk over its segments, without Pillow's reader of headers; None if unusual.

A file is plain if the walk leaves no doubt and Pillow's reader, which takes longer than all of this, would find nothing
special in it: a grey or RGB picture of 8 bits in Huffman codes, and side data that it accepts. libjpeg decodes it, by
the same call. All other files are Pillow's, and so is the fault of a file that does not decode.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from stages.images.exif import FACTS
from stages.images.missing_pixels import may_lack_pixels
from stages.images.plain_exif import read_plain
from stages.screen.stripping.result import UnpublishableImage
from stages.screen.stripping.segments import COM, SOS, Segment, walk

FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, in Huffman codes
MODES = {1: "L", 3: "RGB"}  # by the number of components
TABLE_BYTES, TABLES_OF_16_BITS = 65, 0x10  # of quantisation: a byte with precision and number, and 64 steps
UNREAD = {0xC4, 0xDD, COM, *range(0xE3, 0xED), 0xEF}  # Pillow skips these segments
UNREADABLE = 1 << 16
# What Pillow reads of side data, and how many bytes of it at least. MPO is left to it.
SIDE_DATA: dict[int, tuple[tuple[bytes, int], ...]] = {
    0xE0: ((b"JFIF", 7),),
    0xE1: (),
    0xE2: ((b"ICC_PROFILE\0", 14), (b"MPF\0", UNREADABLE)),
    0xEE: ((b"Adobe", 7),),
}


@dataclass(frozen=True)
class PlainJpeg:
    """A plain JPEG, not decoded yet.

    Attributes:
        size: width and height in px, as stored.
        mode: Pillow's.
        segments: all of them.
        orientation: by EXIF, 1 to 8; None if missing or invalid.
        exif: the columns exif.FACTS.
    """

    size: tuple[int, int]
    mode: str
    segments: Sequence[Segment]
    orientation: int | None
    exif: dict[str, Any]


def open_plain(data: bytes, max_pixels: int) -> PlainJpeg | None:
    """Return a JPEG with its header read; None if it is not plain, or has more pixels."""
    doubts: list[str] = []
    try:
        segments = list(walk(data, doubts))
        return None if doubts else _read_header(data, segments, max_pixels)
    except UnpublishableImage:
        return None


def _read_header(data: bytes, segments: Sequence[Segment], max_pixels: int) -> PlainJpeg | None:
    frame, exif = b"", None
    for code, place, _ in segments:
        start = place.start + 4  # of the body
        if code in UNREAD:
            continue
        if code == SOS:
            break
        if code == 0xDB:
            heads = data[start : place.stop : TABLE_BYTES]
            is_plain = len(heads) * TABLE_BYTES == place.stop - start and max(heads, default=0) < TABLES_OF_16_BITS
        elif code in FRAMES:
            is_plain, frame = not frame, data[start : place.stop]
        elif code == 0xE1 and data.startswith(b"Exif\0\0", start):
            found, is_first = read_plain(data[start : place.stop]), exif is None
            is_plain, exif = is_first and found is not None, found
        elif code == 0xED:
            is_plain = data[place.stop - 6 : place.stop - 2] != b"8BIM"  # it refuses settings that end in such a head
        else:
            is_plain = _is_side_data(data, code, start, place.stop)
        if not is_plain:
            return None
    if len(frame) < 6 or frame[0] != 8 or frame[5] not in MODES or len(frame) != 6 + 3 * frame[5]:
        return None
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    if not 0 < width * height <= max_pixels:
        return None
    orientation, facts = exif or (None, dict.fromkeys(FACTS))
    return PlainJpeg((width, height), MODES[frame[5]], segments, orientation, facts)


def _is_side_data(data: bytes, code: int, start: int, stop: int) -> bool:
    """Return whether Pillow accepts the body of a segment."""
    return code in SIDE_DATA and all(
        stop - start >= n_least or not data.startswith(head, start, stop) for head, n_least in SIDE_DATA[code]
    )


def decode_plain(data: bytes, jpeg: PlainJpeg) -> Image.Image | None:
    """Return the picture in its stored orientation; None if the decoder found a fault, or pixels may be missing."""
    picture = Image.new(jpeg.mode, jpeg.size, None)  # without filling it
    # As Image.load does, which feeds the decoder by pieces.
    decoder = Image._getdecoder(jpeg.mode, "jpeg", (jpeg.mode, ""))
    try:
        decoder.setimage(picture.im, (0, 0, *jpeg.size))
        n_read, fault = decoder.decode(data)
    finally:
        decoder.cleanup()
    if n_read >= 0 or fault:
        return None
    has_scans = sum(segment[0] == SOS for segment in jpeg.segments) > 1
    return None if may_lack_pixels(picture, data, has_scans) else picture
