"""Grey levels of changed copies correlate; those of other pictures do not, and nearly blank ones never."""

import numpy as np
import pytest
from PIL import Image

from flows.demo.world import views
from stages.contamination.grey import correlate_variant, read_square, reduce_square
from stages.contamination.variants import TURNS, variant_names
from stages.images.shown import TURNS as TRANSPOSED


def draw(seed: int) -> Image.Image:
    return views.draw_town(np.random.default_rng([7, seed]), 240, 180)


def test_turned_copies_correlate_under_their_variant_alone() -> None:
    square = reduce_square(draw(0)).tobytes()
    for orientation, variant in enumerate(TURNS, 1):
        shown = reduce_square(draw(0) if orientation == 1 else draw(0).transpose(TRANSPOSED[orientation]))
        assert correlate_variant(square, variant, shown) > 0.95
        others = [correlate_variant(square, name, shown) for name in TURNS if name != variant]
        assert max(others) < 0.5


@pytest.mark.parametrize("cut", [(0, 0, 12, 0), (0, 9, 0, 9), (6, 5, 8, 3)])
def test_a_window_between_the_steps_correlates(cut: tuple[int, int, int, int]) -> None:
    """The nearest window's name is off by up to half a step at each side."""
    left, above, right, below = cut
    shown = reduce_square(draw(0).crop((left, above, 240 - right, 180 - below)))
    wanted = np.array([100 * above / 180, 100 * below / 180, 100 * left / 240, 100 * right / 240])
    names = [name for name in variant_names(0.1, 4) if name.startswith("window")]
    offsets = [np.abs(np.array(name.split()[1:], float) - wanted).max() for name in names]
    square = reduce_square(draw(0)).tobytes()
    assert correlate_variant(square, names[int(np.argmin(offsets))], shown) > 0.9
    assert max(correlate_variant(square, name, reduce_square(draw(1))) for name in names[::40]) < 0.5


def test_nearly_blank_pictures_do_not_correlate() -> None:
    rng = np.random.default_rng(3)
    levels = 120 + np.linspace(0, 40, 64)[:, None] + rng.normal(0, 0.1, (64, 64))
    blank = levels.round().astype(np.uint8)
    assert correlate_variant(np.full((64, 64), 9, np.uint8).tobytes(), "upright", blank) == 0
    assert correlate_variant(blank.tobytes(), "upright", blank) == 0
    assert read_square(blank.tobytes()).tolist() == blank.tolist()
