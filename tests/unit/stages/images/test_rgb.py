"""Every mode is converted to RGB; large files are decoded at reduced size; orientation is applied."""

import io
import threading
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

from stages.images.formats import find_format
from stages.images.not_decoded import NotDecoded
from stages.images.rgb import _ANY_SIZE
from stages.images.rgb import open_rgb as open_named
from stages.images.shown import show

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (32, 1))


def open_rgb(data: bytes, longest_px: int | None = None) -> Image.Image:
    return open_named(data, str(find_format(data)), longest_px)


def _saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"])
def test_a_pixel_of_any_mode_is_converted_to_rgb(mode: str) -> None:
    found = show(Image.new(mode, (1, 1)))
    assert (found.mode, found.size) == ("RGB", (1, 1))


def test_grey_has_equal_channels() -> None:
    found = np.asarray(open_rgb(_saved(Image.fromarray(RAMP), "PNG")))
    assert (found == RAMP[..., None]).all()


def test_cmyk_without_ink_is_white() -> None:
    assert open_rgb(_saved(Image.new("CMYK", (4, 4)), "JPEG")).getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize("highest", [255, 4095, 65535])
def test_deep_samples_are_scaled_and_not_clipped(highest: int) -> None:
    deep = (RAMP.astype(np.float64) * highest / RAMP.max()).round().astype(np.uint16)
    found = np.asarray(open_rgb(_saved(Image.fromarray(deep), "PNG")))
    assert np.abs(found[..., 0] - RAMP * (255 / RAMP.max())).max() <= 1
    assert (found[..., 0] == found[..., 2]).all()


def test_a_uniform_deep_picture_is_grey_and_one_of_nan_is_black() -> None:
    assert show(Image.fromarray(np.full((2, 2), 900, np.uint16))).getpixel((0, 0)) == (128, 128, 128)
    assert show(Image.fromarray(np.full((2, 2), np.nan, np.float32))).getpixel((0, 0)) == (0, 0, 0)


def test_nan_values_do_not_darken_the_others() -> None:
    values = np.array([[np.nan, 1.0, 2.0, np.inf]], np.float32)
    found = np.asarray(show(Image.fromarray(values)))[0, :, 0]
    assert found.tolist() == [0, 0, 255, 0]


def test_transparent_pixels_are_shown_on_white() -> None:
    clear = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
    clear.putpixel((1, 0), (200, 0, 0, 255))
    found = open_rgb(_saved(clear, "PNG"))
    assert [found.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (200, 0, 0)]


def test_a_palette_keeps_its_colours_and_its_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 200, 30, 90, 0, 250])
    image.putpixel((1, 0), 1)
    plain, clear = open_rgb(_saved(image, "PNG")), open_rgb(_saved(image, "PNG", transparency=1))
    assert [plain.getpixel((x, 0)) for x in (0, 1)] == [(10, 200, 30), (90, 0, 250)]
    assert [clear.getpixel((x, 0)) for x in (0, 1)] == [(10, 200, 30), (255, 255, 255)]


def test_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    found = open_rgb(_saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert found.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int) -> None:
    upright = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    )
    undo = {5: 5, 6: 2, 7: 6, 8: 4, 2: 0, 3: 3, 4: 1}  # orientation to the PIL transposition that stores a picture so
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = open_rgb(_saved(stored, "PNG", exif=exif))
    assert found.size == upright.size
    assert (np.asarray(found) == np.asarray(upright)).all()


def test_broken_exif_is_ignored() -> None:
    data = _saved(Image.new("RGB", (8, 4)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert open_rgb(data).size == (8, 4)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_large_image_is_reduced_and_looks_the_same(image_format: str) -> None:
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 1600, dtype=np.uint8), (800, 1)))
    found = open_rgb(_saved(ramp, image_format), longest_px=200)
    assert found.size == (200, 100)
    assert np.abs(np.asarray(found)[50, :, 0] - np.linspace(0, 255, 200)).max() < 6


def test_a_small_image_keeps_its_pixels_and_a_thin_one_its_last_row() -> None:
    data = _saved(Image.fromarray(RAMP), "PNG")
    assert open_rgb(data, 64).tobytes() == open_rgb(data).tobytes()
    assert open_rgb(_saved(Image.new("L", (5000, 1)), "PNG"), 100).size == (100, 1)


def test_pictures_above_pils_own_limit_are_opened_and_the_limit_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert open_rgb(_saved(Image.new("L", (64, 64)), "PNG")).size == (64, 64)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_the_limit_is_lifted_while_any_thread_opens_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    second_is_in, first_is_out = threading.Event(), threading.Event()
    seen: list[int | None] = []

    def second() -> None:
        with _ANY_SIZE:
            second_is_in.set()
            first_is_out.wait(timeout=300)
            seen.append(Image.MAX_IMAGE_PIXELS)

    thread = threading.Thread(target=second)
    with _ANY_SIZE:
        thread.start()
        assert second_is_in.wait(timeout=300)
    first_is_out.set()
    thread.join()
    assert seen == [None] and Image.MAX_IMAGE_PIXELS == 100


def test_only_one_large_image_is_decoded_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = MagicMock()
    monkeypatch.setattr("stages.images.rgb.LARGE_PX", 100)
    monkeypatch.setattr("stages.images.rgb._ONE_LARGE", lock)
    small, large = (_saved(Image.new("L", (side_px, side_px)), "PNG") for side_px in (10, 11))
    assert open_rgb(small).size == (10, 10) and not lock.__enter__.called
    assert open_rgb(large).size == (11, 11) and lock.__enter__.call_count == lock.__exit__.call_count == 1


def test_no_other_format_is_tried_and_no_more_pixels_are_decoded() -> None:
    data = _saved(Image.new("L", (30, 20)), "PNG")
    with pytest.raises(NotDecoded, match="cannot identify"):
        open_named(data, "TIFF")
    with pytest.raises(NotDecoded, match="30 x 20, more than 599"):
        open_named(data, "PNG", max_pixels=599)
    assert open_named(data, "PNG", max_pixels=600).size == (30, 20)
    with pytest.raises(NotDecoded):
        open_named(data[:45], "PNG")


def test_a_jpeg_without_its_end_is_also_decoded_at_reduced_size() -> None:
    data = _saved(Image.fromarray(np.tile(RAMP, (8, 8))), "JPEG")
    assert open_rgb(data[:-2], 100).tobytes() == open_rgb(data, 100).tobytes()
