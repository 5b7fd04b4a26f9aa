"""Draws the generated world's views from above; its drawing helpers also serve the other pictures."""

from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

Rng = np.random.Generator


def draw_noise(rng: Rng, width: int, height: int, cells: int, octaves: int = 3) -> np.ndarray:
    """Return smooth noise in [0, 1], float32 [height, width]."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        n = cells * 2**octave + 1
        coarse = Image.fromarray(rng.random((n, n), np.float32))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    found: np.ndarray = (total - total.min()) / max(float(np.ptp(total)), 1e-6)
    return found


def vary_colour(rng: Rng, base: tuple[int, int, int], spread: int = 25) -> tuple[int, int, int]:
    """Return a random colour within `spread` of a base colour, per channel."""
    r, g, b = np.clip(np.array(base) + rng.integers(-spread, spread + 1, 3), 0, 255).tolist()
    return r, g, b


def blend(low: tuple[int, int, int], high: tuple[int, int, int], share: np.ndarray) -> np.ndarray:
    """Return colours between two, float32 [..., 3]; `share` in [0, 1] is the weight of the second."""
    first, last = np.array(low, np.float32), np.array(high, np.float32)
    blended: np.ndarray = first + (last - first) * share[..., None]
    return blended


def to_image(values: np.ndarray) -> Image.Image:
    """Return an RGB image of values [height, width, 3], clipped to [0, 255]."""
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def draw_ground(
    rng: Rng, width: int, height: int, low: tuple[int, int, int], high: tuple[int, int, int]
) -> Image.Image:
    """Return uneven ground in shades between two colours."""
    grain = rng.normal(0, 4, (height, width, 1)).astype(np.float32)
    return to_image(blend(vary_colour(rng, low), vary_colour(rng, high), draw_noise(rng, width, height, 3)) + grain)


def draw_fields(rng: Rng, width: int, height: int) -> Image.Image:
    """Return parcels in a rotated, uneven grid, each with its crop and furrows."""
    size = int(np.hypot(width, height)) + 8
    image = draw_ground(rng, size, size, (90, 110, 50), (130, 130, 70))
    draw = ImageDraw.Draw(image)
    crops = [(84, 124, 52), (170, 160, 82), (122, 92, 58), (60, 96, 44), (198, 184, 120), (140, 150, 70), (80, 62, 44)]
    cuts = [np.sort(rng.choice(np.arange(8, size - 8, 8), int(rng.integers(2, 7)), replace=False)) for _ in range(2)]
    columns, rows = ([0, *cut.tolist(), size] for cut in cuts)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            crop = vary_colour(rng, crops[int(rng.integers(len(crops)))], 18)
            draw.rectangle((left + 1, top + 1, right - 2, bottom - 2), fill=crop)
            dark = vary_colour(rng, crop, 6)
            for x in range(left + 3, right - 2, int(rng.integers(4, 9))):
                draw.line((x, top + 1, x, bottom - 2), fill=(dark[0] * 9 // 10, dark[1] * 9 // 10, dark[2] * 9 // 10))
    turned = image.rotate(float(rng.uniform(0, 90)), Image.Resampling.BILINEAR)
    left, top = (size - width) // 2, (size - height) // 2
    return turned.crop((left, top, left + width, top + height))


def draw_river(rng: Rng, width: int, height: int) -> Image.Image:
    """Return a river in fields, from above."""
    image = draw_ground(rng, width, height, (60, 90, 45), (150, 145, 95))
    draw = ImageDraw.Draw(image)
    start, end = rng.uniform(0, height, 2)
    steps = np.linspace(0, 1, 60)
    swing = height * rng.uniform(0.05, 0.2) * np.sin(steps * rng.uniform(5, 14) + rng.uniform(0, 6))
    points = list(zip((steps * width).tolist(), (start + (end - start) * steps + swing).tolist(), strict=True))
    bed = max(4, int(height * rng.uniform(0.03, 0.12)))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.ROTATE_90).resize((width, height))
        draw = ImageDraw.Draw(image)
    for extra, colour in ((6, (176, 164, 120)), (0, vary_colour(rng, (50, 84, 104)))):
        draw.line(points, fill=colour, width=bed + extra, joint="curve")
    if rng.random() < 0.6:  # a bridge
        x, y = points[int(rng.integers(15, 45))]
        draw.line((x - bed, y - 2 * bed, x + bed, y + 2 * bed), fill=(190, 188, 184), width=max(2, bed // 4))
    return image


def draw_town(rng: Rng, width: int, height: int) -> Image.Image:
    """Return a town from above: a grid of roads, roofs with shadows, some parks and pools."""
    image = draw_ground(rng, width, height, (96, 112, 72), (140, 136, 112))
    draw = ImageDraw.Draw(image)
    step = int(max(18, min(width, height) * rng.uniform(0.16, 0.4)))
    shift_x, shift_y = rng.integers(0, step, 2).tolist()
    roofs = [(170, 92, 70), (150, 150, 152), (196, 190, 180), (112, 84, 70), (90, 96, 106)]
    for top in range(shift_y - step, height, step):
        for left in range(shift_x - step, width, step):
            block = (left + 4, top + 4, left + step - 4, top + step - 4)
            use = rng.random()
            if use < 0.2:
                draw.rectangle(block, fill=vary_colour(rng, (58, 92, 48)))
                continue
            for _ in range(int(rng.integers(1, 5))):
                x, y = (rng.integers(4, max(5, step // 2), 2) + np.array((left, top))).tolist()
                w, h = rng.integers(step // 5, step // 2, 2).tolist()
                draw.rectangle((x + 2, y + 3, x + w + 3, y + h + 4), fill=(46, 48, 46))
                draw.rectangle((x, y, x + w, y + h), fill=vary_colour(rng, roofs[int(rng.integers(len(roofs)))]))
    asphalt = vary_colour(rng, (104, 104, 106), 12)
    for x in range(shift_x, width, step):
        draw.line((x, 0, x, height), fill=asphalt, width=max(3, step // 9))
    for y in range(shift_y, height, step):
        draw.line((0, y, width, y), fill=asphalt, width=max(3, step // 9))
    return image


def draw_coast(rng: Rng, width: int, height: int) -> Image.Image:
    """Return a coast, from above."""
    level = draw_noise(rng, width, height, 2, 4)
    tilt = np.linspace(-0.5, 0.5, width)[None, :] if rng.random() < 0.5 else np.linspace(-0.5, 0.5, height)[:, None]
    level = level + tilt * rng.uniform(-1.2, 1.2)
    sea = float(np.quantile(level, rng.uniform(0.3, 0.7)))
    depth = np.clip((sea - level) * 4, 0, 1)
    water = blend((70, 150, 160), vary_colour(rng, (16, 48, 92)), depth)
    land = blend(vary_colour(rng, (196, 180, 130)), vary_colour(rng, (62, 92, 46)), np.clip((level - sea) * 6, 0, 1))
    values = np.where((level > sea)[..., None], land, water)
    values[np.abs(level - sea) < 0.012] = (236, 238, 232)
    return to_image(values + rng.normal(0, 3, (height, width, 1)))


def draw_pivots(rng: Rng, width: int, height: int) -> Image.Image:
    """Return circles of centre-pivot irrigation in a dry plain."""
    image = draw_ground(rng, width, height, (176, 150, 108), (206, 184, 140))
    draw = ImageDraw.Draw(image)
    step = int(max(24, min(width, height) * rng.uniform(0.25, 0.6)))
    shift_x, shift_y = rng.integers(-step // 2, step // 2, 2).tolist()
    for y in range(shift_y, height + step, step):
        for x in range(shift_x, width + step, step):
            if rng.random() < 0.25:
                continue
            radius = step * rng.uniform(0.32, 0.48)
            box = (x - radius, y - radius, x + radius, y + radius)
            draw.ellipse(box, fill=vary_colour(rng, (74, 112, 52), 34))
            if rng.random() < 0.5:
                start = rng.uniform(0, 360)
                draw.pieslice(box, start, start + rng.uniform(40, 200), fill=vary_colour(rng, (150, 128, 78), 30))
    return image


def draw_airport(rng: Rng, width: int, height: int) -> Image.Image:
    """Return an airport, from above."""
    size = int(np.hypot(width, height)) + 8
    image = draw_ground(rng, size, size, (92, 112, 66), (136, 138, 88))
    draw = ImageDraw.Draw(image)
    for y in np.sort(rng.integers(size // 4, 3 * size // 4, int(rng.integers(1, 4)))).tolist():
        runway = max(6, size // int(rng.integers(16, 34)))
        draw.rectangle((0, y, size, y + runway), fill=vary_colour(rng, (84, 86, 90), 14))
        for x in range(0, size, 22):
            draw.line((x, y + runway // 2, x + 11, y + runway // 2), fill=(232, 232, 228), width=max(1, runway // 9))
    x, y = rng.integers(size // 4, size // 2, 2).tolist()
    w, h = rng.integers(size // 6, size // 3, 2).tolist()
    draw.rectangle((x, y, x + w, y + h), fill=vary_colour(rng, (168, 168, 166), 16))
    for plane_x in range(x + 6, x + w - 6, 18):
        plane_y = y + int(rng.integers(6, max(7, h - 8)))
        draw.line((plane_x, plane_y - 6, plane_x, plane_y + 6), fill=(246, 246, 246), width=2)
        draw.line((plane_x - 5, plane_y, plane_x + 5, plane_y), fill=(246, 246, 246), width=2)
    turned = image.rotate(float(rng.uniform(0, 180)), Image.Resampling.BILINEAR)
    left, top = (size - width) // 2, (size - height) // 2
    return turned.crop((left, top, left + width, top + height))


def draw_mountains(rng: Rng, width: int, height: int) -> Image.Image:
    """Return a relief lit from the side, with snow at the top."""
    relief = draw_noise(rng, width, height, int(rng.integers(2, 5)), 4)
    slope_y, slope_x = np.gradient(relief)
    angle = rng.uniform(0, 2 * np.pi)
    light = (slope_x * np.cos(angle) + slope_y * np.sin(angle)) * min(width, height)
    ground = blend(vary_colour(rng, (66, 84, 50)), vary_colour(rng, (150, 128, 100)), relief)
    ground[relief > rng.uniform(0.7, 0.95)] = (240, 242, 246)
    return to_image(ground * (1 + np.clip(light * 0.25, -0.6, 0.5))[..., None])
