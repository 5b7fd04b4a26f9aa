"""Training examples for the demo captioner: generated scenes at its input size, with their captions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from flows.demo.models.blip2_model import SIDE_PX
from flows.demo.models.scene_captions import Facts
from flows.demo.models.scenes import draw_scene

# Means and standard deviations of transformers' BLIP image processor, in RGB order; they are CLIP's.
MEANS, DEVIATIONS = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Examples:
    """Scenes at the captioner's input size.

    Attributes:
        squares: uint8 [n, SIDE_PX, SIDE_PX, 3].
        captions: all captions of each scene.
        facts: the facts of each scene, which captions may state.
    """

    squares: np.ndarray
    captions: tuple[tuple[str, ...], ...]
    facts: tuple[Facts, ...]


def draw_examples(first_seed: int, n: int, *, is_held_out: bool = False) -> Examples:
    """Return n scenes, each reduced as soon as it is drawn, since full-size ones would not fit in memory."""
    squares, captions, facts = [], [], []
    for seed in range(first_seed, first_seed + n):
        scene = draw_scene(seed, is_held_out=is_held_out)
        squares.append(np.asarray(scene.image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)))
        captions.append(scene.captions)
        facts.append(scene.facts)
    return Examples(np.stack(squares), tuple(captions), tuple(facts))


def normalise(squares: torch.Tensor) -> torch.Tensor:
    """Return float32 [n, 3, SIDE_PX, SIDE_PX] normalised as by the image processor."""
    values = squares.permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(MEANS)[:, None, None]) / torch.tensor(DEVIATIONS)[:, None, None]


def turn(pixels: torch.Tensor, is_from_above: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return randomly mirrored pictures; views from above are also transposed and flipped upside down at random."""
    is_chosen = torch.rand((3, len(pixels)), generator=generator) < 0.5
    makers: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
        lambda x: x.flip(3), lambda x: x.flip(2), lambda x: x.transpose(2, 3),
    )  # fmt: skip
    are_turned = (is_chosen[0], is_chosen[1] & is_from_above, is_chosen[2] & is_from_above)
    for is_turned, make in zip(are_turned, makers, strict=True):
        pixels = torch.where(is_turned[:, None, None, None], make(pixels), pixels)
    return pixels
