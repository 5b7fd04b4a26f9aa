import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stages.caption.rotation import _turned, inscribed_side_px, turned_views

ANGLES_DEG = tuple(range(0, 360, 15))


def noise(width_px: int, height_px: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width_px, height_px))


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 24))
def test_a_view_contains_no_pixel_from_outside_the_image(width_px: int, height_px: int, n_views: int) -> None:
    # Pixels outside the image are filled with black, so a white image shows them.
    views = turned_views(Image.new("RGB", (width_px, height_px), "white"), n_views)
    assert len(views) == n_views
    for view in views:
        assert view.size == (inscribed_side_px(width_px, height_px),) * 2
        assert view.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize(("width_px", "height_px"), [(100, 100), (101, 64), (64, 420), (9, 9)])
def test_the_square_of_a_view_is_inside_the_rotated_image(width_px: int, height_px: int) -> None:
    side_px = inscribed_side_px(width_px, height_px)
    left, top = (width_px - side_px + 1) // 2, (height_px - side_px + 1) // 2
    for angle_deg in ANGLES_DEG:
        turned = Image.new("L", (width_px, height_px), 0).rotate(angle_deg, Image.Resampling.NEAREST, fillcolor=255)
        assert turned.crop((left, top, left + side_px - 1, top + side_px - 1)).getextrema() == (0, 0)


@pytest.mark.parametrize(("width_px", "height_px"), [(100, 100), (101, 64), (64, 420)])
def test_no_larger_square_fits_at_every_angle(width_px: int, height_px: int) -> None:
    white = Image.new("RGB", (width_px, height_px), "white")
    side_px = inscribed_side_px(width_px, height_px)
    assert side_px == math.floor(min(width_px, height_px) / math.sqrt(2))
    larger = [_turned(white, angle_deg, side_px + 3) for angle_deg in ANGLES_DEG]
    assert any(view.getextrema() != ((255, 255),) * 3 for view in larger)


def test_views_at_right_angles_are_rotations_of_the_central_square() -> None:
    views = turned_views(noise(32, 24), 4)
    centre = noise(32, 24).crop((8, 4, 24, 20))
    turns = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    for view, turn in zip(views, turns, strict=True):
        assert view.tobytes() == (centre if turn is None else centre.transpose(turn)).tobytes()


def test_views_rotate_in_pillows_direction() -> None:
    image = noise(8, 8).resize((80, 80), Image.Resampling.BICUBIC)
    view = turned_views(image, 12)[1]
    turned = image.rotate(30, Image.Resampling.BICUBIC).crop((12, 12, 68, 68))
    assert np.abs(np.asarray(view, float) - np.asarray(turned, float)).max() <= 1


@pytest.mark.parametrize("size", [(80, 80), (81, 64), (64, 131), (33, 47)])
@pytest.mark.parametrize("n_views", [4, 8, 12])
def test_views_derived_by_quarter_turns_equal_sampled_ones(size: tuple[int, int], n_views: int) -> None:
    image = noise(*size)
    for n, view in enumerate(turned_views(image, n_views)):
        sampled = _turned(image, 360 * n / n_views, inscribed_side_px(*size))
        difference = np.abs(np.asarray(view, int) - np.asarray(sampled, int))
        assert difference.max() <= 1 and difference.mean() < 0.01


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (2, 2), (3, 1)])
def test_the_smallest_images_have_views_of_one_pixel(size: tuple[int, int]) -> None:
    views = turned_views(Image.new("RGB", size, (10, 200, 30)), 12)
    assert [(view.size, view.getpixel((0, 0))) for view in views] == [((1, 1), (10, 200, 30))] * 12
