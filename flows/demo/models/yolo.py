"""Trains the demo detector: a narrow YOLO11 classifier on generated scenes, from above or not, and measures it.

Not for published weights: those are converted (stages/models/convert_detector.py).
"""

import hashlib
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from flows.demo.models.prepared import probabilities
from flows.demo.models.yolo_data import SIDE_PX, Examples, draw_examples, world_examples
from flows.demo.models.yolo_quality import Measured, choose_threshold, guess_from_sizes
from stages.models.detector_description import DESCRIPTION, REMOTE_SENSING, DetectorDescription, check_description
from stages.models.yolo_detector import WEIGHTS, YoloDetector, build_classifier, import_ultralytics

NAME = "demo-yolo"
WIDTH = 0.125  # half of yolo11n's; 1 MB of float16
N_TRAIN, N_VIEWS, N_EVALUATE = 6000, 2, 1500
BATCH, N_EPOCHS, PEAK_RATE, WEIGHT_DECAY = 64, 8, 3e-3, 0.05
SMOOTHING = 0.02  # keeps probabilities of sure cases off 0 and 1, where a threshold is a matter of rounding
SHARE_GREY = 0.15  # beside the grey encodings: without colour fields, charts and faces are easily confused
N_THREADS = 1
# Apart from each other and from the small seeds of tests and of the demo's world.
TRAIN_SEEDS, TEST_SEEDS, HELD_OUT_SEEDS, THRESHOLD_SEEDS = 10_000_000, 61_000_000, 71_000_000, 40_000_000
TEST_GALLERY, THRESHOLD_GALLERY = 91_000, 60_000
N_CLUSTERS, N_SINGLE = 30, 1100


def train(out: Path) -> str:
    """Train, write the detector's folder under `out`, and return its section of QUALITY.md."""
    torch.manual_seed(0)
    torch.set_num_threads(N_THREADS)
    started = time.process_time()
    examples = draw_examples(TRAIN_SEEDS, N_TRAIN, n_views=N_VIEWS)
    description = describe()
    model = build_classifier(description)
    fit(model, examples, description.positive)
    save(model, description, out / NAME)
    return measure(out / NAME, examples, time.process_time() - started)


def describe() -> DetectorDescription:
    """Return yolo11n-cls with half of its width and two classes."""
    tasks = import_ultralytics()
    published = yaml.safe_load((Path(tasks.__file__).parents[1] / "cfg/models/11/yolo11-cls.yaml").read_text())
    depth, _, max_channels = published["scales"]["n"]
    facts = {"nc": 2, "names": ["other", REMOTE_SENSING], "input_px": SIDE_PX}
    scales = {"n": (depth, WIDTH, max_channels)}
    layers = {"backbone": published["backbone"], "head": published["head"]}
    return check_description({**facts, "scale": "n", "scales": scales, **layers}, "yolo11-cls.yaml")


def fit(model: torch.nn.Module, examples: Examples, positive: int, n_epochs: int = N_EPOCHS) -> None:
    """Train in place: AdamW, one cycle, mirrored, differently bright and sometimes grey at each epoch."""
    generator = torch.Generator().manual_seed(0)
    squares = torch.from_numpy(examples.squares).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(np.where(examples.is_from_above, positive, 1 - positive))
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    n_steps = n_epochs * (len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=n_steps, pct_start=0.2)
    model.train()
    for _ in range(n_epochs):
        order = torch.randperm(len(labels), generator=generator)
        for start in range(0, len(labels) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            logits = model(_vary(squares[chosen].float() / 255, generator))
            loss = torch.nn.functional.cross_entropy(logits, labels[chosen], label_smoothing=SMOOTHING)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def save(model: torch.nn.Module, description: DetectorDescription, folder: Path) -> None:
    """Write weights as float16 and the description."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {n: v.half() if v.is_floating_point() else v for n, v in model.state_dict().items()}
    save_file({name: values.contiguous() for name, values in weights.items()}, folder / WEIGHTS)
    (folder / DESCRIPTION).write_text(yaml.safe_dump(description.model_dump(mode="json"), sort_keys=False))


def measure(folder: Path, trained_on: Examples, trained_s: float) -> str:
    """Return the section of QUALITY.md: what the stored detector knows of scenes it was not trained on."""
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
    """Return the detector's probabilities."""
    images = [Image.fromarray(square) for square in examples.squares]
    return np.concatenate([probabilities(detector, images[n : n + 256]) for n in range(0, len(images), 256)])


def _vary(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    n = len(pixels)
    is_mirrored = torch.rand(n, generator=generator) < 0.5
    pixels = torch.where(is_mirrored[:, None, None, None], pixels.flip(3), pixels)
    is_grey = torch.rand(n, generator=generator) < SHARE_GREY
    pixels = torch.where(is_grey[:, None, None, None], pixels.mean(1, keepdim=True), pixels)
    contrast, shift = (1 + spread * (2 * torch.rand((n, 1, 1, 1), generator=generator) - 1) for spread in (0.3, 0.15))
    mean = pixels.mean((1, 2, 3), keepdim=True)
    return ((pixels - mean) * contrast + mean + (shift - 1)).clamp(0, 1)


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
