"""The protocols of models: features, probabilities, captions. Importing it is cheap, unlike the adapters.

Models prepare images one by one, which threads may do while a model runs, and process prepared images in batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]


class ModelNotFinite(Exception):
    """The model gave NaN or infinity, so the image cannot be scored."""


class ImageTextScorer(Protocol):
    """Maps images and texts into one space.

    Attributes:
        dim: length of a feature.
    """

    dim: int

    def prepare(self, image: Image.Image) -> Any:
        """Return the input of `image_features` for an RGB image; thread-safe."""

    def image_features(self, prepared: Sequence[Any]) -> Floats:
        """Return float32 [n, dim], rows L2-normalised; a row with NaN is unchanged."""

    def text_features(self, texts: Sequence[str], *, is_normalised: bool = True) -> Floats:
        """Return float32 [n, dim]; rows L2-normalised, or unchanged from the text encoder."""


class Detector(Protocol):
    """Distinguishes remote sensing images from others."""

    def prepare(self, image: Image.Image) -> Any:
        """Return the input of `probabilities` for an RGB image; thread-safe."""

    def probabilities(self, prepared: Sequence[Any]) -> Floats:
        """Return float32 [n], in [0, 1] or NaN: the probability of "remote sensing"."""


@dataclass(frozen=True)
class DrawSettings:
    """How captions are drawn: nucleus sampling within the k most probable tokens, without a text prompt.

    Attributes:
        n_candidates: captions per image.
        top_p: probability mass to sample from, in (0, 1].
        top_k: number of tokens to sample from.
        max_new_tokens: maximum length of a caption, tokens.
    """

    n_candidates: int = 20
    top_p: float = 0.95
    top_k: int = 50
    max_new_tokens: int = 50


class Captioner(Protocol):
    """Draws captions for images."""

    def prepare(self, image: Image.Image) -> Any:
        """Return the input of `draw` for an RGB image; thread-safe."""

    def draw(self, prepared: Sequence[Any], seeds: Sequence[int], settings: DrawSettings) -> list[list[str]]:
        """Return n_candidates captions per image, stripped; they may be empty or repeat each other.

        The captions of an image depend on its seed, and on the other images only through rounding.

        Raises:
            ModelNotFinite: the model gives NaN or infinity for one of the images.
        """
