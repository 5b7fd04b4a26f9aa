"""Images of the generated world: views from above and other pictures drawn by code, encoded, copied and damaged.

Not for deciding which URL serves which image: that is tests/world.py. Imports nothing of the pipeline.
"""

import hashlib
import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import imagehash
import numpy as np
from PIL import Image, ImageDraw
from PIL.TiffImagePlugin import IFDRational

Rng = np.random.Generator
NEAR_BITS = 4
APART_BITS = 10
_ATTEMPTS = 200


@dataclass(frozen=True)
class ImageFile:
    """One encoded image.

    Attributes:
        kind: what is drawn, e.g. coast.
        recipe: how it was encoded.
        body: the file's bytes.
        extension: of the file's name.
        phash: 64 bits, as imagehash gives them for the decoded image.
        pixels: digest of size and RGB pixels.
        width_px: as stored.
        height_px: as stored.
    """

    kind: str
    recipe: str
    body: bytes
    extension: str
    phash: int
    pixels: str
    width_px: int
    height_px: int


def distance_bits(one: int, other: int) -> int:
    """Return the Hamming distance of two 64-bit hashes."""
    return (one ^ other).bit_count()


class Gallery:
    """Draws pictures that are all further apart than APART_BITS; only copies of one picture are near each other."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._n_drawn = 0
        self._hashes = np.zeros(0, np.uint64)

    def draw(self, recipes: Sequence[str]) -> list[ImageFile]:
        """Return one new picture, encoded by each of the recipes; its copies form one cluster of near hashes."""
        self._n_drawn += 1
        for attempt in range(_ATTEMPTS):
            rng = np.random.default_rng([self._seed, self._n_drawn, attempt])
            kind = sorted(KINDS)[int(rng.choice(len(KINDS), p=_SHARES))]
            # What is copied is drawn large, so that a crop of 1 % is more than a pixel.
            sides = rng.integers(240, 480, 2) if len(recipes) > 1 else rng.choice([64, 96, 128, 200, 256, 320, 420], 2)
            width, height = int(sides[0]), int(np.clip(sides[1], sides[0] // 2, sides[0] * 2))
            if rng.random() < 0.02:
                width, height = 640, 480
            picture = KINDS[kind](rng, width, height).convert("RGB")
            files = [_encode(picture, kind, recipe) for recipe in recipes]
            if self._is_apart(files) and _is_one_cluster(files):
                self._hashes = np.append(self._hashes, np.array([file.phash for file in files], np.uint64))
                return files
        raise RuntimeError(f"no picture in {_ATTEMPTS} attempts has copies {list(recipes)} apart from the others")

    def _is_apart(self, files: Sequence[ImageFile]) -> bool:
        # A hash with hardly a bit set says nothing: rules differ on whether such pictures are alike.
        if any(file.phash.bit_count() < 8 for file in files):
            return False
        distances = [np.bitwise_count(self._hashes ^ np.uint64(file.phash)) for file in files]
        return all((found > APART_BITS).all() for found in distances)


def _is_one_cluster(files: Sequence[ImageFile]) -> bool:
    reached, waiting = {0}, [0]
    while waiting:
        one = files[waiting.pop()]
        near = {n for n, file in enumerate(files) if distance_bits(one.phash, file.phash) <= NEAR_BITS} - reached
        reached |= near
        waiting += sorted(near)
    return len(reached) == len(files)


def _encode(picture: Image.Image, kind: str, recipe: str) -> ImageFile:
    body, extension = RECIPES[recipe](picture)
    with Image.open(io.BytesIO(body)) as image:
        image.load()
        phash = int(str(imagehash.phash(image)), 16)
        rgb = image.convert("RGB")
    digest = hashlib.sha256(f"{rgb.size}".encode() + rgb.tobytes()).hexdigest()
    return ImageFile(kind, recipe, body, extension, phash, digest, rgb.width, rgb.height)


# Drawing: views from above.


def _noise(rng: Rng, width: int, height: int, cells: int, octaves: int = 3) -> np.ndarray:
    """Return smooth noise in [0, 1], float32 [height, width]."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        n = cells * 2**octave + 1
        coarse = Image.fromarray(rng.random((n, n), np.float32))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    return (total - total.min()) / max(float(np.ptp(total)), 1e-6)


def _colour(rng: Rng, base: tuple[int, int, int], spread: int = 25) -> tuple[int, int, int]:
    r, g, b = np.clip(np.array(base) + rng.integers(-spread, spread + 1, 3), 0, 255).tolist()
    return r, g, b


def _blend(low: tuple[int, int, int], high: tuple[int, int, int], share: np.ndarray) -> np.ndarray:
    return np.array(low, np.float32) + (np.array(high, np.float32) - np.array(low, np.float32)) * share[..., None]


def _to_image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _ground(rng: Rng, width: int, height: int, low: tuple[int, int, int], high: tuple[int, int, int]) -> Image.Image:
    grain = rng.normal(0, 4, (height, width, 1)).astype(np.float32)
    return _to_image(_blend(_colour(rng, low), _colour(rng, high), _noise(rng, width, height, 3)) + grain)


def _fields(rng: Rng, width: int, height: int) -> Image.Image:
    """Parcels of a rotated, uneven grid, each with its crop and furrows."""
    size = int(np.hypot(width, height)) + 8
    image = _ground(rng, size, size, (90, 110, 50), (130, 130, 70))
    draw = ImageDraw.Draw(image)
    crops = [(84, 124, 52), (170, 160, 82), (122, 92, 58), (60, 96, 44), (198, 184, 120), (140, 150, 70), (80, 62, 44)]
    cuts = [np.sort(rng.choice(np.arange(8, size - 8, 8), int(rng.integers(2, 7)), replace=False)) for _ in range(2)]
    columns, rows = ([0, *cut.tolist(), size] for cut in cuts)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            crop = _colour(rng, crops[int(rng.integers(len(crops)))], 18)
            draw.rectangle((left + 1, top + 1, right - 2, bottom - 2), fill=crop)
            dark = _colour(rng, crop, 6)
            for x in range(left + 3, right - 2, int(rng.integers(4, 9))):
                draw.line((x, top + 1, x, bottom - 2), fill=(dark[0] * 9 // 10, dark[1] * 9 // 10, dark[2] * 9 // 10))
    turned = image.rotate(float(rng.uniform(0, 90)), Image.Resampling.BILINEAR)
    left, top = (size - width) // 2, (size - height) // 2
    return turned.crop((left, top, left + width, top + height))


def _river(rng: Rng, width: int, height: int) -> Image.Image:
    image = _ground(rng, width, height, (60, 90, 45), (150, 145, 95))
    draw = ImageDraw.Draw(image)
    start, end = rng.uniform(0, height, 2)
    steps = np.linspace(0, 1, 60)
    swing = height * rng.uniform(0.05, 0.2) * np.sin(steps * rng.uniform(5, 14) + rng.uniform(0, 6))
    points = list(zip((steps * width).tolist(), (start + (end - start) * steps + swing).tolist(), strict=True))
    bed = max(4, int(height * rng.uniform(0.03, 0.12)))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.ROTATE_90).resize((width, height))
        draw = ImageDraw.Draw(image)
    for extra, colour in ((6, (176, 164, 120)), (0, _colour(rng, (50, 84, 104)))):
        draw.line(points, fill=colour, width=bed + extra, joint="curve")
    if rng.random() < 0.6:  # a bridge
        x, y = points[int(rng.integers(15, 45))]
        draw.line((x - bed, y - 2 * bed, x + bed, y + 2 * bed), fill=(190, 188, 184), width=max(2, bed // 4))
    return image


def _town(rng: Rng, width: int, height: int) -> Image.Image:
    """Roads in a grid, roofs with their shadows, parks and a pool here and there."""
    image = _ground(rng, width, height, (96, 112, 72), (140, 136, 112))
    draw = ImageDraw.Draw(image)
    step = int(max(18, min(width, height) * rng.uniform(0.16, 0.4)))
    shift_x, shift_y = rng.integers(0, step, 2).tolist()
    roofs = [(170, 92, 70), (150, 150, 152), (196, 190, 180), (112, 84, 70), (90, 96, 106)]
    for top in range(shift_y - step, height, step):
        for left in range(shift_x - step, width, step):
            block = (left + 4, top + 4, left + step - 4, top + step - 4)
            use = rng.random()
            if use < 0.2:
                draw.rectangle(block, fill=_colour(rng, (58, 92, 48)))
                continue
            for _ in range(int(rng.integers(1, 5))):
                x, y = (rng.integers(4, max(5, step // 2), 2) + np.array((left, top))).tolist()
                w, h = rng.integers(step // 5, step // 2, 2).tolist()
                draw.rectangle((x + 2, y + 3, x + w + 3, y + h + 4), fill=(46, 48, 46))
                draw.rectangle((x, y, x + w, y + h), fill=_colour(rng, roofs[int(rng.integers(len(roofs)))]))
    asphalt = _colour(rng, (104, 104, 106), 12)
    for x in range(shift_x, width, step):
        draw.line((x, 0, x, height), fill=asphalt, width=max(3, step // 9))
    for y in range(shift_y, height, step):
        draw.line((0, y, width, y), fill=asphalt, width=max(3, step // 9))
    return image


def _coast(rng: Rng, width: int, height: int) -> Image.Image:
    level = _noise(rng, width, height, 2, 4)
    tilt = np.linspace(-0.5, 0.5, width)[None, :] if rng.random() < 0.5 else np.linspace(-0.5, 0.5, height)[:, None]
    level = level + tilt * rng.uniform(-1.2, 1.2)
    sea = float(np.quantile(level, rng.uniform(0.3, 0.7)))
    depth = np.clip((sea - level) * 4, 0, 1)
    water = _blend((70, 150, 160), _colour(rng, (16, 48, 92)), depth)
    land = _blend(_colour(rng, (196, 180, 130)), _colour(rng, (62, 92, 46)), np.clip((level - sea) * 6, 0, 1))
    values = np.where((level > sea)[..., None], land, water)
    values[np.abs(level - sea) < 0.012] = (236, 238, 232)
    return _to_image(values + rng.normal(0, 3, (height, width, 1)))


def _pivots(rng: Rng, width: int, height: int) -> Image.Image:
    """Circles of centre-pivot irrigation in a dry plain."""
    image = _ground(rng, width, height, (176, 150, 108), (206, 184, 140))
    draw = ImageDraw.Draw(image)
    step = int(max(24, min(width, height) * rng.uniform(0.25, 0.6)))
    shift_x, shift_y = rng.integers(-step // 2, step // 2, 2).tolist()
    for y in range(shift_y, height + step, step):
        for x in range(shift_x, width + step, step):
            if rng.random() < 0.25:
                continue
            radius = step * rng.uniform(0.32, 0.48)
            box = (x - radius, y - radius, x + radius, y + radius)
            draw.ellipse(box, fill=_colour(rng, (74, 112, 52), 34))
            if rng.random() < 0.5:
                start = rng.uniform(0, 360)
                draw.pieslice(box, start, start + rng.uniform(40, 200), fill=_colour(rng, (150, 128, 78), 30))
    return image


def _airport(rng: Rng, width: int, height: int) -> Image.Image:
    size = int(np.hypot(width, height)) + 8
    image = _ground(rng, size, size, (92, 112, 66), (136, 138, 88))
    draw = ImageDraw.Draw(image)
    for y in np.sort(rng.integers(size // 4, 3 * size // 4, int(rng.integers(1, 4)))).tolist():
        runway = max(6, size // int(rng.integers(16, 34)))
        draw.rectangle((0, y, size, y + runway), fill=_colour(rng, (84, 86, 90), 14))
        for x in range(0, size, 22):
            draw.line((x, y + runway // 2, x + 11, y + runway // 2), fill=(232, 232, 228), width=max(1, runway // 9))
    x, y = rng.integers(size // 4, size // 2, 2).tolist()
    w, h = rng.integers(size // 6, size // 3, 2).tolist()
    draw.rectangle((x, y, x + w, y + h), fill=_colour(rng, (168, 168, 166), 16))
    for plane_x in range(x + 6, x + w - 6, 18):
        plane_y = y + int(rng.integers(6, max(7, h - 8)))
        draw.line((plane_x, plane_y - 6, plane_x, plane_y + 6), fill=(246, 246, 246), width=2)
        draw.line((plane_x - 5, plane_y, plane_x + 5, plane_y), fill=(246, 246, 246), width=2)
    turned = image.rotate(float(rng.uniform(0, 180)), Image.Resampling.BILINEAR)
    left, top = (size - width) // 2, (size - height) // 2
    return turned.crop((left, top, left + width, top + height))


def _mountains(rng: Rng, width: int, height: int) -> Image.Image:
    """Relief lit from the side, snow on its heights."""
    relief = _noise(rng, width, height, int(rng.integers(2, 5)), 4)
    slope_y, slope_x = np.gradient(relief)
    angle = rng.uniform(0, 2 * np.pi)
    light = (slope_x * np.cos(angle) + slope_y * np.sin(angle)) * min(width, height)
    ground = _blend(_colour(rng, (66, 84, 50)), _colour(rng, (150, 128, 100)), relief)
    ground[relief > rng.uniform(0.7, 0.95)] = (240, 242, 246)
    return _to_image(ground * (1 + np.clip(light * 0.25, -0.6, 0.5))[..., None])


# Drawing: everything else.


def _bar_chart(rng: Rng, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), _colour(rng, (244, 244, 240), 10))
    draw = ImageDraw.Draw(image)
    n_bars = int(rng.integers(3, 10))
    colour, left, base = _colour(rng, (90, 110, 170), 80), width // 10, height * 9 // 10
    for n in range(n_bars):
        x = left + n * (width - left) // n_bars
        tint = colour if rng.random() < 0.7 else _colour(rng, (200, 90, 60), 50)
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
        colour = _colour(rng, (120, 100, 120), 110)
        if rng.random() < 0.5:
            draw.polygon([(8, height), *points, (width - 8, height)], fill=colour)
        draw.line(points, fill=colour, width=max(2, height // 50))
    return image


def _face(rng: Rng, width: int, height: int) -> Image.Image:
    image = _ground(rng, width, height, _colour(rng, (120, 130, 150), 90), _colour(rng, (150, 150, 150), 90))
    draw = ImageDraw.Draw(image)
    x, y = width * rng.uniform(0.35, 0.65), height * rng.uniform(0.4, 0.55)
    r = min(width, height) * rng.uniform(0.22, 0.36)
    coat, hair = _colour(rng, (90, 90, 120), 80), _colour(rng, (70, 50, 36), 36)
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
    """A room: back wall, floor, a window, a picture and furniture."""
    image = Image.new("RGB", (width, height), _colour(rng, (206, 196, 180), 40))
    draw = ImageDraw.Draw(image)
    left, right = width * rng.uniform(0.1, 0.35), width * rng.uniform(0.65, 0.9)
    top, bottom = height * rng.uniform(0.05, 0.2), height * rng.uniform(0.5, 0.75)
    floor = _colour(rng, (140, 100, 66), 40)
    draw.polygon([(0, height), (left, bottom), (right, bottom), (width, height)], fill=floor)
    draw.polygon([(0, 0), (left, top), (left, bottom), (0, height)], fill=_colour(rng, (180, 170, 156), 30))
    draw.polygon([(0, 0), (left, top), (right, top), (width, 0)], fill=_colour(rng, (232, 230, 224), 16))
    x = rng.uniform(left, (left + right) / 2)
    draw.rectangle((x, top + 6, x + (right - left) * rng.uniform(0.2, 0.5), (top + bottom) / 2), fill=(176, 208, 236))
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(0, width * 0.8), rng.uniform(bottom * 0.8, height * 0.9)
        box = (x, y, x + width * rng.uniform(0.1, 0.35), y + height * rng.uniform(0.1, 0.3))
        draw.rounded_rectangle(box, 5, fill=_colour(rng, (120, 90, 90), 90), outline=(60, 50, 46))
    return image


def _map(rng: Rng, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), _colour(rng, (238, 232, 214), 12))
    level = _noise(rng, width, height, 2, 2)
    water = Image.fromarray(np.where(level > rng.uniform(0.6, 0.85), 255, 0).astype(np.uint8))
    image.paste(_colour(rng, (168, 204, 226), 14), (0, 0, width, height), water)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 8))):
        points = [(float(rng.uniform(0, width)), float(rng.uniform(0, height))) for _ in range(3)]
        draw.line(points, fill=_colour(rng, (214, 130, 60), 40), width=int(rng.integers(2, 7)))
    for _ in range(int(rng.integers(2, 8))):
        x, y = rng.uniform(0, width * 0.8), rng.uniform(0, height * 0.9)
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(180, 30, 40))
        letters = "".join(chr(97 + int(c)) for c in rng.integers(0, 26, int(rng.integers(4, 9)))).title()
        draw.text((x + 6, y - 6), letters, fill=(20, 20, 20), font_size=max(9, height // 14))
    return image


def _landscape(rng: Rng, width: int, height: int) -> Image.Image:
    """A view with a horizon: sky, a low sun, ridges behind each other."""
    horizon = rng.uniform(0.35, 0.7)
    sky = np.repeat(np.linspace(0, 1, height, dtype=np.float32)[:, None], width, axis=1)
    image = _to_image(_blend(_colour(rng, (96, 140, 206), 50), _colour(rng, (236, 206, 176), 40), sky))
    draw = ImageDraw.Draw(image)
    x, y, r = width * rng.uniform(0.1, 0.9), height * horizon * rng.uniform(0.2, 0.9), min(width, height) * 0.08
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(254, 240, 190))
    for ridge in range(4):
        heights = rng.normal(0, 1, 9).cumsum() * height * 0.04
        tops = height * (horizon + ridge * 0.12) + heights
        points = list(zip(np.linspace(0, width, 9).tolist(), tops.tolist(), strict=True))
        shade = (120 - ridge * 26, 140 - ridge * 24, 150 - ridge * 34)
        draw.polygon([(0, height), *points, (width, height)], fill=_colour(rng, shade, 14))
    return image


KINDS: dict[str, Callable[[Rng, int, int], Image.Image]] = {
    "fields": _fields, "river": _river, "town": _town, "coast": _coast, "pivots": _pivots, "airport": _airport,
    "mountains": _mountains, "bar_chart": _bar_chart, "line_chart": _line_chart, "face": _face,
    "interior": _interior, "map": _map, "landscape": _landscape,
}  # fmt: skip
FROM_ABOVE = frozenset({"fields", "river", "town", "coast", "pivots", "airport", "mountains"})
_WEIGHTS = np.array([3.0 if kind in FROM_ABOVE else 1.0 for kind in sorted(KINDS)])
_SHARES = _WEIGHTS / _WEIGHTS.sum()


# Encoding: whole files.


def _save(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _jpeg(image: Image.Image, quality: int = 92, **options: object) -> bytes:
    return _save(image, "JPEG", quality=quality, **options)


def _decoded(body: bytes) -> Image.Image:
    with Image.open(io.BytesIO(body)) as image:
        return image.convert("RGB")


def _exif() -> Image.Exif:
    """Return EXIF with orientation, date and a position in the open sea."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2014:07:21 10:32:05"
    degrees = tuple(IFDRational(n, 1) for n in (12, 30, 15)), tuple(IFDRational(n, 1) for n in (45, 6, 0))
    exif.get_ifd(0x8825).update({1: "S", 2: degrees[0], 3: "W", 4: degrees[1]})
    return exif


def _crop(image: Image.Image) -> Image.Image:
    dx, dy = max(1, image.width // 200), max(1, image.height // 200)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


def _half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def _with_alpha(image: Image.Image) -> Image.Image:
    alpha = np.tile(np.linspace(120, 255, image.width, dtype=np.uint8), (image.height, 1))
    return Image.merge("RGBA", (*image.split(), Image.fromarray(alpha)))


def _grey16(image: Image.Image) -> Image.Image:
    # Dark raw values, as sensors deliver them: PIL clips 16-bit greys above 255 on conversion.
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16))


RECIPES: dict[str, Callable[[Image.Image], tuple[bytes, str]]] = {
    "jpeg": lambda im: (_jpeg(im), "jpg"),
    "jpeg_60": lambda im: (_jpeg(im, 60), "jpg"),
    "jpeg_comment": lambda im: (_jpeg(im, comment=b"copied"), "jpeg"),
    "jpeg_progressive": lambda im: (_jpeg(im, progressive=True), "jpg"),
    "jpeg_grey": lambda im: (_jpeg(im.convert("L")), "jpg"),
    "jpeg_cmyk": lambda im: (_jpeg(im.convert("CMYK")), "jpg"),
    "jpeg_exif": lambda im: (_jpeg(im, exif=_exif()), "jpg"),
    "mpo": lambda im: (_save(im, "MPO", save_all=True, append_images=[_half(im)], quality=88), "jpg"),
    "half": lambda im: (_jpeg(_half(im), 90), "jpg"),
    "crop": lambda im: (_jpeg(_crop(im), 90), "jpg"),
    "png": lambda im: (_save(im, "PNG"), "png"),
    "png_of_jpeg": lambda im: (_save(_decoded(_jpeg(im)), "PNG"), "png"),
    "bmp_of_jpeg": lambda im: (_save(_decoded(_jpeg(im)), "BMP"), "bmp"),
    "png_alpha": lambda im: (_save(_with_alpha(im), "PNG"), "png"),
    "png_palette": lambda im: (_save(im.quantize(64), "PNG"), "png"),
    "png_grey": lambda im: (_save(im.convert("L"), "PNG"), "png"),
    "png_grey16": lambda im: (_save(_grey16(im), "PNG"), "png"),
    "webp": lambda im: (_save(im, "WEBP", quality=85, method=1), "webp"),
    "gif": lambda im: (_save(im.quantize(128), "GIF"), "gif"),
    "gif_two_frames": lambda im: (
        _save(im.quantize(64), "GIF", save_all=True, append_images=[im.rotate(180).quantize(64)]),
        "gif",
    ),
    "bmp": lambda im: (_save(im, "BMP"), "bmp"),
    "tiff": lambda im: (_save(im, "TIFF", compression="tiff_lzw"), "tif"),
}


# Damage: bodies that no screen may let pass, by reject reason.


def plain_jpeg(seed: int, number: int) -> bytes:
    """Return a small valid JPEG, for bodies that are cut, padded or never wanted."""
    return _jpeg(_coast(np.random.default_rng([seed, 1 << 20, number]), 160, 120))


def _plain_image(seed: int, number: int) -> Image.Image:
    return _decoded(plain_jpeg(seed, number))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _blank_png(width: int, height: int, bits: int) -> bytes:
    """Return a black PNG of any size, written row by row: PIL would hold a byte for each of its pixels."""
    packer = zlib.compressobj(1)
    row, block = b"\0" * (1 + (width * bits + 7) // 8), 500
    parts = [packer.compress(row * min(block, height - top)) for top in range(0, height, block)]
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    data = b"".join(parts) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _broken_middle(image_format: str) -> Callable[[int, int], bytes]:
    """Overwrite the middle of a compressed stream; the headers and the length stay right."""

    def broken_middle(seed: int, number: int) -> bytes:
        image = _plain_image(seed, number)
        body = bytearray(_save(image.quantize(64) if image_format == "GIF" else image, image_format))
        start = len(body) // 2
        body[start : start + 64] = hashlib.sha512(f"{seed}/{number}".encode()).digest()
        return bytes(body)

    return broken_middle


def _png_bad_stream(seed: int, number: int) -> bytes:
    """A right checksum over data that is no zlib stream."""
    header = struct.pack(">IIBBBBB", 64 + number, 64, 8, 0, 0, 0, 0)
    junk = hashlib.sha512(f"{seed}{number}".encode()).digest() * 20
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", junk) + _chunk(b"IEND", b"")


def _text(text: str) -> Callable[[int, int], bytes]:
    return lambda seed, number: text.replace("NUMBER", str(number)).encode()


def _cut(image_format: str, divisor: int = 3) -> Callable[[int, int], bytes]:
    def cut(seed: int, number: int) -> bytes:
        body = _save(_plain_image(seed, number), image_format)
        return body[: len(body) // divisor]

    return cut


def damaged(reason: str, seed: int, number: int) -> tuple[bytes, str, str]:
    """Return a body of that fault, checked with PIL, its extension and its Content-Type; kinds come in turns."""
    variants = DAMAGED[reason]
    make, extension, content_type = variants[number % len(variants)]
    for attempt in range(_ATTEMPTS):
        body = make(seed, number + 10_000 * attempt) if attempt else make(seed, number)
        if reason not in ("truncated_image", "corrupt_image") or _load_fault(body) == reason:
            return body, extension, content_type
    raise RuntimeError(f"no body of {reason} in {_ATTEMPTS} attempts")


def _load_fault(body: bytes) -> str:
    """Return the reason for which PIL opens the body and cannot load it; empty where it loads."""
    with Image.open(io.BytesIO(body)) as image:
        try:
            image.load()
        except OSError as error:
            return "truncated_image" if "truncated" in str(error) else "corrupt_image"
    return ""


_HTML = "<!DOCTYPE html><html><head><title>Gone NUMBER</title></head><body>This picture has moved.</body></html>\n"
# Per reason: body, extension and Content-Type; extension and type lie on purpose in some.
DAMAGED: dict[str, tuple[tuple[Callable[[int, int], bytes], str, str], ...]] = {
    "empty_file": ((lambda seed, number: b"", "jpg", "image/jpeg"), (lambda seed, number: b"", "png", "image/png")),
    "not_an_image": (
        (_text(_HTML), "jpg", "image/jpeg"),
        (_text("picture NUMBER is not here\n"), "png", "image/png"),
        (lambda seed, number: plain_jpeg(seed, number)[:20], "jpg", "image/jpeg"),
        (_text('{"error": "no such picture", "number": NUMBER}'), "webp", "application/json"),
        (_text(_HTML), "html", "text/html; charset=utf-8"),
    ),
    "format_not_allowed": (
        (lambda seed, number: _save(_plain_image(seed, number), "ICO", sizes=[(64, 48)]), "ico", "image/x-icon"),
        (lambda seed, number: _save(_plain_image(seed, number), "PCX"), "pcx", "image/x-pcx"),
        (lambda seed, number: _save(_plain_image(seed, number), "PPM"), "jpg", "image/jpeg"),
    ),
    "truncated_image": ((_cut("JPEG"), "jpg", "image/jpeg"), (_cut("PNG"), "png", "image/png")),
    "corrupt_image": (
        (_broken_middle("PNG"), "png", "image/png"),
        (_png_bad_stream, "png", "image/png"),
        (_broken_middle("GIF"), "gif", "image/gif"),
    ),
    "too_many_pixels": (
        (lambda seed, number: _blank_png(9000 + number, 8000, 1), "png", "image/png"),
        (lambda seed, number: _blank_png(8001 + number, 8000, 8), "png", "image/png"),
        (lambda seed, number: _blank_png(20_000 + number, 20_000, 1), "png", "image/png"),
    ),
}  # fmt: skip
