"""A PNG with all rows and a wrong sum (Adler-32) is read; one whose pixels do not inflate, or lack rows, is not."""

import struct
import zlib

import pytest

from stages.images.first_picture import load_first
from stages.images.png_pixels import correct_sum
from stages.screen.strip_metadata import strip_metadata
from tests.unit.stages.images.drawn import chunk, draw, encode

PICTURE = draw("RGB", 61, 40)
ROWS = b"".join(b"\0" + PICTURE.crop((0, top, 61, top + 1)).tobytes() for top in range(40))
STREAM = zlib.compress(ROWS)
STORED = zlib.compress(ROWS, 0)
WRONG = b"\1\2\3\4"


def png(*bodies: bytes) -> bytes:
    """Return a PNG of these pixel chunks and an EXIF block behind them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *PICTURE.size, 8, 2, 0, 0, 0))
    pixels = b"".join(chunk(b"IDAT", body) for body in bodies)
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("n_first", [2, 50, len(STREAM) - 2])
def test_a_wrong_sum_behind_whole_rows_is_corrected_and_published_right(n_first: int) -> None:
    wrong = STREAM[:-4] + WRONG
    for data in (png(wrong), png(wrong[:n_first], wrong[n_first:]), png(wrong + b"behind")):
        assert load_first(data, "PNG").tobytes() == PICTURE.tobytes()
        published = strip_metadata(data, "PNG").data
        assert published == png(STREAM) and strip_metadata(published, "PNG").data == published


def test_a_right_or_absent_sum_changes_nothing() -> None:
    for data in (png(STREAM), png(STREAM[:-4]), png(STREAM + b"behind")):
        assert correct_sum(data) is None
        assert load_first(data, "PNG").tobytes() == PICTURE.tobytes()
    assert strip_metadata(png(STREAM[:-4]), "PNG").data == png(STREAM[:-4])


def test_pixels_that_were_changed_on_the_way_are_refused() -> None:
    """Both checks of such a file fail: the sum, and the checksum of the chunk."""
    sound, flipped = png(STORED), bytearray(png(STORED))
    flipped[200] ^= 1
    assert load_first(sound, "PNG").tobytes() == PICTURE.tobytes()
    with pytest.raises(OSError, match="broken data stream"):
        load_first(bytes(flipped), "PNG")


def test_rows_that_are_missing_or_do_not_inflate_are_refused() -> None:
    few = zlib.compress(ROWS[: len(ROWS) // 2])
    with pytest.raises(OSError, match="truncated"):
        load_first(png(few[:-4] + WRONG), "PNG")
    broken = bytearray(STREAM)
    broken[len(broken) // 2 : len(broken) // 2 + 40] = b"\xff" * 40
    for stream in (bytes(broken), zlib.compress(ROWS * 3)[:-4] + WRONG):
        assert correct_sum(png(stream)) is None


def test_a_chunk_before_the_header_is_not_taken_for_it() -> None:
    data = png(STREAM[:-4] + WRONG)
    assert correct_sum(data[:8] + chunk(b"CgBI", bytes(4)) + data[8:]) is None
    assert correct_sum(encode(draw(), "PNG")) is None
