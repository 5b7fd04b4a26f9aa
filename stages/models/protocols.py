"""What a stage asks of a model: features, a probability, captions. Light to import; the adapters are not.

Each model prepares an image by itself, which threads may do while it works on others, and then takes many at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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

    def prepare(self, image: Image.Image) -> Any:
        """Return what `image_features` takes of an RGB image; safe in threads."""

    def image_features(self, prepared: Sequence[Any]) -> Floats:
        """Return float32 [n, dim], rows L2-normalised; a row with NaN stays as it is."""

    def text_features(self, texts: Sequence[str], *, is_normalised: bool = True) -> Floats:
        """Return float32 [n, dim]; rows L2-normalised, or as the text encoder gives them."""


class Detector(Protocol):
    """Distinguishes remote sensing images from others."""

    def prepare(self, image: Image.Image) -> Any:
        """Return what `probabilities` takes of an RGB image; safe in threads."""

    def probabilities(self, prepared: Sequence[Any]) -> Floats:
        """Return float32 [n], in [0, 1] or NaN: the probability of "remote sensing"."""


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

    def prepare(self, image: Image.Image) -> Any:
        """Return what `draw` takes of an RGB image; safe in threads."""

    def draw(self, prepared: Sequence[Any], seeds: Sequence[int], settings: DrawSettings) -> list[list[str]]:
        """Return n_candidates captions an image, stripped; they may be empty or repeat each other.

        The captions of an image depend on its seed, and on the images around it by no more than rounding.

        Raises:
            ModelNotFinite: when the model gives NaN or infinity for one of the images.
        """
