"""A plain EXIF block has the values that Pillow reads; with any other block Pillow decides."""

import io
import struct
from random import Random
from typing import Any

import pytest
from PIL import Image

from stages.images.exif import facts_of, orientation_of, read_tags
from stages.images.plain_exif import read_plain
from tests.unit.stages.images.drawn import draw, encode, segment

JPEG = encode(draw(), "JPEG")
UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 99: 1}
TIMES = (b"2019:07:31 23:59:58", b" 2019:7:1 3:9:8 ", b"2019-07-31 23:59:58", b"0000:00:00 00:00:00", b"", b"\xe9\0 ")
SIDES = {1: (b"N", b"s ", b"?"), 3: (b"E", b"w", b"EE")}
ABOVE, BELOW = (0, 1, 33, 59, 0xFFFFFFFF), (1, 1, 1, 1, 0, 3, 10, 0xFFFFFFFF)
Value = tuple[int, int, bytes]  # type, count, data


def read_by_pillow(block: bytes) -> tuple[int | None, dict[str, Any]]:
    # Without JFIF, whose resolution would keep Pillow from reading the one of EXIF.
    with Image.open(io.BytesIO(JPEG[:2] + segment(0xE1, block) + JPEG[20:]), formats=["JPEG"]) as image:
        tags = read_tags(image)
    return orientation_of(tags), facts_of(tags)


def draw_value(random: Random, order: str, tag: int, share_odd: float) -> Value:
    """Return a value of the standard's type, or with some probability of any type."""
    text = random.choice(SIDES.get(tag, TIMES))
    terms = [random.choice(range_) for range_ in (ABOVE, BELOW) * 3]
    kinds: dict[int, Value] = {
        0x0112: (3, 1, struct.pack(order + "H", random.randrange(11))),
        0x011A: (5, 1, struct.pack(order + "II", 72, random.randrange(3))),
        0x0128: (3, 1, struct.pack(order + "H", random.randrange(4))),
        **dict.fromkeys((0x0132, 0x9003, 1, 3), (2, len(text) + 1, text + b"\0")),
        **dict.fromkeys((2, 4), (5, 3, struct.pack(order + "6I", *terms))),
    }
    if tag in kinds and random.random() >= share_odd:
        return kinds[tag]
    kind, n = random.choice(list(UNITS)), random.choice((0, 1, 1, 2, 3, 20))
    return kind, n, random.randbytes(n * UNITS[kind])


def write_block(random: Random, share_odd: float) -> bytes:
    order = random.choice("<>")
    tiff = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))

    def write_directory(tags: tuple[int, ...], pointers: dict[int, int]) -> int:
        values = {tag: draw_value(random, order, tag, share_odd) for tag in tags if random.random() < 0.7}
        values |= {tag: (4, 1, struct.pack(order + "I", place)) for tag, place in pointers.items()}
        entries = []
        for tag, (kind, n, data) in values.items():
            stored = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(order + "I", len(tiff))
            tiff.extend(data if len(data) > 4 else b"")
            entries.append(struct.pack(order + "HHI", tag, kind, n) + stored)
        entries += random.choices(entries, k=1) if entries and random.random() < share_odd else []
        random.shuffle(entries)
        place = len(tiff)
        tiff.extend(struct.pack(order + "H", len(entries)) + b"".join(entries))
        tiff.extend(b"" if random.random() < share_odd else bytes(4))
        return place

    pointers = {}
    if random.random() < 0.8:
        pointers[0x8769] = write_directory((0x9003, 0x9286, 0x927C), {})
    if random.random() < 0.8:
        pointers[0x8825] = write_directory((0, 1, 2, 3, 4, 6, 29), {})
    place = write_directory((0x010F, 0x0112, 0x011A, 0x0128, 0x0132, 0x9C9C), pointers)
    struct.pack_into(order + "I", tiff, 4, place)
    return b"Exif\0\0" + bytes(tiff)


@pytest.mark.parametrize(
    ("share_odd", "n_changes", "least_plain"), [(0, 0, 1.0), (0.1, 0, 0.3), (0.02, 2, 0.3), (0.5, 4, 0)]
)
def test_a_block_that_is_read_has_the_values_of_pillow(share_odd: float, n_changes: int, least_plain: float) -> None:
    random = Random(17)
    n_plain, n_taken, n_places = 0, 0, 0
    for _ in range(400):
        block = bytearray(write_block(random, share_odd))
        for _ in range(random.randint(0, n_changes)):
            block[random.randrange(len(block))] = random.choice((0, 1, 2, 3, 255, random.randrange(256)))
        if n_changes and random.random() < 0.1:
            del block[random.randrange(len(block)) :]
        found = read_plain(bytes(block))
        if found is not None:
            assert found == read_by_pillow(bytes(block)), bytes(block)
            n_plain += 1
            n_taken += found[1]["exif_datetime"] is not None
            n_places += found[1]["exif_latitude_deg"] is not None
    assert n_plain >= least_plain * 400
    assert share_odd or min(n_taken, n_places) > 10


def test_a_block_for_which_pillow_refuses_the_file_is_not_plain() -> None:
    unit, resolution = struct.pack(">HHIHH", 0x0128, 3, 1, 2, 0), struct.pack(">HHI4s", 0x011A, 1, 1, b"\x48")
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + unit + resolution + bytes(4)
    with pytest.raises(OSError, match="cannot identify"):
        read_by_pillow(block)
    assert read_plain(block) is None


@pytest.mark.parametrize(
    "block", [b"", b"Exif\0\0", b"Exif\0\0MM\0*", b"Exif\0\0MM\0+" + bytes(20), b"II*\0" + bytes(9)]
)
def test_no_block_is_not_plain(block: bytes) -> None:
    assert read_plain(block) is None
