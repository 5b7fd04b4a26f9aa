"""The edits of bench-recall: what makes a copy of a picture, with the share of copies that must be found."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from stages.images.shown import TURNS

Rng = np.random.Generator
Edit = Callable[[Image.Image, Rng], Image.Image]


def encode(image: Image.Image, rng: Rng, quality: int) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def resize(image: Image.Image, rng: Rng, share: float) -> Image.Image:
    size = max(8, round(image.width * share)), max(8, round(image.height * share))
    return image.resize(size, Image.Resampling.LANCZOS)


def window(image: Image.Image, rng: Rng, most: float) -> Image.Image:
    """A window at a random place that leaves out half of `most` to `most` of each side."""
    width, height = (round(side * (1 - rng.uniform(most / 2, most))) for side in image.size)
    x, y = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
    return image.crop((x, y, x + width, y + height))


def frame(image: Image.Image, rng: Rng) -> Image.Image:
    colour = (255, 255, 255) if rng.random() < 0.5 else (0, 0, 0)
    return ImageOps.expand(image, max(2, round(max(image.size) * rng.uniform(0.03, 0.08))), colour)


def watermark(image: Image.Image, rng: Rng) -> Image.Image:
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    step = max(24, max(image.size) // 4)
    for y in range(int(rng.integers(step)), image.height, step):
        for x in range(int(rng.integers(step)) - step, image.width, 2 * step):
            pen.text((x, y), "aerialstock", fill=(255, 255, 255, 130), font_size=max(10, step // 3))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def text_strip(image: Image.Image, rng: Rng) -> Image.Image:
    image = image.copy()
    pen, top = ImageDraw.Draw(image), round(image.height * rng.uniform(0.86, 0.92))
    pen.rectangle((0, top, image.width, image.height), fill=(20, 20, 20))
    size = max(8, (image.height - top) * 2 // 3)
    pen.text((6, top + 1), "Photographed from above in 2014", fill=(240, 240, 240), font_size=size)
    return image


def turn_slightly(image: Image.Image, rng: Rng) -> Image.Image:
    return image.rotate(5 if rng.random() < 0.5 else -5, Image.Resampling.BICUBIC)


def together(*edits: Edit) -> Edit:
    def edit(image: Image.Image, rng: Rng) -> Image.Image:
        for one in edits:
            image = one(image, rng)
        return image

    return edit


EASY, SOME, SMALL_CUT, LARGE_CUT = 0.99, 0.90, 0.90, 0.75
COMBINED = 0.85
# Each with the least share of copies that both measures together find.
EDITS: dict[str, tuple[Edit, float]] = {
    **{f"re-encode {q}": (partial(encode, quality=q), EASY) for q in (95, 60, 30)},
    **{f"resize {share:g}": (partial(resize, share=share), EASY) for share in (0.25, 0.5, 2.0)},
    "grey": (lambda image, rng: image.convert("L").convert("RGB"), EASY),
    "blur": (lambda image, rng: image.filter(ImageFilter.GaussianBlur(max(image.size) / 250)), EASY),
    "brightness": (lambda image, rng: ImageEnhance.Brightness(image).enhance(rng.uniform(0.75, 1.25)), EASY),
    **{f"EXIF turn {n}": (lambda image, rng, n=n: image.transpose(TURNS[n]), EASY) for n in TURNS},
    "window, cut <= 10 %": (partial(window, most=0.1), SMALL_CUT),
    "window, cut <= 20 %": (partial(window, most=0.2), LARGE_CUT),
    "border": (frame, SOME),
    "watermark": (watermark, SOME),
    "text strip": (text_strip, SOME),
    "5 degrees": (turn_slightly, COMBINED),
    "window + re-encode 60": (together(partial(window, most=0.1), partial(encode, quality=60)), COMBINED),
    "mirror + window": (
        together(lambda image, rng: ImageOps.mirror(image), partial(window, most=0.15)), COMBINED
    ),
    "half size + text strip": (together(partial(resize, share=0.5), text_strip), COMBINED),
    "border + watermark": (together(frame, watermark), COMBINED),
}  # fmt: skip
