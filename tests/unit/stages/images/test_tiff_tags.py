"""Broken tags of a TIFF that do not describe pixels leave its pixels unchanged."""

import struct

import numpy as np
import pytest
from PIL import TiffImagePlugin

from stages.images.exif import read_facts
from stages.images.first_picture import load_first
from stages.images.tiff_tags import DECIDING, remove_side_tags
from tests.unit.stages.images.drawn import draw, encode

RESOLUTION = TiffImagePlugin.IFDRational(72, 1)
TAGS = {270: "a picture", 282: RESOLUTION, 283: RESOLUTION, 296: 2, 305: "a program", 306: "2020:01:01 00:00:00"}


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
@pytest.mark.parametrize("has_big_offsets", [False, True])
def test_broken_side_tags_change_no_pixel(compression: str | None, has_big_offsets: bool) -> None:
    data = encode(draw(), "TIFF", compression=compression, tiffinfo=TAGS, big_tiff=has_big_offsets)
    whole = load_first(data, "TIFF").tobytes()
    is_big = data[2:3] == b"+"  # PIL writes compressed files by libtiff, with 32-bit offsets
    n_bytes, count = (20, "<Q") if is_big else (12, "<H")
    (start,) = struct.unpack_from("<Q" if is_big else "<I", data, 8 if is_big else 4)
    (n_entries,) = struct.unpack_from(count, data, start)
    places = range(start + struct.calcsize(count), start + struct.calcsize(count) + n_entries * n_bytes, n_bytes)
    side = [at for at in places if struct.unpack_from("<H", data, at)[0] not in DECIDING]
    assert len(side) >= 5
    random = np.random.default_rng(2)
    for _ in range(150):
        odd = bytearray(data)
        odd[int(random.choice(side)) + 2 + int(random.integers(0, n_bytes - 2))] = int(random.integers(0, 256))
        assert load_first(bytes(odd), "TIFF").tobytes() == whole


def test_facts_and_further_pages_are_kept() -> None:
    data = encode(draw(), "TIFF", tiffinfo=TAGS, save_all=True, append_images=[draw()])
    mended = remove_side_tags(data)
    assert len(mended) == len(data) and mended != data
    image = load_first(data, "TIFF")
    assert read_facts(image)["exif_datetime"] == "2020-01-01T00:00:00"
    for broken in (b"", b"II*\0", data[:12], b"II*\0\xff\xff\xff\xff" + data[8:]):
        assert remove_side_tags(broken) == broken
