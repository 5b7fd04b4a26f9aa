"""Measures the demo image-text models against chance, a constant, and a guess from the image's size."""

from pathlib import Path

import numpy as np
from PIL import Image

from flows.demo.models.clip_data import BATCH, N_EPOCHS, N_THREADS, Pairs, digest, draw_pairs, draw_world
from flows.demo.models.prepared import features
from flows.demo.models.yolo_quality import Measured, choose_threshold, guess_from_sizes
from schemas.manifests import load_prompts
from stages.models.open_clip_scorer import OpenClipScorer

N_SCENES, N_WORLD, N_CHOICE, N_ROUNDS = 1200, 1300, 100, 10
TEST_SEED, HELD_OUT_SEED = 2_000_000, 3_000_000
TEST_GALLERY, THRESHOLD_GALLERY = 51_000, 61_000


def measure(name: str, folder: Path, trained_on: Pairs, trained_s: float) -> str:
    """Return the section of QUALITY.md: the saved model's accuracy on unseen scenes."""
    scorer = OpenClipScorer(folder)
    prompts = scorer.text_features(load_prompts().texts()).mean(0)
    prompts = prompts / np.linalg.norm(prompts)
    threshold = _threshold(scorer, prompts)
    rows = []
    for title, pairs in {
        "unseen seeds": draw_pairs(TEST_SEED, N_SCENES),
        "held-out compositions": draw_pairs(HELD_OUT_SEED, N_SCENES, is_held_out=True),
    }.items():
        features = see(scorer, pairs.squares)
        rows.append(
            f"| {title} | {len(features)} | {_parting(features @ prompts, pairs.is_from_above, threshold)}"
            f" | {_baselines(trained_on, pairs.sizes, pairs.is_from_above)}"
            f" | {_recall(scorer, features, pairs):.1%} | {_recall(scorer, features, pairs, is_shuffled=True):.1%} |"
        )
    squares, is_above, sizes = draw_world(TEST_GALLERY, N_WORLD)
    parted = _parting(see(scorer, squares) @ prompts, is_above, threshold)
    rows.append(
        f"| the generated world, all encodings | {len(squares)} | {parted}"
        f" | {_baselines(trained_on, sizes, is_above)} | - | - |"
    )
    return "\n".join([_introduction(name, folder, trained_on, trained_s, threshold), *rows, ""])


def see(scorer: OpenClipScorer, squares: np.ndarray) -> np.ndarray:
    """Return image features, one row per square."""
    images = [Image.fromarray(square) for square in squares]
    return np.concatenate([features(scorer, images[n : n + 128]) for n in range(0, len(images), 128)])


def _threshold(scorer: OpenClipScorer, prompts: np.ndarray) -> float:
    """Return the cosine that best separates views from above, chosen on world images that are not tested."""
    squares, is_above, _ = draw_world(THRESHOLD_GALLERY, N_WORLD)
    return choose_threshold(see(scorer, squares) @ prompts, is_above)


def _parting(scores: np.ndarray, is_above: np.ndarray, threshold: float) -> str:
    found = Measured.of(is_above, scores, threshold)
    return f"{found.right:.2%} | {found.auc:.4f}"


def _baselines(trained_on: Pairs, sizes: np.ndarray, is_above: np.ndarray) -> str:
    guesses = guess_from_sizes(trained_on, sizes)
    constant = max(is_above.mean(), 1 - is_above.mean())
    return f"{constant:.2%} | {Measured.of(is_above, guesses, 0.5).auc:.3f}"


def _recall(scorer: OpenClipScorer, features: np.ndarray, pairs: Pairs, *, is_shuffled: bool = False) -> float:
    """Return how often an image's best match among N_CHOICE captions with different facts is its own."""
    rng = np.random.default_rng(0)
    first = list({facts: n for n, facts in reversed(list(enumerate(pairs.facts)))}.values())
    texts = scorer.text_features([pairs.captions[n][0] for n in first])
    found = []
    for _ in range(N_ROUNDS):
        chosen = rng.choice(len(first), min(N_CHOICE, len(first)), replace=False)
        best = (features[np.array(first)[chosen]] @ texts[chosen].T).argmax(1)
        right = rng.permutation(len(chosen)) if is_shuffled else np.arange(len(chosen))
        found.append(float((best == right).mean()))
    return float(np.mean(found))


def _introduction(name: str, folder: Path, trained_on: Pairs, trained_s: float, threshold: float) -> str:
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    return f"""## {name}

{"ResNet with attention pooling, as OpenAI's" if name == "demo-clip" else "ConvNeXt (timm's test_convnext2)"}, 64 px, \
{n_bytes / 1e6:.2f} MB; {len(trained_on.squares)} scenes, {N_EPOCHS} epochs of batches of {BATCH}, \
{trained_s:.0f} s on {N_THREADS} thread of a busy machine. Weights sha256 `{digest(folder)}`.
Cosine with the mean of the 33 prompts, chosen on other images of the generated world: **{threshold:.2f}**\
{" (`outliers.min_vlm_score_cos` of the demo)" if name == "demo-clip" else ""}.
Own caption: the best of {N_CHOICE} captions of different facts is the image's own.

| tested on | n | from above, right at the threshold | AUC | always the larger class | AUC of size and aspect alone \
| own caption | own caption, shuffled |
|---|---|---|---|---|---|---|---|"""
