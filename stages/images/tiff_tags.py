"""Drop broken TIFF tags that do not affect the picture: PIL stops reading tags at a broken one."""

import struct

BIG_TIFF = b"+"
# Sizes, samples, colours, strips, tiles, compression and orientation.
DECIDING = {
    *range(254, 260), 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, *range(322, 326), 332, 334, 338, 339,
    347, *range(512, 522), *range(529, 533), 48129, 50674,
}  # fmt: skip
FACTS = {306, 34665, 34675, 34853, 42113}  # date, EXIF, colour profile, position, GDAL's no data: kept unless broken
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def remove_side_tags(data: bytes) -> bytes:
    """Return a TIFF whose first directory has only tags that affect the picture and those of its facts."""
    entries, order, offset, start = _read_entries(data)
    kept = [entry for entry in entries if _is_kept(entry, order, offset, len(data))]
    if len(kept) == len(entries):  # none if the directory is cut: the decoder will refuse it
        return data
    count, end = "Q" if offset == "Q" else "H", start + len(b"".join(entries))
    following = data[end : end + struct.calcsize(offset)]
    directory = struct.pack(order + count, len(kept)) + b"".join(kept) + following
    start -= struct.calcsize(count)
    return data[:start] + directory + data[start + len(directory) :]


def has_cut_tag(data: bytes) -> bool:
    """Return whether values of a tag that affects the picture lie behind the end of the file."""
    entries, order, offset, _ = _read_entries(data)
    return any(_is_deciding(entry, order) and not _is_whole(entry, order, offset, len(data)) for entry in entries)


def _read_entries(data: bytes) -> tuple[list[bytes], str, str, int]:
    """Return the entries of a TIFF's first directory, its byte order, the type of its offsets, and where entries begin.

    No entries if the directory ends after the file.
    """
    order = "<" if data[:2] == b"II" else ">"
    is_big = BIG_TIFF in data[2:4]
    count, offset, n_entry = ("Q", "Q", 20) if is_big else ("H", "I", 12)
    try:
        (start,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
        (n_entries,) = struct.unpack_from(order + count, data, start)
    except struct.error:
        return [], order, offset, 0
    start += struct.calcsize(count)
    end = start + n_entry * n_entries
    if end > len(data):
        return [], order, offset, 0
    return [data[at : at + n_entry] for at in range(start, end, n_entry)], order, offset, start


def _is_deciding(entry: bytes, order: str) -> bool:
    (tag,) = struct.unpack_from(order + "H", entry)
    return tag in DECIDING


def _is_whole(entry: bytes, order: str, offset: str, n_bytes: int) -> bool:
    """Return whether the values of an entry lie within a file of n_bytes."""
    kind, n, at = struct.unpack_from(order + "2xH" + 2 * offset, entry)
    size = n * TYPE_BYTES.get(kind, n_bytes + 1)
    return bool(size <= struct.calcsize(offset) or at + size <= n_bytes)


def _is_kept(entry: bytes, order: str, offset: str, n_bytes: int) -> bool:
    tag, _, n = struct.unpack_from(order + "HH" + offset, entry)
    return tag in DECIDING or (tag in FACTS and n > 0 and _is_whole(entry, order, offset, n_bytes))
