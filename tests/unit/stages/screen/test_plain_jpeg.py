"""A plain JPEG has the header and the pixels that Pillow finds; with any other file Pillow decides."""

import io
import struct
from random import Random

import pytest
from PIL import Image

from stages.images.exif import facts_of, orientation_of, read_tags
from stages.images.first_picture import load_first
from stages.screen.plain_jpeg import decode_plain, open_plain
from tests.unit.stages.images.drawn import draw, encode, segment

EXIF = Image.Exif()
EXIF[0x0112], EXIF[0x0132] = 6, "2020:06:01 10:20:30"
WHOLE = encode(draw(), "JPEG")
LARGE = encode(draw("RGB", 700, 500).effect_spread(9), "JPEG", quality=98)
PLAIN = {
    "JFIF": WHOLE,
    "larger than one piece that Pillow feeds": LARGE,
    "grey": encode(draw("L"), "JPEG"),
    "progressive": encode(draw(), "JPEG", progressive=True),
    "restarts": encode(draw(), "JPEG", restart_marker_rows=1),
    "RGB": encode(draw(), "JPEG", keep_rgb=True),
    "EXIF": encode(draw(), "JPEG", exif=EXIF, dpi=(72, 72), comment="a comment"),
    "EXIF without JFIF": WHOLE[:2] + segment(0xE1, EXIF.tobytes()) + WHOLE[20:],
    "XMP": WHOLE[:20] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b'tiff:Orientation="3"') + WHOLE[20:],
    "profile": encode(draw(), "JPEG", icc_profile=bytes(70_000)),
    "Photoshop": WHOLE[:20] + segment(0xED, b"Photoshop 3.0\x008BIM\4\4\0\0\0\0\0\2ab") + WHOLE[20:],
    "empty table": WHOLE[:20] + segment(0xDB, b"") + WHOLE[20:],
    "Adobe": WHOLE[:20] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\1") + WHOLE[20:],
}
TABLE_OF_16_BITS = segment(0xDB, b"\x12" + bytes(range(1, 65)) * 2)
UNUSUAL = {
    "CMYK": encode(draw("CMYK"), "JPEG"),
    "MPO": encode(draw(), "MPO", save_all=True, append_images=[draw("L")]),
    "two EXIF blocks": WHOLE[:20] + 2 * segment(0xE1, EXIF.tobytes()) + WHOLE[20:],
    "broken EXIF": WHOLE[:20] + segment(0xE1, b"Exif\0\0MM\0*") + WHOLE[20:],
    "short JFIF": WHOLE[:2] + segment(0xE0, b"JFIF\0\1") + WHOLE[20:],
    "short profile": WHOLE[:20] + segment(0xE2, b"ICC_PROFILE\0\1") + WHOLE[20:],
    "short Adobe": WHOLE[:20] + segment(0xEE, b"Adobe\0") + WHOLE[20:],
    "cut settings of Photoshop": WHOLE[:20] + segment(0xED, b"Photoshop 3.0\x008BIM\4\4") + WHOLE[20:],
    "table of 16 bits": WHOLE[:20] + TABLE_OF_16_BITS + WHOLE[20:],
    "cut table": WHOLE[:20] + segment(0xDB, bytes(60)) + WHOLE[20:],
    "junk": WHOLE[:20] + b"junk" + WHOLE[20:],
    "no end": WHOLE[:-2],
    "no scan": WHOLE[:200],
}


def assert_equal(data: bytes) -> None:
    """Assert that what is found without Pillow is what Pillow finds."""
    jpeg = open_plain(data, 10**6)
    assert jpeg is not None
    pixels = decode_plain(data, jpeg)
    assert pixels is not None
    expected = load_first(data, "JPEG")
    tags = read_tags(expected)
    found = (jpeg.size, jpeg.mode, "JPEG", pixels.tobytes())
    assert found == (expected.size, expected.mode, expected.format, expected.tobytes())
    assert (jpeg.orientation, jpeg.exif) == (orientation_of(tags), facts_of(tags))


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_file_has_the_header_and_pixels_that_pillow_finds(kind: str) -> None:
    assert_equal(PLAIN[kind])


@pytest.mark.parametrize("kind", UNUSUAL)
def test_an_unusual_file_is_left_to_pillow(kind: str) -> None:
    assert open_plain(UNUSUAL[kind], 10**6) is None


def test_a_picture_above_the_limit_is_left_to_pillow() -> None:
    assert open_plain(WHOLE, 53 * 41) is not None
    assert open_plain(WHOLE, 53 * 41 - 1) is None


def test_missing_pixels_are_left_to_pillow() -> None:
    for whole in (WHOLE, PLAIN["grey"], PLAIN["restarts"]):
        cut = whole[: -len(whole) // 3] + b"\xff\xd9"  # libjpeg invents them
        opened = open_plain(cut, 10**6)
        assert opened is not None and decode_plain(cut, opened) is None
    frame = WHOLE.index(b"\xff\xc0")
    arithmetic = WHOLE[: frame + 11] + struct.pack(">B", 0x55) + WHOLE[frame + 12 :]
    jpeg = open_plain(arithmetic, 10**6)
    assert jpeg is not None and decode_plain(arithmetic, jpeg) is None


def test_a_mutated_file_that_decodes_is_what_pillow_decodes() -> None:
    random = Random(3)
    n_decoded = 0
    for _ in range(600):
        data = bytearray(random.choice(list(PLAIN.values())))
        end = min(len(data), random.choice((60, 700, len(data))))
        for _ in range(random.randint(1, 3)):
            data[random.randrange(2, end)] = random.choice((0, 1, 255, random.randrange(256)))
        jpeg = open_plain(bytes(data), 10**6)
        if jpeg is not None and decode_plain(bytes(data), jpeg) is not None:
            assert_equal(bytes(data))
            n_decoded += 1
    assert n_decoded > 100


def test_the_pieces_that_pillow_feeds_do_not_change_damaged_pixels() -> None:
    random = Random(4)
    assert len(LARGE) > 2 * 65536
    for _ in range(20):
        data = bytearray(LARGE)
        for _ in range(8):
            data[random.randrange(60_000, len(data) - 2)] = random.choice((0xFF, 0xD0, 0xD9, random.randrange(256)))
        jpeg = open_plain(bytes(data), 10**6)
        pixels = jpeg and decode_plain(bytes(data), jpeg)
        if pixels is not None:
            with Image.open(io.BytesIO(data)) as image:
                assert pixels.tobytes() == image.tobytes()
