"""Damaged side chunks and missing ends do not change pixels; missing pixels are never invented."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from stages.images.first_picture import load_first
from stages.images.mending import mend
from stages.screen.strip_metadata import strip_metadata
from tests.unit.stages.images.drawn import chunk, draw, encode, segment

EXIF = Image.Exif()
EXIF[0x0112] = 6
HUGE = zlib.compress(bytes(3 << 20))
PNG = encode(draw(), "PNG")
GREY = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(6, 10))


def pixels(data: bytes, image_format: str) -> bytes:
    return load_first(data, image_format).tobytes()


@pytest.mark.parametrize(
    "side",
    [
        chunk(b"zTXt", b"a\0\0" + HUGE),
        chunk(b"iTXt", b"a\0\1\0\0\0" + HUGE),
        chunk(b"iCCP", b"a\0\0" + HUGE),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + HUGE),
        chunk(b"pHYs", bytes(9))[:-4] + b"\1\2\3\4",
        chunk(b"tRNS", bytes(6))[:-4] + b"\1\2\3\4",
        chunk(b"acTL", struct.pack(">II", 9, 0)),
        chunk(b"fcTL", b"\xff" * 26),
        chunk(b"pHYs", b""),
        chunk(b"prVt", b"anything"),
    ],
    ids=lambda side: side[4:8].decode() + f" of {len(side)}",
)
def test_side_chunks_of_a_png_change_no_pixel(side: bytes) -> None:
    for at in (33, len(PNG) - 12):
        found = load_first(PNG[:at] + side + PNG[at:], "PNG")
        assert (found.tobytes(), found.info.get("transparency")) == (pixels(PNG, "PNG"), None)


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "RGB", "RGBA", "LA", "P"])
@pytest.mark.parametrize("n_bytes", [0, 1, 2, 3, 6, 7, 256, 257, 300])
def test_a_transparency_of_a_wrong_length_is_skipped_as_by_browsers(mode: str, n_bytes: int) -> None:
    plain = encode(draw("L" if mode == "I;16" else mode).convert(mode), "PNG")
    n_colours = int.from_bytes(plain[33:37], "big") // 3 if mode == "P" else 0
    applied = {"L": (2,), "1": (2,), "I;16": (2,), "RGB": (6,), "P": range(1, n_colours + 1)}.get(mode, ())
    at = plain.index(b"IDAT") - 4
    odd = plain[:at] + chunk(b"tRNS", bytes(n_bytes)) + plain[at:]
    assert ("transparency" in load_first(odd, "PNG").info) == (n_bytes in applied)
    assert pixels(odd, "PNG") == pixels(plain, "PNG") or n_bytes in applied
    assert (b"tRNS" in strip_metadata(odd, "PNG", 1).data) == (n_bytes in applied)
    early = plain[:33] + chunk(b"tRNS", bytes(n_bytes)) + plain[33:]
    assert ("transparency" in load_first(early, "PNG").info) == (n_bytes in applied and mode != "P")


def test_chunks_that_decide_pixels_are_kept() -> None:
    clear = encode(draw("P"), "PNG", transparency=3, exif=EXIF)
    found = load_first(clear, "PNG")
    assert found.info["transparency"] == 3 and found.info["exif"]
    assert mend(PNG, "PNG") == PNG
    for broken in (PNG[:20] + b"\1" + PNG[21:], PNG[:33] + b"\0\0\0\1????" + PNG[33:]):
        with pytest.raises((SyntaxError, OSError)):
            load_first(broken, "PNG")


JPEGS = {
    "plain": encode(draw(), "JPEG"),
    "grey": encode(draw("L"), "JPEG"),
    "CMYK": encode(draw("CMYK"), "JPEG"),
    "progressive": encode(draw(), "JPEG", progressive=True),
    "restarts": encode(draw(), "JPEG", restart_marker_rows=1),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_may_only_lack_its_end_marker(kind: str) -> None:
    data, whole = JPEGS[kind], pixels(JPEGS[kind], "JPEG")
    assert [pixels(data[:-n], "JPEG") == whole for n in (1, 2)] == [True, True]
    n_refused = 0
    for n in (*range(3, 40), len(data) // 3, len(data) // 2):
        with pytest.raises(OSError, match=r"(?i)truncated"):
            load_first(data[:-n], "JPEG")
        n_refused += 1
    assert n_refused == 39


def test_a_progressive_jpeg_that_lacks_a_scan_is_truncated() -> None:
    data = JPEGS["progressive"]
    last = data.rindex(b"\xff\xda")
    start = max(data.rfind(b"\xff\xc4", 0, last), data.rfind(b"\xff\xda", 0, last))
    for end in {start, last} - {data.rfind(b"\xff\xda", 0, last)}:
        with pytest.raises(OSError, match=r"(?i)truncated"):
            load_first(data[:end], "JPEG")


def test_with_a_broken_index_of_pictures_the_first_one_is_read() -> None:
    mpo = encode(draw(), "MPO", save_all=True, append_images=[draw()])
    at = mpo.index(b"MPF\0")
    n_bytes = int.from_bytes(mpo[at - 2 : at], "big")
    whole = pixels(mpo, "MPO")
    random = np.random.default_rng(1)
    for _ in range(100):
        odd = bytearray(mpo)
        odd[at + 4 + int(random.integers(0, n_bytes - 6))] = int(random.integers(0, 256))
        assert pixels(bytes(odd), "JPEG") == whole
    jpeg = JPEGS["plain"]
    assert pixels(jpeg[:2] + segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff") + jpeg[2:], "JPEG") == pixels(jpeg, "JPEG")


def test_a_webp_may_lack_chunks_after_its_picture() -> None:
    data = encode(draw(), "WEBP", exif=EXIF, lossless=True)
    whole, at = pixels(data, "WEBP"), data.index(b"EXIF")
    assert all(pixels(data[:n], "WEBP") == whole for n in (len(data) - 1, at + 20, at + 4, at))
    with pytest.raises(OSError):
        load_first(data[: at - 3], "WEBP")
    moving = encode(draw(), "WEBP", save_all=True, append_images=[draw().rotate(90)], lossless=True)
    assert pixels(moving[:-40], "WEBP") == pixels(moving, "WEBP")


def test_an_animated_webp_with_a_broken_later_frame_is_read_and_published_without_it() -> None:
    frames = [draw().rotate(90 * n) for n in range(3)]
    data = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    second = data.index(b"ANMF", data.index(b"ANMF") + 4)
    whole = load_first(data, "WEBP").convert("RGB").tobytes()
    random = np.random.default_rng(2)
    n_shorter = 0
    for at in (second, second + 3, second + 30, *random.integers(second, len(data), 20).tolist()):
        noise = random.bytes(60)
        for broken in (data[:at] + bytes(len(data) - at), data[:at] + noise + data[at:], data[:at] + data[at + 60 :]):
            assert pixels(broken, "WEBP") == pixels(data, "WEBP")
            published = strip_metadata(broken, "WEBP").data
            with Image.open(io.BytesIO(published)) as image:
                assert image.convert("RGB").tobytes() == whole
                n_shorter += image.n_frames < 3
    assert n_shorter > 20


@pytest.mark.parametrize(("image", "n_filling"), [(draw(), 1), (draw("L"), 3), (GREY, 2)])
def test_a_bmp_may_lack_the_padding_of_its_last_row(image: Image.Image, n_filling: int) -> None:
    data = encode(image, "BMP")
    whole = pixels(data, "BMP")
    assert all(pixels(data[:-n], "BMP") == whole for n in range(1, n_filling + 1))
    with pytest.raises(OSError, match=r"(?i)truncated"):
        load_first(data[: -n_filling - 1], "BMP")
