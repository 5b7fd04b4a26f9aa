"""Bitmaps: an opacity of 0 everywhere is an empty byte, and one cut short is named so."""

import struct

import numpy as np
import pytest

from stages.images.first_picture import load_first
from stages.images.formats import explain
from stages.images.shown import show
from tests.unit.stages.images.drawn import draw

PIXELS = np.asarray(draw())
HEIGHT, WIDTH = PIXELS.shape[:2]
MASKS = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
HEADERS = {56: MASKS, 108: MASKS + b"BGRs" + bytes(48), 124: MASKS + b"BGRs" + bytes(64)}  # by length
BIT_FIELDS, RLE8 = 3, 1


def bmp(n_header: int, n_bits: int, compression: int, rest: bytes, pixels: bytes) -> bytes:
    fields = (n_header, WIDTH, HEIGHT, 1, n_bits, compression, len(pixels), 2835, 2835, 0, 0)
    header = struct.pack("<IiiHHIIiiII", *fields) + rest
    start = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + pixels


@pytest.mark.parametrize("n_header", HEADERS)
def test_an_opacity_of_zero_everywhere_is_none(n_header: int) -> None:
    opacity = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    for level, expected in ((0, PIXELS), (255, PIXELS)):
        stored = np.dstack([PIXELS[::-1, :, ::-1], opacity + np.uint8(level)])
        data = bmp(n_header, 32, BIT_FIELDS, HEADERS[n_header], stored.tobytes())
        assert (np.asarray(show(load_first(data, "BMP"))) == expected).all()
    opacity[0, 0] = 255
    stored = np.dstack([PIXELS[::-1, :, ::-1], opacity])
    found = np.asarray(show(load_first(bmp(n_header, 32, BIT_FIELDS, HEADERS[n_header], stored.tobytes()), "BMP")))
    assert (found[-1, 0] == PIXELS[-1, 0]).all() and (found[:-1] == 255).all()


def test_a_packed_bitmap_cut_short_is_truncated() -> None:
    palette = bytes(value for level in range(256) for value in (level, level, level, 0))
    rows = b"".join(b"".join(bytes([1, int(level)]) for level in row) + b"\0\0" for row in PIXELS[::-1, :, 0])
    whole = bmp(40, 8, RLE8, palette, rows[:-2] + b"\0\1")
    assert (np.asarray(show(load_first(whole, "BMP")))[..., 0] == PIXELS[..., 0]).all()
    for data in (whole[: len(whole) // 2], whole[: len(whole) // 2 // 2 * 2] + b"\0\1"):
        with pytest.raises(ValueError, match="not enough image data") as error:
            load_first(data, "BMP")
        assert explain(data, "BMP", error.value)[0] == "truncated_image"
