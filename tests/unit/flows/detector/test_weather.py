"""Drawn weather: the seed decides the picture, kinds differ, and clouds are white over something darker."""

import numpy as np
import pytest

from flows.detector.weather import N_DRAWN, SIDE_PX, draw_weather


@pytest.mark.parametrize("seed", range(4))
def test_the_seed_decides_the_picture(seed: int) -> None:
    pixels = np.asarray(draw_weather(seed))
    assert pixels.shape == (SIDE_PX, SIDE_PX, 3)
    assert (pixels == np.asarray(draw_weather(seed))).all()
    assert (pixels != np.asarray(draw_weather(seed + 4))).any()


def test_no_picture_is_blank() -> None:
    deviations = [np.asarray(draw_weather(seed), float).std() for seed in range(N_DRAWN)]
    assert min(deviations) > 5


@pytest.mark.parametrize("seed", [0, 1, 4, 5])
def test_clouds_are_the_brightest_and_grey(seed: int) -> None:
    pixels = np.asarray(draw_weather(seed), int).reshape(-1, 3)
    light = pixels.mean(1)
    brightest = pixels[light >= np.quantile(light, 0.99)]
    assert np.ptp(brightest, axis=1).mean() < 40 < light.max() - light.min()
