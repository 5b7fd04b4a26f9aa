import numpy as np
import pytest
from PIL import Image

from stages.contamination.variants import TURNS, hash_variants, variant_names
from stages.screen.perceptual_hash import hash_grey

FLIP = Image.Transpose
AS_PILLOW = (
    None, FLIP.FLIP_LEFT_RIGHT, FLIP.ROTATE_180, FLIP.FLIP_TOP_BOTTOM, FLIP.TRANSPOSE, FLIP.ROTATE_270,
    FLIP.TRANSVERSE, FLIP.ROTATE_90,
)  # fmt: skip


def draw(seed: int, width: int = 400, height: int = 300) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def n_bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@pytest.mark.parametrize("seed", range(4))
def test_the_hash_of_each_turn_equals_that_of_the_picture_turned_by_pillow(seed: int) -> None:
    picture = draw(seed)
    hashes, details = hash_variants(picture, 0.1, 3)
    for number, turn in enumerate(AS_PILLOW):
        turned = hash_grey((picture if turn is None else picture.transpose(turn)).convert("L"))
        assert n_bits(hashes[number], turned["phash"]) <= 2, TURNS[number]
        assert abs(details[number] - turned["phash_detail"]) < 0.1


def test_the_hash_of_each_window_equals_that_of_the_picture_cropped_by_pillow() -> None:
    picture = draw(9)
    hashes, details = hash_variants(picture, 0.1, 3)
    names = variant_names(0.1, 3)
    assert len(hashes) == len(details) == len(names) == len(set(names)) == 8 + 99
    assert names[8] == "window 0 0 0 3" and names[-1] == "window 10 0 10 0"
    for number in range(8, len(names)):
        above, below, left, right = (int(word) / 100 for word in names[number].split()[1:])
        width, height = picture.size
        box = (round(left * width), round(above * height), round((1 - right) * width), round((1 - below) * height))
        assert n_bits(hashes[number], hash_grey(picture.crop(box).convert("L"))["phash"]) <= 4, names[number]


def test_a_blank_picture_has_no_detail_in_any_variant() -> None:
    _, details = hash_variants(Image.new("RGB", (90, 70), (200, 10, 10)), 0.1, 3)
    assert max(details) == 0
