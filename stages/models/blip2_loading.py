"""Load BLIP-2 from a folder of safetensors, and merge a LoRA adapter into it if there is one.

Digests and devices are handled in opening.py; captions are drawn in blip2_captioner.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.contract import InputError

LANGUAGE_MODEL = "opt"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
FILES = ("config.json", "tokenizer.json")


def load_blip2(folder: Path, *, precision: str, adapter: Path | None) -> Any:
    """Return transformers' model in a precision; with float16 transformers keeps the Q-Former in float32.

    Raises:
        InputError: configuration, weights or adapter cannot be used.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import Blip2ForConditionalGeneration
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    loader: Any = Blip2ForConditionalGeneration  # its return type depends on a flag
    config = _read_config(folder)
    try:
        model, found = loader.from_pretrained(
            folder,
            config=config,
            dtype=getattr(torch, precision),
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise _unusable(folder, "the weights of a BLIP-2 as safetensors", error) from error
    # transformers only warns and fills missing weights, or those of another shape, with random numbers.
    if bad := sorted([*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])]):
        text = f"missing or of another shape: {', '.join(bad[:5])}"
        raise _unusable(folder, "all weights in the shapes that config.json names", text)
    return merge_adapter(model, adapter) if adapter else model


def check_files(folder: Path) -> None:
    """Check that a folder has the files that transformers would otherwise download. Raises InputError."""
    for name in FILES:
        if not (folder / name).is_file():
            raise _unusable(folder, name, "no such file")


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a folder. Raises InputError."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unusable(folder, "a tokenizer (tokenizer.json, tokenizer_config.json)", error) from error


def load_image_processor(folder: Path) -> Any:
    """Return transformers' Pillow processor for BLIP images, which rounds the same on all machines.

    Raises:
        InputError: its settings cannot be used.
    """
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    try:
        return BlipImageProcessorPil.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unusable(folder, "a BLIP image processor (preprocessor_config.json)", error) from error


def merge_adapter(model: Any, folder: Path) -> Any:
    """Return the model with a LoRA adapter added to its weights.

    Raises:
        InputError: the adapter is not a LoRA adapter, is a pickle, or its weights do not match the model's.
    """
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = LoraConfig.from_pretrained(str(folder))
        config.inference_mode = True
        weights = load_file(folder / ADAPTER_WEIGHTS)
        adapted = get_peft_model(model, config)
        found: Any = set_peft_model_state_dict(adapted, weights)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        expected = f"a LoRA adapter for this model (adapter_config.json, {ADAPTER_WEIGHTS})"
        raise _unusable(folder, expected, error) from error
    missing = [name for name in found.missing_keys if ".lora_" in name]
    if missing or found.unexpected_keys:
        text = f"{len(missing)} missing, {len(found.unexpected_keys)} that the model does not have"
        raise _unusable(folder, "one pair of weights for each adapted layer", text)
    return adapted.merge_and_unload()


def _read_config(folder: Path) -> Any:
    from transformers import Blip2Config

    try:
        config: Any = Blip2Config.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _unusable(folder, "config.json of a BLIP-2", error) from error
    if config.text_config.model_type != LANGUAGE_MODEL:
        raise _unusable(folder, "a BLIP-2 with an OPT language model", config.text_config.model_type)
    return config


def _unusable(folder: Path, expected: str, found: object) -> InputError:
    said = " ".join(str(found).split())[:300]
    return InputError(
        f"{folder}: expected {expected}, found: {said}. Get the folder again as manifests/models.toml says (how_to_get)"
    )
