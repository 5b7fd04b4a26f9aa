"""Strip a GIF: frames, their timing and the loop stay; comments, texts and application data go."""

from stages.screen.stripping.result import Stripped, require

IMAGE, EXTENSION, TRAILER = 0x2C, 0x21, 0x3B
CONTROL = b"\x21\xf9\x04"
LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01"
DESCRIPTOR_BYTES = 10
LARGEST_CODE_BITS = 12


def strip_gif(data: bytes, orientation: int) -> Stripped:
    """Return the file up to its trailer, or up to its last complete frame if a later one is broken."""
    require(data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 13, "GIF has no signature")
    position = 13 + _count_palette_bytes(data[10])
    out = [data[:position]]
    doubts = [] if orientation == 1 else ["an orientation"]
    n_images = n_whole = 0  # n_whole: blocks written when the last frame was complete
    first, cut = 0, b""
    while position < len(data) and data[position] != TRAILER:
        start, kind = position, data[position]
        is_known = kind in (IMAGE, EXTENSION)
        end = _find_end(data, position) if is_known else position + 1
        if n_images and (end > len(data) or kind not in (IMAGE, EXTENSION, 0)):
            doubts.append("a broken block after the first frame")
            out = out[:n_whole]
            break
        if kind == IMAGE and end > len(data):
            picture = _close(data, start)
            first, cut = len(out), _cut_blocks(picture)
            out.append(picture)
            n_images, position = 1, len(data)
            break
        require(end <= len(data), f"GIF block 0x{kind:02X} ends after the file")
        position = end
        if kind == IMAGE:
            picture = data[start:position]
            if not n_images:
                first, cut = len(out), _cut_blocks(picture)
            # Only the first frame is decoded: the end of a later one is found by its codes.
            out.append(_cut_codes(picture) if n_images and _cut_blocks(picture) else picture)
            n_images, n_whole = n_images + 1, len(out)
        elif not is_known:
            doubts.append("a byte between blocks")  # decoders skip it
        elif data[start : start + 3] == CONTROL:
            out.append(data[start : start + 7] + b"\0")
        elif data[start + 1] == 0xF9:
            doubts.append("a graphic control block of the wrong length")
        elif data.startswith(LOOP, start):
            out.append(data[start : start + 18] + b"\0")
    if position >= len(data):
        doubts.append("no trailer")
    require(n_images > 0, "GIF has no image")
    shorter = b"".join([*out[:first], cut, *out[first + 1 :], b"\x3b"]) if cut else b""
    return Stripped(b"".join([*out, b"\x3b"]), tuple(dict.fromkeys(doubts)), shorter=shorter)


def _count_palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _find_end(data: bytes, position: int) -> int:
    """Return where the block ends; a number beyond the end of the file if it does not."""
    if data[position] == EXTENSION:
        position += 2
    elif position + DESCRIPTOR_BYTES > len(data):
        return len(data) + 1
    else:
        # Descriptor, local palette and code size precede the blocks of pixels.
        position += DESCRIPTOR_BYTES + _count_palette_bytes(data[position + 9]) + 1
    while position < len(data) and data[position]:
        position += 1 + data[position]
    return position + 1


def _close(data: bytes, start: int) -> bytes:
    """Return a picture cut off by the end of the file, with its last block shortened and a terminator added."""
    require(start + DESCRIPTOR_BYTES < len(data), "GIF ends inside its first picture")
    position = start + DESCRIPTOR_BYTES + _count_palette_bytes(data[start + 9]) + 1
    require(position < len(data), "GIF ends inside its first picture")
    blocks = [data[start:position]]
    while position < len(data) and data[position]:
        block = data[position + 1 : position + 1 + data[position]]
        blocks += [bytes([len(block)]), block] if block else []
        position += 1 + data[position]
    return b"".join([*blocks, b"\0"])


def _cut_codes(picture: bytes) -> bytes:
    """Return a picture up to its end code (GIF89a, appendix F); unchanged if it has none."""
    start = DESCRIPTOR_BYTES + _count_palette_bytes(picture[9])
    n_least, position, blocks = picture[start], start + 1, []
    while picture[position]:
        blocks.append(picture[position + 1 : position + 1 + picture[position]])
        position += 1 + picture[position]
    packed, clear = b"".join(blocks), 1 << n_least
    held, n_held, n_read, n_bits, n_codes = 0, 0, 0, n_least + 1, clear + 2
    is_first = True  # the first code after a clear code adds no entry to the table
    while n_least < LARGEST_CODE_BITS:
        while n_held < n_bits and n_read < len(packed):
            held |= packed[n_read] << n_held
            n_held, n_read = n_held + 8, n_read + 1
        code = held & ((1 << n_bits) - 1)
        if n_held < n_bits:
            break
        held, n_held = held >> n_bits, n_held - n_bits
        if code == clear:
            n_bits, n_codes, is_first = n_least + 1, clear + 2, True
        elif code == clear + 1:
            return picture[: start + 1] + _write_blocks(packed[:n_read])
        elif is_first:
            is_first = False
        elif n_codes < 1 << LARGEST_CODE_BITS:
            n_codes += 1
            n_bits += n_codes == 1 << n_bits and n_bits < LARGEST_CODE_BITS
    return picture


def _write_blocks(packed: bytes) -> bytes:
    blocks = (packed[n : n + 255] for n in range(0, len(packed), 255))
    return b"".join([*(bytes([len(block)]) + block for block in blocks), b"\0"])


def _cut_blocks(picture: bytes) -> bytes:
    """Return a picture up to its first block that is not full; b"" if that is its last block, as usual.

    Encoders fill every block of compressed pixels except the last: data after that one may be something else.
    """
    position = start = DESCRIPTOR_BYTES + _count_palette_bytes(picture[9]) + 1
    while picture[position] and picture[position] == picture[start]:
        position += 1 + picture[position]
    end = position + 1 + picture[position] if picture[position] else position
    return picture[:end] + b"\0" if picture[end] else b""
