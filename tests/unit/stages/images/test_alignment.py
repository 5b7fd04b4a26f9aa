"""Tiles of pictures on each other correlate; a finer alignment moves a picture by some pixels, and not further."""

import math

import numpy as np
import pytest
from PIL import Image

from stages.images.alignment import MARGIN, SMALL, correlate, correlate_finely

SIZE = (320, 240)


def draw(seed: int) -> Image.Image:
    coarse = np.random.default_rng([3, seed]).integers(0, 256, (12, 16), dtype=np.uint8)
    return Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)


def reduce(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((SIZE[0] // SMALL, SIZE[1] // SMALL), Image.Resampling.BOX))


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y]], np.float64)


def test_a_picture_correlates_with_itself_and_not_with_another() -> None:
    one, other = reduce(draw(1)), reduce(draw(2))
    assert correlate(one, one, shift(0, 0)) == (pytest.approx(1), pytest.approx(1))
    assert max(correlate(one, other, shift(0, 0))) < 0.5


def test_a_finer_alignment_mends_some_pixels() -> None:
    one, other = (reduce(draw(1).transform(SIZE, Image.Transform.AFFINE, (1, 0, n, 0, 1, 0))) for n in (0, 24))
    off = shift(-24 + 9, -5)
    assert correlate(one, other, off)[1] < 0.9 < 0.97 < correlate_finely(one, other, off)
    assert correlate_finely(one, other, shift(0, 0)) == 0  # too far


def test_sharp_edges_correlate_wherever_pixels_cut_them() -> None:
    bars = np.repeat(np.random.default_rng(6).integers(0, 2, (22, 29)) * 200, 12, axis=0).repeat(12, axis=1)
    one, other = (reduce(Image.fromarray(bars.astype(np.uint8)).crop((n, n, 320 + n, 240 + n))) for n in (0, 12))
    assert correlate(one, other, shift(-12, -12))[1] >= 0.97
    assert correlate(one, other, shift(-12 + 24, -12))[1] < 0.5


def test_a_margin_leaves_out_what_a_turn_fills() -> None:
    faint = draw(2).point(lambda level: 128 + level // 4)
    one, other = reduce(faint.rotate(5, Image.Resampling.BICUBIC)), reduce(faint)
    x, y = (side / 2 - 0.5 for side in SIZE)
    cos, sin = math.cos(math.radians(5)), -math.sin(math.radians(5))
    turned = np.array([[cos, sin, x - cos * x - sin * y], [-sin, cos, y + sin * x - cos * y]])
    assert correlate(one, other, turned)[1] < 0.9 < 0.96 < correlate(one, other, turned, MARGIN)[1]
    off = turned + np.array([[0, 0, 6], [0, 0, 0]])
    assert correlate_finely(one, other, off) < 0.96 <= correlate_finely(one, other, off, MARGIN)
    assert correlate_finely(one, reduce(draw(7)), turned, MARGIN) < 0.6
    dot = np.zeros((1, 1), np.uint8)
    assert correlate_finely(dot, one, turned, MARGIN) == correlate_finely(one, dot, turned, MARGIN) == 0


def test_other_pictures_stay_unlike() -> None:
    small = [reduce(draw(seed)) for seed in range(8)]
    found = [correlate_finely(a, b, shift(0, 0)) for n, a in enumerate(small) for b in small[:n]]
    assert len(found) == 28 and max(found) < 0.6


def test_plain_pictures_and_pictures_that_do_not_overlap_correlate_with_nothing() -> None:
    plain, one = np.full((30, 40), 90, np.uint8), reduce(draw(1))
    assert correlate(plain, plain, shift(0, 0)) == (0, 0) and correlate_finely(plain, plain, shift(0, 0)) == 0
    assert correlate(one, one, shift(900, 0)) == (0, 0) and correlate_finely(one, one, shift(900, 0)) == 0
    dot = np.zeros((1, 1), np.uint8)
    assert correlate_finely(dot, one, shift(0, 0)) == correlate_finely(one, dot, shift(0, 0)) == 0
