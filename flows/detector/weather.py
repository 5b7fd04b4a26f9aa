"""Draws pictures of weather from above: clouds over sea, infrared, storms, rain radar.

They are further training images of label other: weather imagery resembles remote sensing more than anything else that
is refused, and few folders have any.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE_PX = 256
N_DRAWN = 96  # enough for all kinds; with more, left-out sources change by less than one image
Field = npt.NDArray[np.float64]


def draw_weather(seed: int) -> Image.Image:
    """Return a drawn RGB picture of weather, 256 x 256; the seed decides its kind."""
    rng = np.random.default_rng(seed)
    kinds = (_clouds_over_sea, _clouds_over_sea, _infrared, _radar)
    pixels = kinds[seed % len(kinds)](rng)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _noise(rng: np.random.Generator, slope: float, stretch: float = 1.0, n_shapes: float = 0.0) -> Field:
    """Return smooth noise of uniform distribution in [0, 1], [side, side].

    Args:
        rng: source of randomness.
        slope: fall of the amplitude with frequency; clouds have 1.5 to 2, larger is smoother.
        stretch: how much longer the shapes are than wide.
        n_shapes: number of the largest shapes across the picture; 0: without limit.
    """
    frequencies = np.fft.fftfreq(SIDE_PX)
    angle = rng.uniform(0, np.pi)
    along = frequencies[:, None] * np.cos(angle) + frequencies[None, :] * np.sin(angle)
    across = frequencies[None, :] * np.cos(angle) - frequencies[:, None] * np.sin(angle)
    distance = np.maximum(np.hypot(along * stretch, across), max(n_shapes, 0.5) / SIDE_PX)
    spectrum = np.fft.fft2(rng.normal(size=distance.shape)) * distance**-slope
    values = np.fft.ifft2(spectrum).real
    return np.argsort(np.argsort(values, axis=None)).reshape(values.shape) / values.size


def _cover(rng: np.random.Generator) -> Field:
    """Return how much cloud there is, in [0, 1]: banks of clouds, each broken into smaller ones, or a storm."""
    small = _noise(rng, rng.uniform(0.9, 2.5), rng.uniform(1, 3), rng.uniform(2, 30))
    banks = _noise(rng, rng.uniform(1.7, 2.4), rng.uniform(1, 3))
    if rng.random() < 0.25:
        banks = _whirl(rng, banks)
    mixed = banks + rng.uniform(0.3, 2.5) * small
    clear = np.quantile(mixed, rng.uniform(0.1, 0.75))
    return np.clip((mixed - clear) / rng.uniform(0.2, 0.8), 0, 1)


def _whirl(rng: np.random.Generator, field: Field) -> Field:
    """Return the field twisted around a point, as in a storm."""
    middle = rng.uniform(0.3, 0.7, 2) * SIDE_PX
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    y, x = rows - middle[0], columns - middle[1]
    angle = rng.choice((-1, 1)) * rng.uniform(2, 5) * np.exp(-np.hypot(y, x) / (0.3 * SIDE_PX))
    turned = y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)
    places = [np.round(part + centre).astype(int) % SIDE_PX for part, centre in zip(turned, middle, strict=True)]
    return np.asarray(field[places[0], places[1]], np.float64)


def _clouds_over_sea(rng: np.random.Generator) -> Field:
    """Draw white clouds over dark water, sometimes with land, glint and the gap between two swaths."""
    sea = np.sort(rng.uniform((5, 10, 25), (45, 70, 100)))  # blue at most
    pixels = np.broadcast_to(sea, (SIDE_PX, SIDE_PX, 3)) * (0.8 + 0.4 * _noise(rng, 1.8)[..., None])
    if rng.random() < 0.4:
        land = np.array([rng.uniform(50, 150), rng.uniform(60, 120), rng.uniform(30, 80)])
        pixels = np.where(_noise(rng, 2.2)[..., None] > rng.uniform(0.4, 0.8), land, pixels)
    if rng.random() < 0.4:
        glint = np.exp(-(((np.arange(SIDE_PX) - rng.uniform(0, SIDE_PX)) / rng.uniform(10, 50)) ** 2))
        pixels = pixels + rng.uniform(30, 110) * glint[None, :, None]
    cover = _cover(rng)[..., None]
    cloud = rng.uniform(190, 255) * (0.8 + 0.2 * _noise(rng, 1.3)[..., None])
    pixels = pixels * (1 - cover) + cloud * cover
    return _gap(rng, pixels) if rng.random() < 0.4 else pixels


def _gap(rng: np.random.Generator, pixels: Field) -> Field:
    """Return the picture with a black wedge."""
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    middle = rng.uniform(0, SIDE_PX) + rng.uniform(-0.4, 0.4) * rows
    half_px = rng.uniform(4, 16) + rng.uniform(0, 0.06) * rows
    return np.where((np.abs(columns - middle) < half_px)[..., None], 0, pixels)


def _infrared(rng: np.random.Generator) -> Field:
    """Draw cloud temperatures in grey, the coldest sometimes in colours."""
    cold = np.clip(0.7 * _cover(rng) + 0.4 * _noise(rng, 1.9), 0, 1)
    pixels = np.repeat((30 + 220 * cold)[..., None], 3, axis=2)
    if rng.random() < 0.5:
        hue = np.stack([np.interp(cold, (0.6, 0.75, 0.9, 1), values) for values in _COLD], axis=2)
        pixels = np.where(cold[..., None] > 0.6, hue, pixels)
    return pixels


def _radar(rng: np.random.Generator) -> Field:
    """Draw rain by strength, in steps of colour, over plain ground."""
    ground = np.full(3, rng.choice((0, 40, 200, 240))) + rng.uniform(-10, 10, 3)
    rain = np.clip((_noise(rng, rng.uniform(1.4, 2)) - rng.uniform(0.4, 0.8)) * 3, 0, 1)
    steps = np.floor(rain * 8) / 8
    hue = np.stack([np.interp(steps, (0, 0.3, 0.6, 1), values) for values in _RAIN], axis=2)
    return np.where(steps[..., None] > 0, hue, ground)


# Red, green and blue of the usual scales: blue to red for cold cloud tops, green to red for rain.
_COLD = ((40, 0, 255, 160), (90, 220, 220, 20), (200, 90, 0, 20))
_RAIN = ((60, 30, 250, 200), (160, 200, 220, 20), (220, 40, 20, 40))
