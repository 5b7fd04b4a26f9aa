import numpy as np
import pytest
from PIL import Image

from stages.contamination.tints import read_tints, reduce_tints, tint_distance
from stages.contamination.variants import TURNS
from stages.images.shown import turn


def draw(seed: int) -> Image.Image:
    coarse = np.random.default_rng([21, seed]).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_has_the_colours_of_its_variant_alone(orientation: int) -> None:
    picture = draw(1)
    turned = turn(picture, orientation)
    stored, shown = reduce_tints(picture).tobytes(), reduce_tints(turned)
    distances = [tint_distance(stored, name, shown) for name in TURNS]
    assert distances[orientation - 1] == min(distances) < 5
    assert sorted(distances)[1] > 10


def test_a_window_has_the_colours_of_its_variant() -> None:
    picture = draw(2)
    width, height = picture.size
    window = reduce_tints(picture.crop((0, round(height * 0.1), round(width * 0.9), height)))
    stored = reduce_tints(picture).tobytes()
    assert tint_distance(stored, "window 10 0 0 10", window) < 4 < tint_distance(stored, "upright", window)


def test_bytes_give_the_colours_back() -> None:
    tints = reduce_tints(draw(3))
    assert np.array_equal(read_tints(tints.tobytes()), tints) and tints.shape == (16, 16, 3)
