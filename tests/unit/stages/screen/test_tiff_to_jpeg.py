"""A TIFF is published as a JPEG of the picture that models see."""

import io

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from stages.images.rgb import open_rgb
from stages.screen.tiff_to_jpeg import encode_tiff_as_jpeg


def draw(mode: str) -> Image.Image:
    random = np.random.default_rng(4)
    smooth = Image.fromarray(random.integers(0, 255, (4, 5, 4), dtype=np.uint8), "RGBA").resize((50, 40))
    if mode in ("I;16", "F", "I"):
        grey = np.asarray(smooth.convert("L"))
        deep = {"I;16": grey.astype(np.uint16) * 9, "F": grey / np.float32(7), "I": grey.astype(np.int32)}
        return Image.fromarray(deep[mode])
    return smooth if mode == "RGBA" else smooth.convert("RGB").convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "1", "LA", "I;16", "F", "I"])
@pytest.mark.parametrize("orientation", [1, 6, 4])
def test_the_jpeg_is_near_what_models_see(mode: str, orientation: int) -> None:
    stream = io.BytesIO()
    draw(mode).save(stream, "TIFF", tiffinfo={0x0112: orientation})
    encoded = encode_tiff_as_jpeg(stream.getvalue())
    seen = open_rgb(stream.getvalue(), "TIFF")
    with Image.open(io.BytesIO(encoded)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", seen.size)
        difference = np.abs(np.asarray(image).astype(int) - np.asarray(seen)).mean()
    assert difference < (16 if mode in ("1", "P") else 4)  # these modes are dithered
    assert encode_tiff_as_jpeg(stream.getvalue()) == encoded


def test_a_tiff_larger_than_pils_own_limit_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    draw("RGB").save(stream, "TIFF")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(stream.getvalue()))
    assert encode_tiff_as_jpeg(stream.getvalue())[:2] == b"\xff\xd8"


def test_another_format_is_refused() -> None:
    stream = io.BytesIO()
    draw("RGB").save(stream, "PNG")
    with pytest.raises(UnidentifiedImageError):
        encode_tiff_as_jpeg(stream.getvalue())
