"""Trains and measures the demo detector, a narrow YOLO11 classifier of generated scenes: from above or not.

Not for published weights: those are converted (stages/models/convert_detector.py).
"""

import hashlib
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from flows.demo.models.prepared import probabilities
from flows.demo.models.yolo_data import SIDE_PX, Examples, draw_examples, world_examples
from flows.demo.models.yolo_quality import Measured, choose_threshold, guess_from_sizes
from flows.detector.yolo import Recipe, describe, save
from flows.detector.yolo import train as train_classifier
from stages.models.yolo_detector import WEIGHTS, YoloDetector, build_classifier

NAME = "demo-yolo"
WIDTH = 0.125  # half of yolo11n's; 1 MB of float16
N_TRAIN, N_VIEWS, N_EVALUATE = 6000, 2, 1500
N_EPOCHS = Recipe().n_epochs
N_THREADS = 1
# Not used by other demo models, tests or the demo's world.
TRAIN_SEEDS, TEST_SEEDS, HELD_OUT_SEEDS, THRESHOLD_SEEDS = 10_000_000, 61_000_000, 71_000_000, 40_000_000
TEST_GALLERY, THRESHOLD_GALLERY = 91_000, 60_000
N_CLUSTERS, N_SINGLE = 30, 1100


def train(out: Path) -> str:
    """Train, write the detector's folder under `out`, and return its section of QUALITY.md."""
    torch.manual_seed(0)
    torch.set_num_threads(N_THREADS)
    started = time.process_time()
    examples = draw_examples(TRAIN_SEEDS, N_TRAIN, n_views=N_VIEWS)
    description = describe(SIDE_PX, WIDTH)
    model = build_classifier(description)
    fit(model, examples, description.positive)
    save(model, description, out / NAME)
    return measure(out / NAME, examples, time.process_time() - started)


def fit(model: torch.nn.Module, examples: Examples, positive: int, n_epochs: int = N_EPOCHS) -> None:
    """Train in place; `positive` is the class index of views from above, 0 or 1."""
    targets = np.where(examples.is_from_above, positive, 1 - positive)
    train_classifier(model, examples.squares, targets, Recipe(n_epochs=n_epochs))


def measure(folder: Path, trained_on: Examples, trained_s: float) -> str:
    """Return the section of QUALITY.md: the saved detector's accuracy on unseen scenes."""
    detector = YoloDetector(folder)
    chosen_on = [
        draw_examples(THRESHOLD_SEEDS, N_EVALUATE),
        world_examples(THRESHOLD_GALLERY, N_CLUSTERS // 2, N_SINGLE // 2),
    ]
    threshold = choose_threshold(
        np.concatenate([score(detector, examples) for examples in chosen_on]),
        np.concatenate([examples.is_from_above for examples in chosen_on]),
    )
    sets = {
        "unseen seeds": draw_examples(TEST_SEEDS, N_EVALUATE),
        "held-out compositions": draw_examples(HELD_OUT_SEEDS, N_EVALUATE, is_held_out=True),
        "the generated world, all encodings": world_examples(TEST_GALLERY, N_CLUSTERS, N_SINGLE),
    }
    rows = [_row(name, found, score(detector, found), trained_on, threshold) for name, found in sets.items()]
    return "\n".join([_introduction(folder, trained_s, threshold), *rows, ""])


def score(detector: YoloDetector, examples: Examples) -> np.ndarray:
    """Return the probability of a view from above per image, in [0, 1]."""
    images = [Image.fromarray(square) for square in examples.squares]
    return np.concatenate([probabilities(detector, images[n : n + 256]) for n in range(0, len(images), 256)])


def _introduction(folder: Path, trained_s: float, threshold: float) -> str:
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    n_bytes = sum(path.stat().st_size for path in folder.iterdir())
    return f"""## {NAME}

YOLO11n-cls at half its width, {SIDE_PX} px, {n_bytes / 1e6:.2f} MB; {N_TRAIN} scenes in {N_VIEWS} encodings each, \
{N_EPOCHS} epochs, {trained_s:.0f} CPU s. Weights sha256 `{digest}`.
Threshold on the probability, chosen on other seeds: **{threshold:.2f}** (`outliers.min_detector_prob` of the demo).
"By size alone" is a logistic regression on width, height and aspect.

| tested on | n | right at the threshold | right at 0.5 | AUC | larger class always | by size alone: right | AUC |
|---|---|---|---|---|---|---|---|"""


def _row(name: str, found: Examples, probs: np.ndarray, trained_on: Examples, threshold: float) -> str:
    guesses = guess_from_sizes(trained_on, found.sizes)
    model, sizes = (Measured.of(found.is_from_above, values, 0.5) for values in (probs, guesses))
    constant = max(found.is_from_above.mean(), 1 - found.is_from_above.mean())
    right = Measured.of(found.is_from_above, probs, threshold).right
    return (
        f"| {name} | {len(probs)} | {right:.2%} | {model.right:.2%} | {model.auc:.4f} | {constant:.2%}"
        f" | {sizes.right:.2%} | {sizes.auc:.3f} |"
    )
