"""Trains the demo captioner on generated scenes, saves it and measures it.

Not for published weights: those load through the same adapter (stages/models/blip2_captioner.py).
"""

import hashlib
import time
from pathlib import Path

import torch
from transformers import Blip2ForConditionalGeneration, PreTrainedTokenizerFast

from flows.demo.models.blip2_data import Examples, draw_examples, normalise, turn
from flows.demo.models.blip2_model import END_ID, PAD_ID, SIDE_PX, START_ID, build_model, save, train_tokenizer
from flows.demo.models.blip2_quality import measure

NAME = "demo-blip2"
N_TRAIN = 6000
BATCH, N_CAPTIONS, N_EPOCHS = 32, 2, 10
PEAK_RATE, WEIGHT_DECAY, LARGEST_NORM = 1e-3, 0.05, 1.0
N_THREADS = 1  # two threads wait for each other on a busy machine
TRAIN_SEEDS = 110_000_000  # not used by other demo models, tests or the demo's world


def train(out: Path) -> str:
    """Train, write the captioner's folder under `out`, and return its section of QUALITY.md."""
    torch.manual_seed(0)
    torch.set_num_threads(N_THREADS)
    started = time.process_time()
    examples = draw_examples(TRAIN_SEEDS, N_TRAIN)
    drawn_s = time.process_time() - started
    tokenizer = train_tokenizer(caption for captions in examples.captions for caption in captions)
    model = build_model(len(tokenizer))
    loss = fit(model, tokenizer, examples)
    save(model, tokenizer, out / NAME)
    trained_s = time.process_time() - started - drawn_s
    digest = hashlib.sha256((out / NAME / "model.safetensors").read_bytes()).hexdigest()
    n_bytes = sum(path.stat().st_size for path in (out / NAME).iterdir())
    head = f"""## {NAME}

BLIP-2 with a small OPT, {SIDE_PX} px, {len(tokenizer)} tokens, {n_bytes / 1e6:.2f} MB of float16; {N_TRAIN} scenes, \
{N_EPOCHS} epochs, {drawn_s:.0f} s of drawing and {trained_s:.0f} s of training (CPU time, {N_THREADS} thread); last \
loss {loss:.2f} nats a token. Weights sha256 `{digest}`.
"""
    return head + "\n" + measure(out / NAME, examples)


def fit(model: Blip2ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, examples: Examples) -> float:
    """Train in place and return the last epoch's mean loss; N_CAPTIONS captions share each encoding of an image."""
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY)
    n_batches = len(examples.squares) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PEAK_RATE, total_steps=N_EPOCHS * n_batches, pct_start=0.1
    )
    tokens = [[tokenizer(caption)["input_ids"] for caption in captions] for captions in examples.captions]
    squares = torch.from_numpy(examples.squares)
    is_from_above = torch.tensor([facts.is_from_above for facts in examples.facts])
    model.train()
    losses: list[float] = []
    for _ in range(N_EPOCHS):
        losses.clear()
        order = torch.randperm(len(squares), generator=generator)
        for start in range(0, n_batches * BATCH, BATCH):
            chosen = order[start : start + BATCH]
            pixels = turn(normalise(squares[chosen]), is_from_above[chosen], generator)
            texts = [_choose(tokens[n], generator) for n in chosen.tolist()]
            loss = caption_loss(model, pixels, [text for captions in texts for text in captions])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), LARGEST_NORM)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
    return sum(losses) / len(losses)


def caption_loss(model: Blip2ForConditionalGeneration, pixels: torch.Tensor, texts: list[list[int]]) -> torch.Tensor:
    """Return the mean cross-entropy per token, end token included.

    Args:
        model: the captioner.
        pixels: float32 [n, 3, SIDE_PX, SIDE_PX], normalised.
        texts: token ids of k captions per image, grouped by image: n * k lists.
    """
    seen = model.get_image_features(pixels, return_dict=True).pooler_output
    seen = seen.repeat_interleave(len(texts) // len(seen), dim=0)
    longest = max(map(len, texts))
    padded = torch.tensor([[START_ID, *text, END_ID] + [PAD_ID] * (longest - len(text)) for text in texts])
    read, wanted = padded[:, :-1], padded[:, 1:]
    language = model.language_model
    embedded = torch.cat([seen, language.get_input_embeddings()(read)], dim=1)
    logits = language(inputs_embeds=embedded, use_cache=False, logits_to_keep=read.shape[1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=PAD_ID)


def _choose(captions: list[list[int]], generator: torch.Generator) -> list[list[int]]:
    return [captions[n] for n in torch.randint(len(captions), (N_CAPTIONS,), generator=generator).tolist()]
