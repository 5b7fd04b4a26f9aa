"""Strip a BMP: header, masks, palette and pixels stay; gaps, profiles, paths of profiles and trailers go."""

import struct

from stages.screen.stripping.result import Stripped, require

CORE_HEADER, OS2_HEADER = 12, 64
HEADERS = (CORE_HEADER, 40, 52, 56, OS2_HEADER, 108, 124)
RGB, RLE8, RLE4, BITFIELDS, ALPHA_BITFIELDS = 0, 1, 2, 3, 6
# Offsets in the header of versions 4 and 5, as Windows documents BITMAPV5HEADER.
COLOUR_SPACE, ENDPOINTS, V4_END, INTENT_END = 56, 60, 108, 112
EMBEDDED, LINKED = b"DEBM", b"KNIL"  # MBED and LINK, least significant byte first


def strip_bmp(data: bytes, orientation: int) -> Stripped:
    """Return the file rewritten without gaps, with everything that affects the pixels.

    Always adds a doubt: offsets change, and decoders differ in how they read unusual ones.
    """
    require(data[:2] == b"BM" and len(data) >= 26, "BMP has no header")
    n_header = int.from_bytes(data[14:18], "little")
    require(n_header in HEADERS and len(data) >= 14 + n_header, f"BMP has a header of {n_header} bytes")
    header = bytearray(data[14 : 14 + n_header])
    if n_header == CORE_HEADER:
        width, height, _, n_bits = struct.unpack_from("<HHHH", header, 4)
        compression = n_colours = 0
    else:
        width, height, _, n_bits, compression = struct.unpack_from("<iiHHI", header, 4)
        (n_colours,) = struct.unpack_from("<I", header, 32)
    require(
        width > 0 and height != 0 and compression in (RGB, RLE8, RLE4, BITFIELDS, ALPHA_BITFIELDS),
        "BMP is malformed",
    )
    masks, palette = _read_tables(data, n_header, n_bits, compression, n_colours)
    start = int.from_bytes(data[10:14], "little") or 14 + n_header + len(masks) + len(palette)
    if start == 14 + n_header and n_bits <= 8:
        start += len(palette)  # some writers do not count the palette in the offset
    if compression in (RLE8, RLE4):
        pixels = data[start : _find_run_end(data, start, compression)]
    else:
        pixels = _clear_padding(data, start, width * n_bits, abs(height))
    _clear(header, len(palette) // 4, len(pixels))
    offset = 14 + n_header + len(masks) + len(palette)
    file_header = b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset)
    return Stripped(b"".join([file_header, header, masks, palette, pixels]), ("a BMP is rewritten",))


def _read_tables(data: bytes, n_header: int, n_bits: int, compression: int, n_colours: int) -> tuple[bytes, bytes]:
    """Return the colour masks that follow a header of 40 bytes, and the palette with its unused bytes cleared."""
    n_masks = {BITFIELDS: 12, ALPHA_BITFIELDS: 16}.get(compression, 0) if n_header == 40 else 0
    start = 14 + n_header + n_masks
    if n_bits > 8:
        return data[14 + n_header : start], b""  # a palette beside true colours affects no pixel
    n_entry = 3 if n_header == CORE_HEADER else 4
    n_colours = n_colours or 1 << n_bits
    require(n_colours <= 1 << 16, f"BMP has a palette of {n_colours} colours")
    palette = bytearray(data[start : start + n_entry * n_colours])
    if n_entry == 4:
        palette[3::4] = bytes(len(palette[3::4]))
    return data[14 + n_header : start], bytes(palette)


def _clear_padding(data: bytes, start: int, row_bits: int, n_rows: int) -> bytes:
    """Return the rows of pixels, with the padding of each row set to 0."""
    n_stored, n_used = (row_bits + 31) // 32 * 4, (row_bits + 7) // 8
    pixels = bytearray(data[start : start + n_stored * n_rows])
    for padding in range(n_used, n_stored):
        pixels[padding::n_stored] = bytes(len(pixels[padding::n_stored]))
    return bytes(pixels)


def _find_run_end(data: bytes, position: int, compression: int) -> int:
    """Return where run-length encoded pixels end: after their end marker, or at the end of the file."""
    while position + 1 < len(data):
        n, code = data[position], data[position + 1]
        position += 2
        if n == 0 and code == 1:
            return position
        if n == 0 and code == 2:
            position += 2
        elif n == 0 and code > 2:
            n_bytes = code if compression == RLE8 else (code + 1) // 2
            position += n_bytes + n_bytes % 2
    return len(data)


def _clear(header: bytearray, n_colours: int, n_pixel_bytes: int) -> None:
    """Update the changed numbers in the header, and clear fields that affect no pixel."""
    n_header = len(header)
    if n_header == CORE_HEADER:
        return
    struct.pack_into("<I", header, 20, n_pixel_bytes)
    struct.pack_into("<II", header, 32, n_colours, 0)
    if n_header == OS2_HEADER:
        header[40:] = bytes(OS2_HEADER - 40)
    if n_header >= V4_END:
        space = bytes(header[COLOUR_SPACE:ENDPOINTS])
        if space in (EMBEDDED, LINKED):
            header[COLOUR_SPACE:ENDPOINTS] = b"BGRs"  # sRGB
        if space != bytes(4):  # primaries and gamma apply only if the colour space is "calibrated"
            header[ENDPOINTS:V4_END] = bytes(V4_END - ENDPOINTS)
        header[INTENT_END:] = bytes(max(0, n_header - INTENT_END))
