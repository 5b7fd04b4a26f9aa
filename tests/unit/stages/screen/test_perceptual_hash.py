"""The hash of a picture equals imagehash's in every bit, and its reduction equals Pillow's in every level."""

import imagehash
import numpy as np
import pytest
from PIL import Image

from stages.screen import perceptual_hash
from stages.screen.perceptual_hash import (
    MAX_SIDE_PX,
    hash_grey,
    hash_reduced,
    lanczos_bands,
    low_frequencies,
    measure_detail,
    reduce_grey,
)

SIZES = (
    (1, 1), (1, 700), (700, 1), (2, 3), (31, 33), (32, 32), (32, 500), (500, 32), (33, 31), (64, 64), (100, 2000),
    (2000, 33), (97, 162), (96, 160), (98, 160), (640, 480), (MAX_SIDE_PX, 40), (MAX_SIDE_PX + 1, 40), (40, 2100),
)  # fmt: skip
KINDS = ("noise", "soft", "black and white", "gradient", "flat", "stripes")


def draw(kind: str, width: int, height: int) -> Image.Image:
    random = np.random.default_rng(width * 5000 + height)
    if kind == "soft":
        few = Image.fromarray(random.integers(0, 256, (4, 5), dtype=np.uint8))
        return few.resize((width, height), Image.Resampling.BICUBIC)
    values = {
        "noise": random.integers(0, 256, (height, width)),
        "black and white": np.where(random.random((height, width)) < 0.5, 0, 255),
        "gradient": np.broadcast_to(np.linspace(0, 255, width), (height, width)),
        "flat": np.full((height, width), random.integers(0, 256)),
        "stripes": np.indices((height, width)).sum(0) // 7 % 2 * 255,
    }[kind]
    return Image.fromarray(values.astype(np.uint8))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_hash_equals_imagehashs(kind: str, size: tuple[int, int]) -> None:
    grey = draw(kind, *size)
    assert np.array_equal(reduce_grey(grey), np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS)))
    assert hash_grey(grey)["phash"] == int(str(imagehash.phash(grey)), 16)


def test_the_hash_equals_imagehashs_for_any_size() -> None:
    random = np.random.default_rng(8)
    for n in range(150):
        width, height = random.integers(1, (60, 400)[n % 2], 2).tolist()
        grey = draw(KINDS[n % len(KINDS)], width, height)
        assert hash_grey(grey)["phash"] == int(str(imagehash.phash(grey)), 16), (width, height)


def test_the_hash_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = draw("noise", 150, 210)
    whole = reduce_grey(grey)
    for n_values in (1, 149, 1000, 31 * 150):
        monkeypatch.setattr(perceptual_hash, "BLOCK_VALUES", n_values)
        assert np.array_equal(reduce_grey(grey), whole)


def test_weights_at_rounding_limits_are_computed_by_the_c_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths = (5, 47, 333, 640, 1001)
    known = {length: lanczos_bands.__wrapped__(length) for length in lengths}
    monkeypatch.setattr(perceptual_hash, "UNSURE", 1.0)  # all weights
    for length in lengths:
        for band, other in zip(known[length], lanczos_bands.__wrapped__(length), strict=True):
            assert band.start == other.start
            assert np.array_equal(band.weights, other.weights)
            assert np.array_equal(band.weights, np.rint(band.weights))


def test_sums_of_weighed_levels_are_exact_in_floats() -> None:
    for length in (1, 2, 5, 31, 33, 64, 230, 640, 1001, 1999, MAX_SIDE_PX):
        for band in lanczos_bands.__wrapped__(length):
            assert np.array_equal(band.parts, np.rint(band.parts))
            assert 0 < np.abs(band.parts[:, ::2].astype(np.float64)).sum(axis=0).max() * 255 < 1 << 24
            assert np.abs(band.parts[:, 1::2].astype(np.float64)).sum(axis=0).max() * 255 < 1 << 24


def test_median_detail_and_bits_equal_numpys() -> None:
    for kind in KINDS:
        small = reduce_grey(draw(kind, 75, 120))
        low = low_frequencies(small)
        assert measure_detail(low[None]) == [np.sort(np.abs(low - np.median(low)), axis=None)[16] / 1024]
        bits = (low > np.median(low)).ravel().astype(int)
        assert hash_reduced(small[None])[0]["phash"] == int("".join("01"[bit] for bit in bits), 2)


def test_pictures_hashed_together_have_the_hashes_of_each_alone_to_the_last_digit() -> None:
    random = np.random.default_rng(5)
    small = random.integers(0, 256, (300, 32, 32)).astype(np.float64)
    small[::3] = np.sort(small[::3], axis=1) // 8
    alone = [hash_reduced(one[None])[0] for one in small]
    for n in (2, 3, 5, 16, 300):
        assert [found for first in range(0, 300, n) for found in hash_reduced(small[first : first + n])] == alone


def test_a_mirrored_or_transposed_reduction_only_changes_signs_and_order_of_frequencies() -> None:
    small = reduce_grey(draw("soft", 400, 300))
    low = low_frequencies(small)
    signs = (-1.0) ** np.arange(8)
    assert np.allclose(low_frequencies(np.ascontiguousarray(small[:, ::-1])), low * signs)
    assert np.allclose(low_frequencies(np.ascontiguousarray(small[::-1])), low * signs[:, None])
    assert np.allclose(low_frequencies(np.ascontiguousarray(small.T)), low.T)
