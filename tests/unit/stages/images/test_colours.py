import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from stages.images.colours import aligned_distance, colour_distance, cut_colours, reduce_colours

SHAPE = (30, 40)


def draw(seed: int) -> Image.Image:
    """Blobs of saturated colours."""
    coarse = np.random.default_rng([10, seed]).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)


def test_brightness_does_not_count_and_other_colours_do() -> None:
    picture = draw(0)
    own = reduce_colours(picture, *SHAPE)
    darker = reduce_colours(ImageEnhance.Brightness(picture).enhance(0.6), *SHAPE)
    exchanged = Image.merge("RGB", picture.split()[::-1])
    assert colour_distance(own, own) == 0
    assert colour_distance(own, darker) < 5
    assert colour_distance(own, reduce_colours(exchanged, *SHAPE)) > 20


def test_equal_differences_of_colour_have_the_distance_of_their_formula() -> None:
    red, green = (np.full((2, 2, 3), colour, np.uint8) for colour in ((152, 0, 0), (0, 152, 0)))
    # (152 - 152 / 3) / (152 + 48) x 255 and -(152 / 3) / (152 + 48) x 255: they differ by 193.8 in red and in green.
    assert colour_distance(red, green) == pytest.approx(round(193.8 * 2**0.5, 1))


@pytest.mark.parametrize("mode", ["L", "1", "I;16"])
def test_a_grey_picture_has_no_colours_to_compare(mode: str) -> None:
    picture = draw(1)
    grey = picture.convert("L").convert(mode) if mode != "I;16" else picture.convert("L").convert("I").convert(mode)
    assert colour_distance(reduce_colours(picture, *SHAPE), reduce_colours(grey, *SHAPE)) == 0


def test_only_places_on_which_the_first_picture_lies_are_compared() -> None:
    picture = draw(2)
    window = picture.crop((80, 40, 320, 200))
    own, cut = reduce_colours(picture, *SHAPE), reduce_colours(window, 20, 30)
    places = {across: np.array([[1, 0, across], [0, 1, -40]], np.float64) for across in (-80, -20, 5_000)}
    assert aligned_distance(own, cut, places[-80]) < 3
    assert aligned_distance(own, cut, places[-20]) > 10
    assert aligned_distance(own, cut, places[5_000]) == 0  # it lies nowhere on the window


def test_a_box_has_the_colours_of_its_window() -> None:
    picture = draw(3)
    framed = Image.new("RGB", (400, 300), (255, 0, 0))
    framed.paste(picture, (40, 30))
    inside = cut_colours(reduce_colours(framed, *SHAPE), (0.1, 0.1, 0.9, 0.9))
    whole = cut_colours(reduce_colours(picture, *SHAPE), (0, 0, 1, 1))
    assert colour_distance(inside, whole) < 4
    assert colour_distance(cut_colours(reduce_colours(framed, *SHAPE), (0, 0, 1, 1)), whole) > 10


def test_a_few_coloured_letters_leave_a_picture_grey() -> None:
    grey = draw(4).convert("L").convert("RGB")
    ImageDraw.Draw(grey).rectangle((0, 0, 40, 30), fill=(255, 0, 0))
    assert colour_distance(reduce_colours(grey, *SHAPE), reduce_colours(draw(4), *SHAPE)) == 0
