"""Asks a captioner for the captions of several images at once, and says of each image what came of it.

Not for ranking captions, nor for the model itself (stages/models/blip2_captioner.py).
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from stages.models.protocols import Captioner, DrawSettings, ModelNotFinite


def draw_seed(sample_id: str, seed: int) -> int:
    """Return the seed of a sample's captions, in [0, 2**64)."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample_id}".encode()).digest()[:8])


def draw_each(
    captioner: Captioner, prepared: Sequence[Any], seeds: Sequence[int], settings: DrawSettings
) -> list[list[str] | ModelNotFinite]:
    """Return the captions of each image, or why it has none: a batch with such an image is drawn one by one."""
    try:
        return list(captioner.draw(prepared, seeds, settings))
    except ModelNotFinite as error:
        if len(prepared) == 1:
            return [error]
    alone = (draw_each(captioner, [image], [seed], settings) for image, seed in zip(prepared, seeds, strict=True))
    return [found for (found,) in alone]
