"""Read the compressed pixels of a PNG: how many bytes there are and should be, and whether only their sum is wrong."""

import struct
import zlib
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIECE_BYTES = 1 << 20
_N_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by the colour type of a PNG
# First column and row, and steps between columns and rows. Source: PNG specification, Adam7.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def count_due_bytes(data: bytes) -> int:
    """Return how many bytes of rows the header of a PNG states."""
    width, height, n_bits, colour_type, is_interlaced = struct.unpack_from(">IIBBxxB", data, 16)
    n_pixel_bits = n_bits * _N_SAMPLES[colour_type]
    n_due = 0
    for left, top, step, row_step in _PASSES if is_interlaced else ((0, 0, 1, 1),):
        n_columns, n_rows = max(0, -((left - width) // step)), max(0, -((top - height) // row_step))
        n_due += n_rows * (1 + (n_columns * n_pixel_bits + 7) // 8) if n_columns else 0
    return n_due


def count_found_bytes(data: bytes, n_due: int) -> int:
    """Return how many bytes of rows a PNG has; counting stops at the number that is due."""
    inflater, n_found = zlib.decompressobj(), 0
    for _, packed in _pixel_chunks(data):
        while packed and n_found < n_due and not inflater.eof:
            n_found += len(inflater.decompress(packed, _PIECE_BYTES))
            packed = inflater.unconsumed_tail
    return n_found + len(inflater.flush())


def correct_sum(data: bytes) -> bytes | None:
    """Return a PNG whose compressed pixels end with the right sum (Adler-32), if nothing else is wrong; else None.

    A chunk's own checksum must be right: if both are wrong, the pixels are.
    """
    if data[12:16] != b"IHDR":
        return None
    parts, at, after = [], 0, 0
    for start, packed in _pixel_chunks(data):
        at, after = at or start, start + 12 + len(packed)
        checksum = data[after - 4 : after]
        if zlib.crc32(packed, zlib.crc32(b"IDAT")).to_bytes(4, "big") != checksum:
            return None
        parts.append(packed)
    stream = end_stream(b"".join(parts), count_due_bytes(data))
    if stream is None:
        return None
    chunk = b"IDAT" + stream
    return data[:at] + struct.pack(">I", len(stream)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[after:]


def end_stream(stream: bytes, most_bytes: int) -> bytes | None:
    """Return a zlib stream that has a wrong sum with the right one; None if it has none or does not inflate.

    Args:
        stream: the compressed bytes; others behind the sum are cut.
        most_bytes: a stream of more bytes is not inflated further: None.
    """
    inflater, total, n_found, rest = zlib.decompressobj(-zlib.MAX_WBITS), 1, 0, stream[2:]
    try:
        while rest and not inflater.eof and n_found <= most_bytes:
            found = inflater.decompress(rest, _PIECE_BYTES)
            total, n_found, rest = zlib.adler32(found, total), n_found + len(found), inflater.unconsumed_tail
    except zlib.error:
        return None
    right, stated = total.to_bytes(4, "big"), inflater.unused_data[:4]
    is_wrong = inflater.eof and n_found <= most_bytes and len(stated) == 4 and stated != right
    return stream[: len(stream) - len(inflater.unused_data)] + right if is_wrong else None


def _pixel_chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the place and the body of each IDAT chunk."""
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        n_bytes, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IDAT":
            yield position, data[position + 8 : position + 8 + n_bytes]
        position += 12 + n_bytes
