"""A picture whose file lacks pixels is refused, whatever its decoder says; a whole one with an even end is not."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from stages.images.first_picture import load_first
from tests.unit.stages.images.drawn import chunk, draw, encode

EOI = b"\xff\xd9"
SIZE = (160, 120)
SAVED = {
    "baseline": ("RGB", {}),
    "grey": ("L", {}),
    "CMYK": ("CMYK", {}),
    "restarts": ("RGB", {"restart_marker_rows": 1}),
    "progressive": ("RGB", {"progressive": True}),
}
KINDS = [(1, 0), (4, 3), (8, 0), (16, 0), (8, 2), (16, 2), (8, 3), (8, 4), (8, 6), (16, 6)]  # bits, colour type
N_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def jpeg(kind: str, picture: Image.Image | None = None) -> bytes:
    mode, options = SAVED[kind]
    return encode((picture or draw("RGB", *SIZE)).convert(mode), "JPEG", quality=90, **options)


def png(n_bits: int, colour_type: int, is_interlaced: bool, share: float, size: tuple[int, int] = (21, 19)) -> bytes:
    """Return a PNG of samples that are not zero, with a share of its bytes of pixels in a complete stream."""
    width, height = size
    rows = b""
    for left, top, step, row_step in ADAM7 if is_interlaced else ((0, 0, 1, 1),):
        n_bytes = (len(range(left, width, step)) * n_bits * N_SAMPLES[colour_type] + 7) // 8
        rows += (b"\0" + b"\x77" * n_bytes) * len(range(top, height, row_step)) if n_bytes else b""
    header = struct.pack(">IIBBBBB", width, height, n_bits, colour_type, 0, 0, is_interlaced)
    palette = chunk(b"PLTE", bytes(range(3 * min(256, 2**n_bits)))) if colour_type == 3 and n_bits < 8 else b""
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if (n_bits, colour_type) == (8, 3) else palette
    pixels = chunk(b"IDAT", zlib.compress(rows[: int(len(rows) * share)]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", SAVED)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("end", [EOI, EOI + b"trailer", bytes(4096), EOI + bytes(4096)])
def test_a_cut_jpeg_is_truncated_whatever_follows(kind: str, share: float, end: bytes) -> None:
    whole = jpeg(kind)
    with pytest.raises(OSError, match="truncated"):
        load_first(whole[: int(len(whole) * share)] + end, "JPEG")


def test_a_jpeg_cut_at_a_restart_marker_is_truncated() -> None:
    whole = jpeg("restarts")
    start = whole.index(b"\xff\xd3")
    for data in (whole[:start], whole[:start] + EOI, whole[: start + 2] + EOI, whole[:start] + bytes(4096)):
        with pytest.raises(OSError, match="truncated"):
            load_first(data, "JPEG")


@pytest.mark.parametrize("kind", SAVED)
@pytest.mark.parametrize("level", [0, 127, 128, 129, 255])
def test_a_whole_jpeg_with_an_even_end_has_all_of_its_pixels(kind: str, level: int) -> None:
    picture = draw("RGB", *SIZE)
    picture.paste((level,) * 3, (0, 50, *SIZE))
    whole = jpeg(kind, picture)
    expected = load_first(whole, "JPEG").tobytes()
    for data in (whole + b"trailer", whole + bytes(4096), whole[:-2], whole[:-2] + bytes(4096)):
        assert load_first(data, "JPEG").tobytes() == expected


@pytest.mark.parametrize(("n_bits", "colour_type"), KINDS)
@pytest.mark.parametrize("is_interlaced", [False, True])
def test_a_png_without_all_rows_is_truncated(n_bits: int, colour_type: int, is_interlaced: bool) -> None:
    assert load_first(png(n_bits, colour_type, is_interlaced, 1), "PNG").size == (21, 19)
    for share in (0.1, 0.5, 0.97):
        with pytest.raises(OSError, match="truncated"):
            load_first(png(n_bits, colour_type, is_interlaced, share), "PNG")


@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (2, 9), (5, 5)])
def test_small_pngs_are_whole(is_interlaced: bool, size: tuple[int, int]) -> None:
    data = png(8, 2, is_interlaced, 1, size)
    black = encode(Image.new("RGB", size), "PNG")
    assert load_first(data, "PNG").size == load_first(black, "PNG").size == size


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
def test_a_black_or_transparent_png_is_whole(mode: str) -> None:
    samples = np.zeros((40, 30), np.uint16)
    picture = Image.fromarray(samples) if mode == "I;16" else Image.new(mode, (30, 40))
    assert load_first(encode(picture, "PNG"), "PNG").size == (30, 40)
