"""Adapter to open_clip: reads a folder with open_clip_config.json and safetensors, as `local-dir:` does.

Digests and devices are handled in opening.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from stages.contract import InputError
from stages.models.features import finite_rows, lowest_precision, to_rows
from stages.models.halving import Halving
from stages.models.protocols import Floats
from stages.models.without_wandb import without_wandb

if TYPE_CHECKING:
    import torch

PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


class OpenClipScorer:
    """Features from an open_clip model, without autocast; PIL resizes and crops images as configured.

    Attributes:
        dim: length of a feature.
    """

    def __init__(self, folder: Path, *, device: str = "cpu", precision: str = "float32") -> None:
        """Load the model of a folder.

        Raises:
            InputError: configuration, weights or tokenizer of the folder cannot be loaded as a model.
        """
        with without_wandb():
            import open_clip
        import torch

        name = f"local-dir:{folder}"
        self._device = torch.device(device)
        try:
            self._model, self._preprocess = open_clip.create_model_from_pretrained(
                name, precision=PRECISIONS[precision], device=self._device
            )
            self._tokenizer = open_clip.get_tokenizer(name)
        except (ValueError, RuntimeError, OSError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder} should hold a model of open_clip (open_clip_config.json, safetensors, and a tokenizer where"
                f" the configuration names one): {' '.join(str(error).split())[:400]}. Fetch it again"
            ) from error
        self._model.eval()
        self._halving = Halving()
        self.dim = int(open_clip.get_model_config(name)["embed_dim"])

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """Return the model's input for an RGB image, float32 [3, height, width]; thread-safe."""
        pixels: torch.Tensor = self._preprocess(image)
        return pixels

    def image_features(self, prepared: Sequence[torch.Tensor]) -> Floats:
        """Return float32 [n, dim], rows L2-normalised; a row with NaN is unchanged."""
        return finite_rows(self._model, prepared, self._halving, self._image_rows)

    def text_features(self, texts: Sequence[str], *, is_normalised: bool = True) -> Floats:
        """Return float32 [n, dim]; rows L2-normalised, or unchanged from the text encoder."""
        return finite_rows(self._model, texts, self._halving, partial(self._text_rows, is_normalised=is_normalised))

    def _image_rows(self, prepared: Sequence[torch.Tensor]) -> Floats:
        import torch

        pixels = torch.stack(list(prepared)).to(self._device, lowest_precision(self._model.visual))
        with torch.inference_mode():
            return to_rows(self._model.encode_image(pixels), is_normalised=True)

    def _text_rows(self, texts: Sequence[str], *, is_normalised: bool) -> Floats:
        import torch

        tokens = self._tokenizer(list(texts)).to(self._device)
        with torch.inference_mode():
            return to_rows(self._model.encode_text(tokens), is_normalised=is_normalised)
