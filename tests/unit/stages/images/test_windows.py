import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from stages.images.windows import correlate_windows, find_frame, find_windows, window_distance

MIN_DETAIL = 0.05


def draw(seed: int) -> Image.Image:
    coarse = np.random.default_rng([9, seed]).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((240, 180), Image.Resampling.BICUBIC)


def _strip(image: Image.Image, at_top: bool = False) -> Image.Image:
    image = image.copy()
    top, bottom = (0, round(image.height * 0.12)) if at_top else (round(image.height * 0.88), image.height)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, top, image.width, bottom), fill=(20, 20, 20))
    pen.text((6, top + 4), "seen from above", fill=(240, 240, 240), font_size=12)
    return image


def _marked(image: Image.Image) -> Image.Image:
    pen = ImageDraw.Draw(image)
    for x in range(0, image.width, 90):
        pen.text((x, 2), "mark", fill=(128, 128, 128), font_size=12)
    return image


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (10, 90, 200)])
@pytest.mark.parametrize("width", [4, 9, 25])
def test_a_frame_is_left_out_whatever_its_colour(colour: tuple[int, int, int], width: int) -> None:
    image = draw(1)
    framed = ImageOps.expand(image, width, colour)
    inside = find_frame(np.asarray(framed.convert("L")))
    assert np.abs(np.array(inside) - [width, width, width + image.width, width + image.height]).max() <= 1


def test_a_frame_with_marks_on_it_is_left_out_too() -> None:
    image = draw(2)
    framed = _marked(ImageOps.expand(image, 20, (0, 0, 0)))
    inside = find_frame(np.asarray(framed.convert("L")))
    assert np.abs(np.array(inside) - [20, 20, 20 + image.width, 20 + image.height]).max() <= 1


def test_a_line_of_letters_that_hides_most_of_a_frame_is_no_end_of_it() -> None:
    framed = ImageOps.expand(draw(3), 20, (0, 0, 0))
    pen = ImageDraw.Draw(framed)
    for x in range(0, framed.width, 10):
        pen.rectangle((x, framed.height - 12, x + 6, framed.height), fill=(128, 128, 128))
    assert find_frame(np.asarray(framed.convert("L"))) == (20, 20, 260, 200)


@pytest.mark.parametrize("level", [0, 255])
def test_a_watermark_leaves_windows_near(level: int) -> None:
    for seed in range(3):
        image = draw(seed)
        marked = image.copy()
        pen = ImageDraw.Draw(marked)
        for y in range(10, 180, 50):
            pen.text((10, y), "a mark in letters", fill=(level, level, level), font_size=18)
        framed = ImageOps.expand(marked, 12, (0, 0, 0))
        for copy in (marked, framed):
            assert window_distance(find_windows(image), find_windows(copy), MIN_DETAIL) <= 6


def test_a_watermark_on_plain_lines_at_the_edges_leaves_windows_near() -> None:
    image = draw(3)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, image.width, 25), fill=(180, 180, 180))
    pen.rectangle((0, 155, image.width, image.height), fill=(40, 40, 40))
    own = find_windows(image)
    for y in range(4, 180, 45):
        pen.text((10, y), "a mark in letters", fill=(255, 255, 255), font_size=18)
    found = find_windows(ImageOps.expand(image, 12, (0, 0, 0)))
    assert window_distance(own, found, MIN_DETAIL) <= 6 and correlate_windows(own, found) >= 0.7


def test_plain_pictures_and_pictures_of_one_pixel_are_their_own_inside() -> None:
    for size in ((1, 1), (1, 40), (40, 1), (3, 3), (64, 48)):
        grey = np.full(size[::-1], 90, np.uint8)
        assert find_frame(grey) == (0, 0, *size)
        windows = find_windows(Image.fromarray(grey))
        assert windows.small.shape == (32, 32) and windows.hashes.shape == windows.details.shape == (3,)
        assert window_distance(windows, windows, MIN_DETAIL) == 64 and correlate_windows(windows, windows) == 0


@pytest.mark.parametrize("seed", range(4))
def test_framed_captioned_and_small_copies_have_near_windows(seed: int) -> None:
    image = draw(seed)
    own = find_windows(image)
    half = image.resize((image.width // 2, image.height // 2))
    copies = [ImageOps.expand(image, 12, (255, 255, 255)), _strip(image), _strip(image, at_top=True), half]
    for copy in (*copies, ImageOps.expand(half, 6)):
        found = find_windows(copy)
        assert window_distance(own, found, MIN_DETAIL) <= 6 and correlate_windows(own, found) >= 0.5


def test_other_pictures_have_far_windows() -> None:
    windows = [find_windows(draw(seed)) for seed in range(12)]
    pairs = [(a, b) for n, a in enumerate(windows) for b in windows[:n]]
    assert len(pairs) == 66 and min(window_distance(a, b, MIN_DETAIL) for a, b in pairs) > 6
