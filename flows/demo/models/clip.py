"""Trains the demo image-text models on generated scenes: a small ResNet CLIP and a small ConvNeXt CLIP of open_clip.

Not for measuring them (flows/demo/models/clip_quality.py).
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from flows.demo.models.clip_data import BATCH, N_EPOCHS, N_THREADS, SIDE_PX, Pairs, draw_pairs
from schemas.manifests import load_prompts

N_TRAIN, PEAK_RATE, WEIGHT_DECAY = 9000, 2e-3, 0.1
# Not used by other demo models, tests or the demo's world.
TRAIN_SEED = 1_000_000
EMBED_DIM, CONTEXT, VOCABULARY = 96, 32, 1000
GREY_SHARE = 0.12  # in addition to the grey encodings: the web has more grey pictures than the scenes
FIRST_LAYER_SCALE = 0.5
MAX_SCALE = 50.0  # with CLIP's own bound of 100 so small a model memorises its batches
PROMPT_SCALE, PROMPT_MIDDLE, PROMPT_WEIGHT = 12.0, 0.2, 1.0
TEXT: dict[str, Any] = {"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": 64, "heads": 4, "layers": 2}
TEXT |= {"hf_tokenizer_name": "local", "no_causal_mask": False}
VISION: dict[str, dict[str, Any]] = {
    # The published models' families: OpenAI's ResNet50x64, and ConvNeXt-XXL, which open_clip takes from timm.
    "demo-clip": {"layers": [1, 1, 1, 1], "width": 12, "image_size": SIDE_PX},
    "demo-clip-2": {"timm_model_name": "test_convnext2", "timm_pool": "", "timm_proj": "linear", "image_size": SIDE_PX},
}
PREPROCESS = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
ORDINARY = ("a picture", "a photo found online", "a web image", "a drawing", "a chart", "a portrait", "an indoor scene")


def train_first(out: Path) -> str:
    """Train demo-clip into a folder under `out`; return its section of QUALITY.md."""
    return _train("demo-clip", out, seed=1)


def train_second(out: Path) -> str:
    """Train demo-clip-2 into a folder under `out`; return its section of QUALITY.md."""
    return _train("demo-clip-2", out, seed=2)


def _train(name: str, out: Path, seed: int) -> str:
    from flows.demo.models.clip_quality import measure

    torch.manual_seed(seed)
    torch.set_num_threads(N_THREADS)
    started = time.monotonic()
    pairs = draw_pairs(TRAIN_SEED, N_TRAIN)
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    tokens = write_tokenizer(pairs, folder)
    model = build(name)
    fit(model, pairs, tokens, seed)
    save(model, name, folder)
    return measure(name, folder, pairs, time.monotonic() - started)


def build(name: str) -> Any:
    """Return an untrained model, built by open_clip from its configuration."""
    from open_clip.model import CLIP

    text = {key: value for key, value in TEXT.items() if key != "hf_tokenizer_name"}
    model = CLIP(embed_dim=EMBED_DIM, vision_cfg=dict(VISION[name]), text_cfg=text)
    for key, values in model.named_parameters():
        if key.endswith(".gamma"):
            # timm scales ConvNeXt blocks by 1e-6 at first, for deep models and long training: these would learn little.
            torch.nn.init.constant_(values, FIRST_LAYER_SCALE)
    return model


def write_tokenizer(pairs: Pairs, folder: Path) -> Any:
    """Write a byte-level BPE trained on captions and prompts; return a function from texts to token ids."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from open_clip.tokenizer import HFTokenizer
    from transformers import PreTrainedTokenizerFast

    texts = [caption for captions in pairs.captions for caption in captions] + 50 * list(load_prompts().texts())
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    # open_clip pools a text at its largest token id, so the end token gets the last id.
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 1,
        special_tokens=["<pad>", "<start>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    # If the captions fill only part of the vocabulary, unused tokens fill the rest and the end token stays last.
    bpe.add_special_tokens([f"<unused{n}>" for n in range(VOCABULARY - 1 - bpe.get_vocab_size())] + ["<end>"])
    start, end = bpe.token_to_id("<start>"), bpe.token_to_id("<end>")
    if end != VOCABULARY - 1:
        raise RuntimeError(f"the end is token {end}, expected {VOCABULARY - 1}")
    bpe.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", start), ("<end>", end)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", bos_token="<start>", eos_token="<end>", model_max_length=CONTEXT
    )
    tokenizer.save_pretrained(folder)
    return HFTokenizer(str(folder), context_length=CONTEXT)


def fit(model: Any, pairs: Pairs, tokenize: Any, seed: int) -> None:
    """Train in place with two losses: contrastive over captions, and views from above against other pictures."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    squares = torch.from_numpy(pairs.squares).permute(0, 3, 1, 2).contiguous()
    captions = torch.stack([tokenize(list(of_one)) for of_one in pairs.captions])
    known = {facts: n for n, facts in enumerate(dict.fromkeys(pairs.facts))}
    facts = torch.tensor([known[one] for one in pairs.facts])
    above = torch.from_numpy(pairs.is_from_above)
    prompts, ordinary = tokenize(list(load_prompts().texts())), tokenize(list(ORDINARY))
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98))
    n_steps = N_EPOCHS * (len(squares) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=n_steps, pct_start=0.15)
    model.train()
    for epoch in range(N_EPOCHS):
        order = torch.randperm(len(squares), generator=generator)
        for start in range(0, len(squares) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            which = torch.from_numpy(rng.choice(captions.shape[1], BATCH, p=[0.4, 0.15, 0.15, 0.15, 0.15]))
            seen = model.encode_image(vary(squares[chosen], above[chosen], generator), normalize=True)
            texts = torch.cat([captions[chosen, which], prompts, ordinary])
            read = model.encode_text(texts, normalize=True)
            scale = model.logit_scale.exp().clamp(max=MAX_SCALE)
            loss = contrast(scale * seen @ read[:BATCH].T, facts[chosen])
            loss = loss + PROMPT_WEIGHT * part(seen, read[BATCH:], len(prompts), above[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {N_EPOCHS}: loss {float(loss.detach()):.3f}", flush=True)


def contrast(logits: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
    """Return CLIP's loss without the pairs whose pictures have the same facts: their captions fit both.

    Args:
        logits: float32 [n, n], images by captions.
        facts: int64 [n], equal for pictures with equal facts.
    """
    is_same = (facts[:, None] == facts[None, :]) & ~torch.eye(len(facts), dtype=torch.bool)
    logits = logits.masked_fill(is_same, -1e4)
    right = torch.arange(len(facts))
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def part(seen: torch.Tensor, read: torch.Tensor, n_prompts: int, above: torch.Tensor) -> torch.Tensor:
    """Return the loss of classifying views from above by the mean prompt and other pictures by the mean of ORDINARY.

    Args:
        seen: image features, float32 [n, EMBED_DIM].
        read: text features of the prompts, then of ORDINARY.
        n_prompts: number of prompts.
        above: bool [n].
    """
    means = torch.stack([read[:n_prompts].mean(0), read[n_prompts:].mean(0)])
    logits = PROMPT_SCALE * (seen @ F.normalize(means, dim=1).T - PROMPT_MIDDLE)
    targets = torch.stack([above, ~above], dim=1).float()
    return F.binary_cross_entropy_with_logits(logits, targets)


def vary(squares: torch.Tensor, above: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return normalised pictures, at random mirrored, transposed (if from above), zoomed, greyed and tinted."""
    pixels = squares.float() / 255

    def chance(share: float) -> torch.Tensor:
        return (torch.rand(len(pixels), generator=generator) < share)[:, None, None, None]

    pixels = torch.where(chance(0.5), pixels.flip(3), pixels)
    pixels = torch.where(chance(0.5) & above[:, None, None, None], pixels.transpose(2, 3), pixels)
    zoom = 1 - 0.12 * torch.rand((len(pixels), 2), generator=generator)
    shift = (1 - zoom) * (2 * torch.rand((len(pixels), 2), generator=generator) - 1)
    frames = torch.zeros(len(pixels), 2, 3)
    frames[:, 0, 0], frames[:, 1, 1], frames[:, :, 2] = zoom[:, 0], zoom[:, 1], shift
    grid = F.affine_grid(frames, list(pixels.shape), align_corners=False)
    pixels = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    pixels = torch.where(chance(GREY_SHARE), pixels.mean(1, keepdim=True), pixels)
    pixels = pixels * (1 + 0.1 * (2 * torch.rand((len(pixels), 3, 1, 1), generator=generator) - 1))
    return (pixels.clamp(0, 1) - 0.5) / 0.5


def save(model: torch.nn.Module, name: str, folder: Path) -> None:
    """Write weights as float16 and the configuration that open_clip reads."""
    weights = {
        key: values.half().contiguous() for key, values in model.state_dict().items() if values.is_floating_point()
    }
    weights |= {key: v.contiguous() for key, v in model.state_dict().items() if not v.is_floating_point()}
    save_file(weights, folder / "open_clip_model.safetensors", {"format": "pt"})
    (folder / "open_clip_model.safetensors").chmod(0o644)  # safetensors writes a file that only the owner can read
    config = {"embed_dim": EMBED_DIM, "vision_cfg": VISION[name], "text_cfg": TEXT}
    content = {"model_cfg": config, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
