"""Count the frames or pages of an image file without decoding them, up to the first broken one."""

import struct

from PIL import Image

MOST_FRAMES = 10_000  # a file may state, or have, billions
FRAME_HEADER_BYTES = 10  # of a GIF


def count_frames(data: bytes, image: Image.Image) -> int:
    """Return the number of frames or pages of a file, up to the first broken one and at most MOST_FRAMES.

    The frames of a GIF, a PNG and a TIFF are counted by their headers; other formats state the number.
    """
    counters = {"GIF": _count_gif, "PNG": _count_png, "TIFF": count_pages}
    name = str(image.format)
    n_frames = counters[name](data) if name in counters else getattr(image, "n_frames", 1)
    return max(1, min(n_frames, MOST_FRAMES)) if isinstance(n_frames, int) else 1


def _count_gif(data: bytes) -> int:
    position, n_frames = 13 + _count_palette_bytes(data[10]), 0
    while position < len(data) and data[position] != 0x3B and n_frames < MOST_FRAMES:
        kind = data[position]
        if kind == 0x21:
            position += 2
        elif kind == 0x2C and position + FRAME_HEADER_BYTES <= len(data):
            n_frames += 1
            position += FRAME_HEADER_BYTES + _count_palette_bytes(data[position + 9]) + 1
        else:
            position += 1  # decoders skip bytes between blocks
            continue
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
    return n_frames


def _count_palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _count_png(data: bytes) -> int:
    position, n_controls, is_animated, has_default = 8, 0, False, False
    while position + 8 <= len(data) and n_controls < MOST_FRAMES:
        n_bytes, kind = struct.unpack_from(">I4s", data, position)
        is_animated = is_animated or kind == b"acTL"
        n_controls += kind == b"fcTL"
        has_default = has_default or (kind == b"IDAT" and not n_controls)
        if kind == b"IEND":
            break
        position += 12 + n_bytes
    # A picture before the first control chunk is shown only by decoders without animation.
    return n_controls + has_default if is_animated else 1


def count_pages(data: bytes) -> int:
    """Return the number of complete directories of a TIFF; 0 if the first one ends after the file."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = b"+" in data[2:4]
    count, offset, n_entry = ("Q", "Q", 20) if is_big else ("H", "I", 12)
    seen: set[int] = set()
    try:
        (position,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
        while position and position not in seen and len(seen) < MOST_FRAMES:
            (n_entries,) = struct.unpack_from(order + count, data, position)
            (following,) = struct.unpack_from(
                order + offset, data, position + struct.calcsize(count) + n_entry * n_entries
            )
            seen.add(position)
            position = following
    except (struct.error, OverflowError):
        pass  # a directory cut by the end of the file is not a page
    return len(seen)
