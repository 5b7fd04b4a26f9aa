"""Drawings of the generated world: views from above (from views.py) and all other pictures."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from flows.demo.world.views import (
    Rng,
    blend,
    draw_airport,
    draw_coast,
    draw_fields,
    draw_ground,
    draw_mountains,
    draw_noise,
    draw_pivots,
    draw_river,
    draw_town,
    to_image,
    vary_colour,
)


def _bar_chart(rng: Rng, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), vary_colour(rng, (244, 244, 240), 10))
    draw = ImageDraw.Draw(image)
    n_bars = int(rng.integers(3, 10))
    colour, left, base = vary_colour(rng, (90, 110, 170), 80), width // 10, height * 9 // 10
    for n in range(n_bars):
        x = left + n * (width - left) // n_bars
        tint = colour if rng.random() < 0.7 else vary_colour(rng, (200, 90, 60), 50)
        draw.rectangle((x + 2, base - rng.uniform(0.08, 0.8) * height, x + width * 0.7 // n_bars, base), fill=tint)
    draw.line((left, height // 12, left, base, width, base), fill=(40, 40, 40), width=2)
    draw.text((left + 4, 2), "Mm per month", fill=(30, 30, 30))
    return image


def _line_chart(rng: Rng, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), (252, 252, 252))
    draw = ImageDraw.Draw(image)
    for y in range(0, height, max(8, height // 6)):
        draw.line((0, y, width, y), fill=(222, 222, 222))
    for _ in range(int(rng.integers(1, 4))):
        steps = rng.normal(0, 1, 12).cumsum()
        ys = height * (0.15 + 0.7 * (steps - steps.min()) / max(float(np.ptp(steps)), 1e-6))
        points = list(zip(np.linspace(8, width - 8, 12).tolist(), ys.tolist(), strict=True))
        colour = vary_colour(rng, (120, 100, 120), 110)
        if rng.random() < 0.5:
            draw.polygon([(8, height), *points, (width - 8, height)], fill=colour)
        draw.line(points, fill=colour, width=max(2, height // 50))
    return image


def _face(rng: Rng, width: int, height: int) -> Image.Image:
    image = draw_ground(
        rng, width, height, vary_colour(rng, (120, 130, 150), 90), vary_colour(rng, (150, 150, 150), 90)
    )
    draw = ImageDraw.Draw(image)
    x, y = width * rng.uniform(0.35, 0.65), height * rng.uniform(0.4, 0.55)
    r = min(width, height) * rng.uniform(0.22, 0.36)
    coat, hair = vary_colour(rng, (90, 90, 120), 80), vary_colour(rng, (70, 50, 36), 36)
    tan = rng.uniform(0.45, 1.1)
    skin = (int(214 * tan), int(168 * tan), int(136 * tan))
    draw.ellipse((x - 2 * r, y + r, x + 2 * r, y + 4 * r), fill=coat)
    draw.ellipse((x - 1.05 * r, y - 1.45 * r, x + 1.05 * r, y + r * rng.uniform(0.1, 1.2)), fill=hair)
    draw.ellipse((x - 0.85 * r, y - 1.1 * r, x + 0.85 * r, y + 1.2 * r), fill=skin)
    for side in (-1, 1):
        eye = x + side * 0.36 * r
        draw.ellipse((eye - 0.14 * r, y - 0.3 * r, eye + 0.14 * r, y - 0.1 * r), fill=(250, 250, 250))
        draw.ellipse((eye - 0.07 * r, y - 0.27 * r, eye + 0.07 * r, y - 0.13 * r), fill=(40, 30, 30))
    draw.arc(
        (x - 0.4 * r, y + 0.2 * r, x + 0.4 * r, y + 0.8 * r), 20, 160, fill=(150, 60, 60), width=max(2, int(r / 9))
    )
    return image


def _interior(rng: Rng, width: int, height: int) -> Image.Image:
    """Return a room: back wall, floor, a window and furniture."""
    image = Image.new("RGB", (width, height), vary_colour(rng, (206, 196, 180), 40))
    draw = ImageDraw.Draw(image)
    left, right = width * rng.uniform(0.1, 0.35), width * rng.uniform(0.65, 0.9)
    top, bottom = height * rng.uniform(0.05, 0.2), height * rng.uniform(0.5, 0.75)
    floor = vary_colour(rng, (140, 100, 66), 40)
    draw.polygon([(0, height), (left, bottom), (right, bottom), (width, height)], fill=floor)
    draw.polygon([(0, 0), (left, top), (left, bottom), (0, height)], fill=vary_colour(rng, (180, 170, 156), 30))
    draw.polygon([(0, 0), (left, top), (right, top), (width, 0)], fill=vary_colour(rng, (232, 230, 224), 16))
    x = rng.uniform(left, (left + right) / 2)
    draw.rectangle((x, top + 6, x + (right - left) * rng.uniform(0.2, 0.5), (top + bottom) / 2), fill=(176, 208, 236))
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(0, width * 0.8), rng.uniform(bottom * 0.8, height * 0.9)
        box = (x, y, x + width * rng.uniform(0.1, 0.35), y + height * rng.uniform(0.1, 0.3))
        colour = vary_colour(rng, (120, 90, 90), 90)
        try:
            draw.rounded_rectangle(box, 5, fill=colour, outline=(60, 50, 46))
        except ValueError:  # PIL fails on some boxes about as small as their rounded corners
            draw.rectangle(box, fill=colour, outline=(60, 50, 46))
    return image


def _map(rng: Rng, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), vary_colour(rng, (238, 232, 214), 12))
    level = draw_noise(rng, width, height, 2, 2)
    water = Image.fromarray(np.where(level > rng.uniform(0.6, 0.85), 255, 0).astype(np.uint8))
    image.paste(vary_colour(rng, (168, 204, 226), 14), (0, 0, width, height), water)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 8))):
        points = [(float(rng.uniform(0, width)), float(rng.uniform(0, height))) for _ in range(3)]
        draw.line(points, fill=vary_colour(rng, (214, 130, 60), 40), width=int(rng.integers(2, 7)))
    for _ in range(int(rng.integers(2, 8))):
        x, y = rng.uniform(0, width * 0.8), rng.uniform(0, height * 0.9)
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(180, 30, 40))
        letters = "".join(chr(97 + int(c)) for c in rng.integers(0, 26, int(rng.integers(4, 9)))).title()
        draw.text((x + 6, y - 6), letters, fill=(20, 20, 20), font_size=max(9, height // 14))
    return image


def _landscape(rng: Rng, width: int, height: int) -> Image.Image:
    """Return a landscape with a horizon: sky, a low sun, ridges behind each other."""
    horizon = rng.uniform(0.35, 0.7)
    sky = np.repeat(np.linspace(0, 1, height, dtype=np.float32)[:, None], width, axis=1)
    image = to_image(blend(vary_colour(rng, (96, 140, 206), 50), vary_colour(rng, (236, 206, 176), 40), sky))
    draw = ImageDraw.Draw(image)
    x, y, r = width * rng.uniform(0.1, 0.9), height * horizon * rng.uniform(0.2, 0.9), min(width, height) * 0.08
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(254, 240, 190))
    for ridge in range(4):
        heights = rng.normal(0, 1, 9).cumsum() * height * 0.04
        tops = height * (horizon + ridge * 0.12) + heights
        points = list(zip(np.linspace(0, width, 9).tolist(), tops.tolist(), strict=True))
        shade = (120 - ridge * 26, 140 - ridge * 24, 150 - ridge * 34)
        draw.polygon([(0, height), *points, (width, height)], fill=vary_colour(rng, shade, 14))
    return image


KINDS: dict[str, Callable[[Rng, int, int], Image.Image]] = {
    "fields": draw_fields, "river": draw_river, "town": draw_town, "coast": draw_coast, "pivots": draw_pivots,
    "airport": draw_airport, "mountains": draw_mountains, "bar_chart": _bar_chart, "line_chart": _line_chart,
    "face": _face, "interior": _interior, "map": _map, "landscape": _landscape,
}  # fmt: skip
FROM_ABOVE = frozenset({"fields", "river", "town", "coast", "pivots", "airport", "mountains"})
_WEIGHTS = np.array([3.0 if kind in FROM_ABOVE else 1.0 for kind in sorted(KINDS)])
SHARES = _WEIGHTS / _WEIGHTS.sum()
