"""Read a plain EXIF block in a tenth of the time that Pillow takes: same values as by exif.py, or nothing if unusual.

A block is plain if its directories are whole, all their data lie within the block, and each tag that is read is there
once and has the type of the standard (EXIF 2.32, tables 4 to 15). Pillow has its own ways with all others.
"""

import struct
from collections.abc import Mapping
from typing import Any

from stages.images.exif import collect_facts, is_orientation

_HEAD = b"Exif\0\0"
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_ASCII, _SHORT, _LONG, _RATIONAL = 2, 3, 4, 5
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # as Pillow's
_ENTRY_BYTES, _INLINE_BYTES = 12, 4

# By tag: type and number of values; None for any number.
_ORIENTATION, _CHANGED, _EXIF, _GPS, _TAKEN = 0x0112, 0x0132, 0x8769, 0x8825, 0x9003
_MAIN = {
    _ORIENTATION: (_SHORT, 1),
    _CHANGED: (_ASCII, None),
    _EXIF: (_LONG, 1),
    _GPS: (_LONG, 1),
    # Pillow reads the resolution when it opens a JPEG, and refuses the file for some other types.
    0x011A: (_RATIONAL, 1),
    0x0128: (_SHORT, 1),
}
_DETAILS = {_TAKEN: (_ASCII, None)}
_POSITION = {1: (_ASCII, None), 2: (_RATIONAL, 3), 3: (_ASCII, None), 4: (_RATIONAL, 3)}

Wanted = Mapping[int, tuple[int, int | None]]


class _Unusual(Exception):
    """The block is not plain."""


def read_plain(block: bytes) -> tuple[int | None, dict[str, Any]] | None:
    """Return the orientation, 1 to 8 or None, and the columns of exif.FACTS; None if the block is not plain.

    Args:
        block: the body of a JPEG's APP1, with its head.
    """
    tiff = block[len(_HEAD) :]
    order = _ORDERS.get(tiff[:4])
    if order is None or not block.startswith(_HEAD):
        return None
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        main = _read_directory(tiff, order, start, _MAIN)
        details = _read_directory(tiff, order, main[_EXIF][0], _DETAILS) if _EXIF in main else {}
        gps = _read_directory(tiff, order, main[_GPS][0], _POSITION) if _GPS in main else {}
    except (_Unusual, struct.error):
        return None
    (orientation,) = main.get(_ORIENTATION, (None,))
    facts = collect_facts((details.get(_TAKEN), main.get(_CHANGED)), gps)
    return orientation if is_orientation(orientation) else None, facts


def _read_directory(tiff: bytes, order: str, start: int, wanted: Wanted) -> dict[int, Any]:
    """Return a text, or a tuple of numbers, for each wanted tag; NaN for a ratio over 0.

    Raises:
        _Unusual: the directory or a wanted tag is not plain.
        struct.error: the directory starts after the block.
    """
    (n_entries,) = struct.unpack_from(order + "H", tiff, start)
    end = start + 2 + n_entries * _ENTRY_BYTES
    if end + 4 > len(tiff):  # the place of the next directory follows
        raise _Unusual
    found: dict[int, Any] = {}
    n_outside = 0
    for tag, kind, n, inline in struct.iter_unpack(order + "HHI4s", tiff[start + 2 : end]):
        data, n_bytes = inline, n * _TYPE_BYTES.get(kind, 0)
        if n_bytes > _INLINE_BYTES:
            (at,) = struct.unpack(order + "I", inline)
            n_outside += n_bytes
            # Of more data than the block has, as of overlapping ones, Pillow skips the rest.
            if at + n_bytes > len(tiff) or n_outside > len(tiff):
                raise _Unusual
            data = tiff[at : at + n_bytes] if tag in wanted else b""
        if tag in wanted:
            if tag in found or not n or kind != wanted[tag][0] or wanted[tag][1] not in (None, n):
                raise _Unusual
            found[tag] = _read_value(data[:n_bytes], kind, order)
    return found


def _read_value(data: bytes, kind: int, order: str) -> Any:
    if kind == _ASCII:
        return data.removesuffix(b"\0").decode("latin-1")
    if kind == _RATIONAL:
        return tuple(n / d if d else float("nan") for n, d in struct.iter_unpack(order + "II", data))
    return struct.unpack(order + ("H" if kind == _SHORT else "I"), data)
