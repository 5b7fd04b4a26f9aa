"""Draws elements into a picture: water, roads, roofs, clouds in views from above; frames, words, a logo in others.

Not for choosing among them (flows/demo/models/scenes.py).
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from flows.demo.world.views import Rng, draw_noise, vary_colour

Element = Callable[[Rng, Image.Image], Image.Image]


def _unit(image: Image.Image) -> float:
    return float(min(image.size))


def _place(rng: Rng, image: Image.Image) -> tuple[float, float]:
    return float(rng.uniform(0.2, 0.8) * image.width), float(rng.uniform(0.2, 0.8) * image.height)


def _across(rng: Rng, image: Image.Image, swing: float) -> list[tuple[float, float]]:
    """Return the points, in px, of a line from one side of the image to the opposite one."""
    steps = np.linspace(-0.05, 1.05, 50)
    start, end = rng.uniform(0.15, 0.85, 2)
    along = start + (end - start) * steps + swing * np.sin(steps * rng.uniform(4, 9) + rng.uniform(0, 6))
    pairs = np.stack([steps, along] if rng.random() < 0.5 else [along, steps], axis=1) * image.size
    return [(float(x), float(y)) for x, y in pairs]


def _add_river(rng: Rng, image: Image.Image) -> Image.Image:
    draw, points, width = ImageDraw.Draw(image), _across(rng, image, 0.08), max(4, int(_unit(image) * 0.09))
    draw.line(points, fill=(170, 160, 120), width=width + max(2, width // 3), joint="curve")
    draw.line(points, fill=vary_colour(rng, (46, 84, 116), 16), width=width, joint="curve")
    return image


def _add_road(rng: Rng, image: Image.Image) -> Image.Image:
    draw, points, width = ImageDraw.Draw(image), _across(rng, image, 0.0), max(3, int(_unit(image) * 0.06))
    draw.line(points, fill=vary_colour(rng, (92, 92, 96), 12), width=width)
    for n in range(0, len(points) - 1, 3):
        draw.line((points[n], points[n + 1]), fill=(236, 236, 230), width=max(1, width // 5))
    return image


def _add_roofs(rng: Rng, image: Image.Image) -> Image.Image:
    draw, side = ImageDraw.Draw(image), _unit(image) * 0.1
    centre = _place(rng, image)
    for _ in range(int(rng.integers(6, 12))):
        x, y = (float(c + rng.normal(0, 0.16) * _unit(image)) for c in centre)
        w, h = (float(v) for v in side * rng.uniform(0.6, 1.3, 2))
        draw.rectangle((x + side / 4, y + side / 4, x + w + side / 4, y + h + side / 4), fill=(38, 40, 38))
        draw.rectangle((x, y, x + w, y + h), fill=vary_colour(rng, (186, 84, 60), 24))
    return image


def _add_pivots(rng: Rng, image: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 4))):
        (x, y), radius = _place(rng, image), _unit(image) * float(rng.uniform(0.13, 0.2))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=vary_colour(rng, (58, 128, 46), 18))
        draw.line((x, y, x + radius, y), fill=(200, 210, 180), width=max(1, int(radius / 8)))
    return image


def _add_pool(rng: Rng, image: Image.Image) -> Image.Image:
    draw, (x, y), side = ImageDraw.Draw(image), _place(rng, image), _unit(image) * float(rng.uniform(0.14, 0.22))
    edge, tall = max(2, int(side / 6)), side * float(rng.uniform(0.5, 0.9))
    draw.rectangle((x - edge, y - edge, x + side + edge, y + tall + edge), fill=(236, 234, 228))
    draw.rectangle((x, y, x + side, y + tall), fill=vary_colour(rng, (40, 196, 216), 14))
    return image


def _add_lake(rng: Rng, image: Image.Image) -> Image.Image:
    draw, (x, y), radius = ImageDraw.Draw(image), _place(rng, image), _unit(image) * float(rng.uniform(0.18, 0.28))
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radii = radius * (1 + 0.22 * np.sin(2 * angles + rng.uniform(0, 6)) + 0.1 * np.sin(3 * angles + rng.uniform(0, 6)))
    points = [(x + float(r * np.cos(a)), y + float(r * np.sin(a))) for r, a in zip(radii, angles, strict=True)]
    draw.polygon(points, fill=vary_colour(rng, (24, 60, 112), 12), outline=(150, 150, 120))
    return image


def _paste_soft(image: Image.Image, colour: tuple[int, int, int], mask: np.ndarray) -> Image.Image:
    image.paste(colour, (0, 0, *image.size), Image.fromarray(np.clip(mask * 255, 0, 255).astype(np.uint8)))
    return image


def _patches(rng: Rng, image: Image.Image, share: float) -> np.ndarray:
    level = draw_noise(rng, image.width, image.height, 3, 3)
    return level - float(np.quantile(level, 1 - share))


def _add_snow(rng: Rng, image: Image.Image) -> Image.Image:
    return _paste_soft(image, (246, 248, 252), _patches(rng, image, 0.35) * 25)


def _add_forest(rng: Rng, image: Image.Image) -> Image.Image:
    image = _paste_soft(image, vary_colour(rng, (24, 58, 30), 8), _patches(rng, image, 0.35) * 40)
    return image


def _add_clouds(rng: Rng, image: Image.Image) -> Image.Image:
    """Draw round white clouds, each with a shadow beside it."""
    cloud = Image.new("L", image.size, 0)
    draw = ImageDraw.Draw(cloud)
    for _ in range(int(rng.integers(3, 6))):
        x, y = _place(rng, image)
        for _ in range(5):
            dx, dy = rng.normal(0, 0.06, 2) * _unit(image)
            radius = _unit(image) * float(rng.uniform(0.04, 0.09))
            box = (x + dx - radius, y + dy - radius, x + dx + radius, y + dy + radius)
            draw.ellipse(box, fill=240)
    cloud = cloud.filter(ImageFilter.GaussianBlur(_unit(image) / 50))
    shift = max(3, int(_unit(image) * 0.05))
    shade = Image.new("L", image.size, 0)
    shade.paste(cloud.point(lambda v: v // 2), (shift, shift))
    image.paste((20, 24, 30), (0, 0, *image.size), shade)
    image.paste((250, 250, 252), (0, 0, *image.size), cloud)
    return image


def _add_frame(rng: Rng, image: Image.Image) -> Image.Image:
    draw, width = ImageDraw.Draw(image), max(4, int(_unit(image) * 0.1))
    draw.rectangle((0, 0, image.width - 1, image.height - 1), outline=vary_colour(rng, (120, 74, 36), 24), width=width)
    return image


def _add_words(rng: Rng, image: Image.Image) -> Image.Image:
    draw, size = ImageDraw.Draw(image), max(9, int(_unit(image) * 0.13))
    letters = "".join(chr(97 + int(c)) for c in rng.integers(0, 26, int(rng.integers(6, 10)))).upper()
    y = float(rng.uniform(0.1, 0.75)) * image.height
    draw.rectangle((0, y - 2, image.width, y + size * 1.2), fill=(250, 250, 246))
    draw.text((image.width * 0.06, y), letters, fill=(20, 20, 24), font_size=size)
    return image


def _add_logo(rng: Rng, image: Image.Image) -> Image.Image:
    draw, radius = ImageDraw.Draw(image), _unit(image) * 0.12
    x = image.width - radius * 1.3 if rng.random() < 0.5 else radius * 1.3
    y = image.height - radius * 1.3 if rng.random() < 0.5 else radius * 1.3
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=vary_colour(rng, (214, 34, 44), 20))
    star = [(0, -1), (0.25, -0.25), (1, 0), (0.25, 0.25), (0, 1), (-0.25, 0.25), (-1, 0), (-0.25, -0.25)]
    draw.polygon([(x + dx * radius * 0.8, y + dy * radius * 0.8) for dx, dy in star], fill=(255, 240, 120))
    return image


def _add_grid(rng: Rng, image: Image.Image) -> Image.Image:
    draw, step = ImageDraw.Draw(image), max(8, int(_unit(image) / 6))
    colour = vary_colour(rng, (110, 110, 200), 20)
    for x in range(step, image.width, step):
        draw.line((x, 0, x, image.height), fill=colour, width=max(1, step // 16))
    for y in range(step, image.height, step):
        draw.line((0, y, image.width, y), fill=colour, width=max(1, step // 16))
    return image


ABOVE_ELEMENTS: dict[str, Element] = {
    "river": _add_river, "road": _add_road, "roofs": _add_roofs, "pivots": _add_pivots, "pool": _add_pool,
    "lake": _add_lake, "snow": _add_snow, "forest": _add_forest, "clouds": _add_clouds,
}  # fmt: skip
OTHER_ELEMENTS: dict[str, Element] = {
    "frame": _add_frame, "words": _add_words, "logo": _add_logo, "grid": _add_grid,
}  # fmt: skip
