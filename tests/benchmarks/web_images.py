"""Synthetic web JPEGs: photo-like pictures with EXIF, a thumbnail and a colour profile."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms

_SHARES_WITH_EXIF = 3  # one in three is as written by a camera; the others are from editors and content servers


def draw_jpegs(n: int, sides_px: tuple[int, int], seed: int = 7) -> Iterator[bytes]:
    """Yield JPEGs with random sides and, like web photos, about 1.7 bits per pixel.

    Args:
        n: number of pictures, all different.
        sides_px: shortest and longest side.
        seed: seed of the pictures.
    """
    rng = np.random.default_rng(seed)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for i in range(n):
        width, height = (int(side) for side in rng.integers(sides_px[0], sides_px[1] + 1, 2))
        image = _draw(rng, width, height)
        out = io.BytesIO()
        if i % _SHARES_WITH_EXIF:
            image.save(out, "JPEG", quality=85, progressive=i % 5 == 0, comment=f"picture {i}")
        else:
            image.save(out, "JPEG", quality=85, exif=_exif(image), icc_profile=profile)
        yield out.getvalue()


def _draw(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Return soft areas, edges and grain, which JPEG compresses about as well as a photo."""
    soft = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 256, (height // 5 + 1, width // 5 + 1, 3), np.uint8))
    textured = Image.blend(soft, fine.resize((width, height), Image.Resampling.BICUBIC), 0.25)
    grain = rng.normal(0, 5, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(textured) + grain, 0, 255).astype(np.uint8))


def _exif(image: Image.Image) -> bytes:
    """Return a camera's EXIF: date, position, and a comment as large as a thumbnail and maker's notes."""
    exif = image.getexif()
    exif[0x0132] = "2020:06:01 10:20:30"
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0), 3: "E", 4: (11.0, 34.0, 0.0)}
    exif[0x9C9C] = bytes(12_000)
    return exif.tobytes()
