"""Grey of 16 bits with opacity is stretched as grey without, over the range of pixels that are seen."""

import struct
import zlib

import numpy as np
import pytest

from stages.images.first_picture import load_first
from stages.images.shown import show
from tests.unit.stages.images.drawn import chunk, draw

GREY = np.asarray(draw("L")).astype(">u2") * 9 + 300
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png(samples: np.ndarray, colour_type: int, is_interlaced: bool = False) -> bytes:
    height, width = samples.shape[:2]
    passes = [samples[top::rows, left::columns] for left, top, columns, rows in ADAM7] if is_interlaced else [samples]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in passes for row in part if row.size)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, is_interlaced)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def shown(data: bytes) -> np.ndarray:
    return np.asarray(show(load_first(data, "PNG")))


@pytest.mark.parametrize("is_interlaced", [False, True])
def test_opaque_grey_is_shown_as_grey_without_opacity(is_interlaced: bool) -> None:
    opaque = np.dstack([GREY, np.full_like(GREY, 65535)])
    found = shown(png(opaque, 4, is_interlaced))
    assert (found == shown(png(GREY, 0))).all() and found.min() == 0 and found.max() == 255


def test_hidden_pixels_are_white_and_outside_the_range() -> None:
    hidden = np.dstack([GREY, np.full_like(GREY, 65535)])
    hidden[:9] = (60000, 0)
    found = shown(png(hidden, 4))
    assert (found[:9] == 255).all()
    assert (found[9:] == shown(png(GREY[9:], 0))).all()


def test_a_picture_without_all_rows_is_truncated() -> None:
    whole = png(np.dstack([GREY, np.full_like(GREY, 65535)]), 4)
    height = struct.pack(">I", 2 * GREY.shape[0])
    header = whole[16:20] + height + whole[24:29]
    with pytest.raises(OSError, match="truncated"):
        load_first(whole[:8] + chunk(b"IHDR", header) + whole[33:], "PNG")
