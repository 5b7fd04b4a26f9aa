"""The transparent colour of a PNG is found at any depth: it is compared with samples as stored."""

import struct
import zlib

import numpy as np
import pytest

from stages.images.first_picture import load_first
from stages.images.shown import show
from tests.unit.stages.images.drawn import chunk

WHITE = (255, 255, 255)


def png(samples: np.ndarray, n_bits: int, clear: bytes, side: bytes = b"") -> bytes:
    """Return a PNG of grey or RGB samples [height, width, 1 or 3] with one transparent colour."""
    height, width, n_bands = samples.shape
    rows = np.unpackbits(samples.astype(">u2").reshape(height, -1, 1).view(np.uint8), axis=2)[:, :, -n_bits:]
    packed = b"".join(b"\0" + np.packbits(row).tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, n_bits, 2 if n_bands == 3 else 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + side + chunk(b"tRNS", clear) + chunk(b"IDAT", zlib.compress(packed))
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [b"", chunk(b"pHYs", bytes(9))[:-4] + b"\1\2\3\4"])
def test_only_the_pixels_that_equal_a_deep_colour_in_16_bits_are_transparent(side: bytes) -> None:
    samples = np.array([[[300, 2, 70], [300, 2, 71], [301, 2, 70], [300, 2, 70 + 256]]])
    shown = show(load_first(png(samples, 16, struct.pack(">HHH", 300, 2, 70), side), "PNG"))
    assert list(shown.getdata()) == [WHITE, (1, 0, 0), (1, 0, 0), (1, 0, 1)]


@pytest.mark.parametrize("n_bits", [1, 2, 4, 8])
def test_a_clear_grey_level_is_found_at_each_depth(n_bits: int) -> None:
    n_levels = 1 << n_bits
    samples = np.arange(n_levels).reshape(1, n_levels, 1)
    for clear in range(n_levels):
        shown = show(load_first(png(samples, n_bits, struct.pack(">H", clear)), "PNG"))
        found = [pixel[0] for pixel in shown.getdata()]
        expected = [255 * level // (n_levels - 1) for level in range(n_levels)]
        assert found == [255 if level == clear else grey for level, grey in enumerate(expected)]
