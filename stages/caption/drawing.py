"""Draw captions for several images at once; return the captions of each image, or why it has none.

The model is in stages/models/blip2_captioner.py.
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
    """Return the captions of each image, or why it has none; a batch with a failing image is repeated one by one."""
    try:
        return list(captioner.draw(prepared, seeds, settings))
    except ModelNotFinite as error:
        if len(prepared) == 1:
            return [error]
    alone = (draw_each(captioner, [image], [seed], settings) for image, seed in zip(prepared, seeds, strict=True))
    return [found for (found,) in alone]
