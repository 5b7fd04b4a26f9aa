"""The eight hashes of a picture equal those of the eight turned pictures."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from stages.images.orientations import N_ORIENTATIONS, hash_orientations, orient_block
from stages.images.shown import TURNS
from stages.screen.perceptual_hash import hash_grey, low_frequencies, reduce_grey


def draw(seed: int, width: int = 200, height: int = 150) -> Image.Image:
    random = np.random.default_rng(seed)
    few = Image.fromarray(random.integers(0, 256, (12, 16), dtype=np.uint8))
    return few.resize((width, height), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))


def show(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


@pytest.mark.parametrize("orientation", range(1, N_ORIENTATIONS + 1))
def test_each_hash_equals_that_of_the_picture_with_this_exif_orientation(orientation: int) -> None:
    for seed in range(25):
        image = draw(seed)
        derived = hash_grey(image)["phash_orientations"][orientation - 1]
        # Reduction rounds to integer grey levels along one axis before the other.
        assert (derived ^ hash_grey(show(image, orientation))["phash"]).bit_count() <= 2


def test_the_first_hash_is_that_of_the_upright_picture() -> None:
    for seed in range(50):
        found = hash_grey(draw(seed))
        assert found["phash_orientations"][0] == found["phash"]


def test_the_hashes_of_a_picture_without_symmetry_are_far_from_each_other() -> None:
    hashes = hash_grey(draw(3))["phash_orientations"]
    assert min((a ^ b).bit_count() for n, a in enumerate(hashes) for b in hashes[:n]) > 16


def test_frequency_blocks_equal_those_of_turned_reductions() -> None:
    small = reduce_grey(draw(5))
    blocks = orient_block(low_frequencies(small))
    for orientation in range(1, N_ORIENTATIONS + 1):
        turned = np.asarray(show(Image.fromarray(small.astype(np.uint8)), orientation), np.float64)
        assert np.allclose(blocks[orientation - 1], low_frequencies(turned))


def test_a_flat_picture_has_eight_hashes_too() -> None:
    assert hash_orientations(np.zeros((2, 8, 8))) == [[0] * N_ORIENTATIONS] * 2
