"""Small untrained BLIP-2 models on disk for tests, and images for them; not for measuring captions."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Blip2Config, Blip2ForConditionalGeneration, OPTConfig

from flows.demo.models.blip2_model import IMAGE_ID, build_model, save, train_tokenizer
from flows.demo.world.drawings import KINDS
from stages.models.protocols import DrawSettings

WORDS = ("a winding river near a town", "red roofs and a straight road", "an airport with planes in winter") * 4
SHORT = DrawSettings(n_candidates=6, max_new_tokens=12)


def save_small(folder: Path) -> Path:
    """Save the demo's architecture untrained, with weights spread so that captions depend on the image."""
    save(spread(lambda: build_model(len(train_tokenizer(WORDS)))), train_tokenizer(WORDS), folder)
    return folder


def save_published(folder: Path) -> Path:
    """Save BLIP2-OPT-6.7B's configuration, whose defaults are the published ones, with narrow models of two layers."""
    tokenizer = train_tokenizer(WORDS)
    text = OPTConfig(
        vocab_size=len(tokenizer) + 8, hidden_size=64, word_embed_proj_dim=64, ffn_dim=256, num_hidden_layers=2,
        num_attention_heads=4, bos_token_id=2, eos_token_id=[7, 9],
    )  # fmt: skip
    vision = {"hidden_size": 88, "intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 4}
    qformer = {"hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = Blip2Config(
        vision_config={**vision, "initializer_range": 0.02}, qformer_config=qformer, text_config=text,
        image_token_index=IMAGE_ID,
    )  # fmt: skip
    assert (config.vision_config.image_size, config.vision_config.patch_size, config.num_query_tokens) == (224, 14, 32)
    save(spread(lambda: Blip2ForConditionalGeneration(config)), tokenizer, folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps({**settings, "size": {"height": 224, "width": 224}}))
    return folder


def spread(build: Callable[[], Any]) -> Any:
    torch.manual_seed(3)
    model = build()
    torch.nn.init.normal_(model.query_tokens)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "embed" not in name:
                weight.mul_(4)
    return model


def draw_images(n: int) -> list[Image.Image]:
    rng = np.random.default_rng(4)
    sizes = rng.integers(40, 160, (n, 2)).tolist()
    kinds = sorted(KINDS)
    return [KINDS[kinds[i % len(kinds)]](rng, *size).convert("RGB") for i, size in enumerate(sizes)]


def change_weights(folder: Path, out: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    shutil.copytree(folder, out, dirs_exist_ok=True)
    weights = load_file(out / "model.safetensors")
    change(weights)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    return out
