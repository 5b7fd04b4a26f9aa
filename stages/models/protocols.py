"""What a stage asks of a model: features, a probability, captions. Light to import; the adapters are not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]


class ModelNotFinite(Exception):
    """The model gave NaN or infinity where numbers are needed: the image cannot be judged by it."""


class ImageTextScorer(Protocol):
    """Maps images and texts into one space.

    Attributes:
        dim: length of a feature.
    """

    dim: int

    def image_features(self, images: Sequence[Image.Image]) -> Floats:
        """Return float32 [n, dim], rows L2-normalised; a row with NaN stays as it is. Images are RGB."""

    def text_features(self, texts: Sequence[str], *, is_normalised: bool = True) -> Floats:
        """Return float32 [n, dim]; rows L2-normalised, or as the text encoder gives them."""


class Detector(Protocol):
    """Tells remote sensing images from others."""

    def probabilities(self, images: Sequence[Image.Image]) -> Floats:
        """Return float32 [n], in [0, 1] or NaN: the probability of "remote sensing". Images are RGB."""


@dataclass(frozen=True)
class DrawSettings:
    """How captions are drawn: nucleus sampling within the k most probable tokens, without a text prompt.

    Attributes:
        n_candidates: captions an image.
        top_p: probability mass that is sampled from, in (0, 1].
        top_k: tokens that are sampled from.
        max_new_tokens: longest caption, tokens.
    """

    n_candidates: int = 20
    top_p: float = 0.95
    top_k: int = 50
    max_new_tokens: int = 50


class Captioner(Protocol):
    """Draws captions for images."""

    def draw(self, images: Sequence[Image.Image], seeds: Sequence[int], settings: DrawSettings) -> list[list[str]]:
        """Return n_candidates captions an image, stripped; they may be empty or repeat each other.

        The captions of an image depend on its seed, not on the images around it.

        Raises:
            ModelNotFinite: when the model gives NaN or infinity for an image.
        """
