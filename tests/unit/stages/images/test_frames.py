"""Frames are counted up to a broken one, without decoding."""

import io
import struct

import pytest
from PIL import Image

from stages.images.first_picture import load_first
from stages.images.frames import MOST_FRAMES, count_frames, count_pages
from tests.unit.stages.images.drawn import chunk, draw, encode

FRAMES = [draw().rotate(90), draw().rotate(45)]
MOVING = {name: encode(draw(), name, save_all=True, append_images=FRAMES) for name in ("GIF", "PNG", "WEBP", "TIFF")}


def count(data: bytes, image_format: str) -> int:
    return count_frames(data, load_first(data, image_format))


@pytest.mark.parametrize("image_format", MOVING)
def test_frame_counts_equal_pils(image_format: str) -> None:
    data = MOVING[image_format]
    with Image.open(io.BytesIO(data)) as image:
        assert count(data, image_format) == image.n_frames == 3
    assert count(encode(draw(), image_format), image_format) == 1


def test_counting_stops_at_a_broken_frame() -> None:
    gif = MOVING["GIF"]
    second = gif.index(b"\x2c", gif.index(b"\x21\xf9", gif.index(b"\x2c") + 1))
    assert [count(gif[: second + n], "GIF") for n in (0, 9, 10, 400)] == [1, 1, 2, 2]
    tiff = MOVING["TIFF"]
    (first,) = struct.unpack_from("<I", tiff, 4)
    (n_entries,) = struct.unpack_from("<H", tiff, first)
    end = first + 2 + 12 * n_entries
    for following, n_pages in ((len(tiff), 1), (len(tiff) - 1, 1), (first, 1), (0, 1)):
        odd = tiff[:end] + struct.pack("<I", following) + tiff[end + 4 :]
        assert count(odd, "TIFF") == n_pages
    assert count_pages(tiff[:20]) == 0


def test_counts_are_bounded() -> None:
    png = encode(draw(), "PNG")
    stated = png[:33] + chunk(b"acTL", struct.pack(">II", 1 << 31, 0)) + chunk(b"fcTL", bytes(26)) * 20_000 + png[33:]
    assert count(stated, "PNG") == MOST_FRAMES
    gif = encode(draw("P"), "GIF")
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\0"
    assert count(gif[:-1] + frame * 20_000, "GIF") == MOST_FRAMES
