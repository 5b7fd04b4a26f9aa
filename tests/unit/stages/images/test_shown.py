"""A picture is shown upright, on white and in 8 bits, as a whole or in strips."""

import io

import numpy as np
import pytest
from PIL import Image

from stages.images import shown
from stages.images.shown import show, turn, turned_size
from tests.unit.stages.images.drawn import draw, encode


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"])
def test_strips_compose_the_whole_picture_in_every_orientation(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new(mode, (7, 5)) if mode == "PA" else draw("L" if mode == "I;16" else "RGB", 7, 5).convert(mode)
    for orientation in range(1, 9):
        monkeypatch.setattr(shown, "STRIP_PIXELS", 1 << 22)
        whole = show(image, orientation)
        assert whole.size == turned_size(image.size, orientation)
        assert whole.tobytes() == turn(show(image), orientation).tobytes()
        for n_pixels in (1, 14, 20):
            monkeypatch.setattr(shown, "STRIP_PIXELS", n_pixels)
            assert show(image, orientation).tobytes() == whole.tobytes()


def test_transparent_pixels_are_white_in_every_encoding() -> None:
    clear = Image.new("RGBA", (2, 1), (10, 20, 30, 255))
    clear.putpixel((1, 0), (200, 0, 0, 0))
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    named = clear.convert("RGB")
    stored = [
        encode(clear, "PNG"),
        encode(clear, "WEBP", lossless=True),
        encode(clear, "TIFF"),
        encode(palette, "PNG", transparency=1),
        encode(palette, "GIF", transparency=1),
        encode(named, "PNG", transparency=(200, 0, 0)),
    ]
    for data in stored:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert list(show(image).getdata()) == [(10, 20, 30), (255, 255, 255)]


def test_a_deep_picture_is_scaled_and_its_transparent_value_is_white() -> None:
    deep = Image.fromarray(np.array([[100, 200, 300, 60000]], np.uint16))
    assert [p[0] for p in show(deep).getdata()] == [0, 0, 1, 255]
    deep.info["transparency"] = 60000
    assert [p[0] for p in show(deep).getdata()] == [0, 127, 255, 255]
