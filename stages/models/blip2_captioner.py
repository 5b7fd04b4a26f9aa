"""The captioner: BLIP-2 with an OPT language model, from transformers; captions drawn by nucleus sampling.

Digests and devices are handled in opening.py; captions are ranked in stages/caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from stages.contract import ContractError, InputError
from stages.models.blip2_loading import check_files, load_blip2, load_image_processor, load_tokenizer
from stages.models.blip2_steps import Steps
from stages.models.halving import Halving
from stages.models.nucleus import choose_tokens, draw_numbers
from stages.models.protocols import DrawSettings

if TYPE_CHECKING:
    import torch


class Blip2Captioner:
    """Draws captions without a text prompt; each candidate of each image in a batch is a row.

    Each image is encoded once: the language model reads it once, and its keys and values are copied. On a CPU, rows
    with finished captions leave the batch once half of them are finished; on a GPU the recorded steps keep them. The
    rounding of a matrix product may depend on its number of rows, so on a GPU a caption can depend on its neighbours.
    On a CPU seven images at once gave the same 2,100 captions of the demo model as each one alone (float32 and
    bfloat16).

    Memory of BLIP2-OPT-6.7B in float16, from its numbers of parameters: vision encoder 0.99 G x 2 bytes, language model
    6.66 G x 2, Q-Former 0.11 G x 4 (transformers keeps it in float32): 15.7 GB; keys and values of 20 candidates of 83
    tokens 0.9 GB per image. On an H200, 1, 4, 8 and 16 images with 20 new tokens used 16.3, 19.3, 22.8 and 29.8 GB;
    extrapolated, four images with 50 tokens use 21 GB.
    """

    def __init__(
        self, folder: Path, *, device: str = "cpu", precision: str = "float32", adapter: Path | None = None
    ) -> None:
        """Load the model of a folder, and merge an adapter into it if one is given.

        Raises:
            InputError: the model or the adapter cannot be used.
        """
        import torch

        check_files(folder)
        self._device = torch.device(device)
        self._pictures = load_image_processor(folder)
        self._tokenizer = load_tokenizer(folder)
        self._model = (
            load_blip2(folder, precision=precision, adapter=adapter).to(self._device).eval().requires_grad_(False)
        )
        self._steps: Steps | None = None
        self._halving = Halving()

    @property
    def model(self) -> Any:
        """Return transformers' model, for measurements."""
        return self._model

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """Return the vision encoder's input for an RGB image, float32 [1, 3, height, width]; thread-safe."""
        if image.mode != "RGB":
            raise ContractError(f"a captioner expects RGB images, got mode {image.mode}")
        # Stated, because in a picture of 1 or 3 px height the rows would be guessed to be channels.
        found: torch.Tensor = self._pictures(images=[image], return_tensors="pt", input_data_format="channels_last")[
            "pixel_values"
        ]
        return found

    def draw(self, prepared: Sequence[torch.Tensor], seeds: Sequence[int], settings: DrawSettings) -> list[list[str]]:
        """Return settings.n_candidates captions of each image, stripped; they may be empty or repeat each other.

        An image's captions depend on its pixels, its seed, the settings and, through rounding, on the batch.

        Raises:
            ModelNotFinite: the model gives NaN or infinity for one of the images.
            InputError: max_new_tokens exceeds the model's context.
        """
        if len(prepared) != len(seeds):
            raise ContractError(f"a captioner expects one seed per image: {len(prepared)} images, {len(seeds)} seeds")
        self._check_room(settings.max_new_tokens)
        images = list(zip(prepared, seeds, strict=True))
        return list(chain.from_iterable(self._halving.run(partial(self._draw, settings), images)))

    def _draw(self, settings: DrawSettings, images: Sequence[tuple[torch.Tensor, int]]) -> list[list[str]]:
        """Return the captions of images with their seeds, in one batch."""
        import torch

        prepared, seeds = zip(*images, strict=True)
        try:
            with torch.inference_mode():
                logits, cache = self._read_prefix(torch.cat(prepared).to(self._device))
                rows = self._draw_tokens(logits, cache, seeds, settings)
        except torch.OutOfMemoryError:
            self._steps = None  # frees the recorded steps of larger batches
            raise
        texts = [text.strip() for text in self._tokenizer.batch_decode(rows, skip_special_tokens=True)]
        n = settings.n_candidates
        return [texts[start : start + n] for start in range(0, len(texts), n)]

    def _read_prefix(self, pixels: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return logits of the first token, [n_images, vocabulary], and keys and values of images and start token."""
        import torch

        seen = self._model.get_image_features(pixels, return_dict=True).pooler_output
        language = self._model.language_model
        start = torch.full((len(pixels), 1), language.config.bos_token_id, device=self._device)
        opening = language.get_input_embeddings()(start)
        read = language(inputs_embeds=torch.cat([seen.to(opening.dtype), opening], dim=1), use_cache=True)
        return read.logits[:, -1], read.past_key_values

    def _draw_tokens(
        self, logits: torch.Tensor, cache: Any, seeds: Sequence[int], settings: DrawSettings
    ) -> list[list[int]]:
        """Return the tokens of each candidate, image by image, without the end token."""
        import torch

        n, n_tokens = settings.n_candidates, settings.max_new_tokens
        ends = torch.tensor(self._end_tokens())
        numbers = torch.cat([draw_numbers(seed, n, n_tokens) for seed in seeds])
        steps = self._steps_from(cache, n, n_tokens)
        logits = logits.repeat_interleave(n, dim=0)
        found: list[list[int]] = [[] for _ in numbers]
        rows, is_open = torch.arange(len(found)), torch.ones(len(found), dtype=torch.bool)
        for place in range(n_tokens):
            chosen = choose_tokens(logits, numbers[rows, place], top_p=settings.top_p, top_k=settings.top_k)
            is_open &= ~torch.isin(chosen, ends)
            for row, token in zip(rows[is_open].tolist(), chosen[is_open].tolist(), strict=True):
                found[row].append(token)
            n_open = int(is_open.sum())
            if place + 1 == n_tokens or not n_open:
                break
            if steps.can_shrink and 2 * n_open <= len(rows):
                steps.keep(is_open.nonzero()[:, 0])
                rows, chosen, is_open = rows[is_open], chosen[is_open], is_open[is_open]
            logits = steps.advance(chosen)
        return found

    def _steps_from(self, cache: Any, n_candidates: int, n_tokens: int) -> Steps:
        """Return the steps that continue from the cache; those of the previous batch are reused if they fit."""
        n_places = self._model.config.num_query_tokens + 1 + n_tokens
        if self._steps is not None and self._steps.fits(cache, n_candidates, n_places):
            self._steps.restart(cache)
        else:
            self._steps = None  # frees its memory before the next is allocated
            self._steps = Steps(self._model.language_model, cache, n_candidates, n_places)
        return self._steps

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
