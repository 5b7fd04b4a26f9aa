"""The captioner: BLIP-2 with an OPT language model, from transformers; captions drawn by nucleus sampling.

Not for checking digests or choosing a device (stages/models/opening.py), nor for ranking captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from stages.contract import ContractError, InputError
from stages.models.blip2_loading import check_files, load_blip2, load_image_processor, load_tokenizer
from stages.models.nucleus import choose_tokens, draw_numbers
from stages.models.protocols import DrawSettings

if TYPE_CHECKING:
    import torch


class Blip2Captioner:
    """Draws captions, image by image, without a text prompt.

    An image is a batch of its own, its candidates are the rows: how a matrix product rounds may follow its number of
    rows, and a caption would hang on its neighbours. On a CPU seven images at once gave the same 2,100 captions of the
    demo model (float32 and bfloat16), in 0.6 of the time; a GPU chooses its kernels by size and promises nothing. What
    is seen of an image is computed once: the language model reads it once, and its keys and values are copied.

    Memory of BLIP2-OPT-6.7B in float16, from its numbers of parameters: vision encoder 0.99 G x 2 bytes, language model
    6.66 G x 2, Q-Former 0.11 G x 4 (transformers keeps it in float32): 15.7 GB; keys and values of 20 candidates of 83
    tokens 0.9 GB. One GPU of 24 GB holds it.
    """

    def __init__(
        self, folder: Path, *, device: str = "cpu", precision: str = "float32", adapter: Path | None = None
    ) -> None:
        """Load the model of a folder, and merge an adapter's folder into it where one is given.

        Raises:
            InputError: where the model or the adapter cannot be used.
        """
        import torch

        check_files(folder)
        self._device = torch.device(device)
        self._pictures = load_image_processor(folder)
        self._tokenizer = load_tokenizer(folder)
        self._model = (
            load_blip2(folder, precision=precision, adapter=adapter).to(self._device).eval().requires_grad_(False)
        )

    @property
    def model(self) -> Any:
        """Return transformers' model, for measuring it."""
        return self._model

    def to_pixels(self, image: Image.Image) -> torch.Tensor:
        """Return what the vision encoder is given, float32 [1, 3, height, width]."""
        # Named, as a guess would take the rows of a picture that is 1 or 3 px high for its channels.
        pixels = self._pictures(images=[image], return_tensors="pt", input_data_format="channels_last")["pixel_values"]
        found: torch.Tensor = pixels.to(self._device)
        return found

    def draw(self, images: Sequence[Image.Image], seeds: Sequence[int], settings: DrawSettings) -> list[list[str]]:
        """Return settings.n_candidates captions of each RGB image, stripped; they may be empty or repeat each other.

        An image's captions depend on its pixels, its seed and the settings alone.

        Raises:
            ModelNotFinite: where the model gives NaN or infinity for an image.
            InputError: where the model has no room for max_new_tokens.
        """
        if len(images) != len(seeds):
            raise ContractError(f"a captioner is given one seed an image, got {len(images)} images, {len(seeds)} seeds")
        self._check_room(settings.max_new_tokens)
        return [self._draw_one(image, seed, settings) for image, seed in zip(images, seeds, strict=True)]

    def _draw_one(self, image: Image.Image, seed: int, settings: DrawSettings) -> list[str]:
        import torch

        if image.mode != "RGB":
            raise ContractError(f"a captioner is given RGB images, got mode {image.mode}")
        with torch.inference_mode():
            logits, cache = self._read_prefix(image)
            rows = self._draw_tokens(logits, cache, seed, settings)
        texts: list[str] = self._tokenizer.batch_decode(rows, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _read_prefix(self, image: Image.Image) -> tuple[torch.Tensor, Any]:
        """Return the logits of the first token, [1, vocabulary], and keys and values of image and start token."""
        import torch

        seen = self._model.get_image_features(self.to_pixels(image), return_dict=True).pooler_output
        language = self._model.language_model
        start = torch.tensor([[language.config.bos_token_id]], device=self._device)
        opening = language.get_input_embeddings()(start)
        read = language(inputs_embeds=torch.cat([seen.to(opening.dtype), opening], dim=1), use_cache=True)
        return read.logits[:, -1], read.past_key_values

    def _draw_tokens(self, logits: torch.Tensor, cache: Any, seed: int, settings: DrawSettings) -> list[list[int]]:
        """Return the tokens of each candidate, without the token that ends it."""
        import torch

        n, n_steps = settings.n_candidates, settings.max_new_tokens
        ends = torch.tensor(self._end_tokens())
        numbers = draw_numbers(seed, n, n_steps)
        cache.batch_repeat_interleave(n)
        logits = logits.expand(n, -1)
        rows: list[list[int]] = [[] for _ in range(n)]
        is_open = torch.ones(n, dtype=torch.bool)
        for step in range(n_steps):
            chosen = choose_tokens(logits, numbers[:, step], top_p=settings.top_p, top_k=settings.top_k)
            is_open &= ~torch.isin(chosen, ends)
            for row in is_open.nonzero()[:, 0].tolist():
                rows[row].append(int(chosen[row]))
            if step + 1 == n_steps or not is_open.any():
                break
            following = chosen[:, None].to(self._device)
            logits = self._model.language_model(input_ids=following, past_key_values=cache, use_cache=True).logits[
                :, -1
            ]
        return rows

    def _end_tokens(self) -> list[int]:
        # The published checkpoints end captions with a line break (50118), not with OPT's own token.
        found = self._model.config.text_config.eos_token_id
        return list(found) if isinstance(found, list | tuple) else [found]

    def _check_room(self, max_new_tokens: int) -> None:
        config = self._model.config
        n_read = config.num_query_tokens + 1
        room = config.text_config.max_position_embeddings - n_read
        if max_new_tokens > room:
            raise InputError(
                f"caption.max_new_tokens: expected at most {room}, as the model reads {room + n_read} tokens and the"
                f" image takes {n_read}, found {max_new_tokens}: lower the setting"
            )
