"""Adapter to CLIP and SigLIP of transformers: reads a folder with config, safetensors, tokenizer and image processor.

Digests and devices are handled in opening.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from stages.contract import InputError
from stages.models.features import finite_rows, lowest_precision, to_rows
from stages.models.halving import Halving
from stages.models.protocols import Floats

if TYPE_CHECKING:
    import torch

KINDS = ("clip", "siglip", "siglip2")


class TransformersScorer:
    """Features from a CLIP or SigLIP model, without autocast; images are prepared by the PIL image processor.

    Texts are padded to the model's full length, as in SigLIP's training; SigLIP reads padding as text.

    Attributes:
        dim: length of a feature.
    """

    def __init__(self, folder: Path, *, device: str = "cpu", precision: str = "float32") -> None:
        """Load the model of a folder.

        Raises:
            InputError: the folder has no CLIP or SigLIP model that can be loaded.
        """
        import torch
        from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            config = AutoConfig.from_pretrained(folder, **local)
            if config.model_type not in KINDS:
                raise ValueError(f"its model_type is {config.model_type!r}, expected one of {', '.join(KINDS)}")
            dtype = getattr(torch, precision)
            model = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=dtype, **local)
            processors: Any = AutoImageProcessor
            self._processor = processors.from_pretrained(folder, backend="pil", **local)
            self._tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        except (ValueError, RuntimeError, OSError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder} should hold a CLIP or SigLIP model of transformers (config.json, safetensors, tokenizer and"
                f" preprocessor_config.json): {' '.join(str(error).split())[:400]}. Fetch it again"
            ) from error
        self._model = model.to(device).eval()
        self._halving = Halving()
        self._max_tokens = int(config.text_config.max_position_embeddings)
        # SigLIP has no projection: its towers have the width of the embedding.
        self.dim = int(getattr(config, "projection_dim", 0) or config.text_config.hidden_size)

    def prepare(self, image: Image.Image) -> dict[str, torch.Tensor]:
        """Return the model's inputs for an RGB image by name, each [1, …]; thread-safe."""
        return dict(self._processor(images=[image], return_tensors="pt"))

    def image_features(self, prepared: Sequence[dict[str, torch.Tensor]]) -> Floats:
        """Return float32 [n, dim], rows L2-normalised; a row with NaN is unchanged."""
        return finite_rows(self._model, prepared, self._halving, self._image_rows)

    def text_features(self, texts: Sequence[str], *, is_normalised: bool = True) -> Floats:
        """Return float32 [n, dim]; rows L2-normalised, or unchanged from the text encoder."""
        return finite_rows(self._model, texts, self._halving, partial(self._text_rows, is_normalised=is_normalised))

    def _image_rows(self, prepared: Sequence[dict[str, torch.Tensor]]) -> Floats:
        import torch

        pixels = {name: self._place(torch.cat([one[name] for one in prepared])) for name in prepared[0]}
        with torch.inference_mode():
            return to_rows(_pooled(self._model.get_image_features(**pixels)), is_normalised=True)

    def _text_rows(self, texts: Sequence[str], *, is_normalised: bool) -> Floats:
        import torch

        tokens = self._tokenizer(
            list(texts), padding="max_length", max_length=self._max_tokens, truncation=True, return_tensors="pt"
        )
        names = set(self._tokenizer.model_input_names) & {"input_ids", "attention_mask"}
        with torch.inference_mode():
            found = self._model.get_text_features(**{name: self._place(tokens[name]) for name in names})
            return to_rows(_pooled(found), is_normalised=is_normalised)

    def _place(self, values: Any) -> Any:
        values = values.to(self._model.device)
        return values.to(lowest_precision(self._model)) if values.is_floating_point() else values


def _pooled(found: Any) -> Any:
    """Return the features, which some versions of transformers wrap."""
    return getattr(found, "pooler_output", found)
