"""Train an ultralytics YOLO11 classifier of remote sensing images, from random or given weights.

Not for scoring (`stages/models/yolo_detector.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from flows.detector.examples import Example
from flows.detector.head import weigh
from flows.detector.manifest import LABELS
from stages.contract import InputError
from stages.models.detector_description import (
    DESCRIPTION,
    REMOTE_SENSING,
    DetectorDescription,
    check_description,
    read_description,
)
from stages.models.yolo_detector import WEIGHTS, build_classifier, cut_square, import_ultralytics

Squares = npt.NDArray[np.uint8]
SIDE_PX = 64
WIDTH = 0.25  # as in yolo11n
MIN_WINDOW = 0.6  # raises the area under the curve of unseen images from .969 to .976: docs/detector.md
_SCORE_BATCH = 256
_CONVERT = ".venv/bin/python -m stages.models.convert_detector"


@dataclass(frozen=True)
class Recipe:
    """Training settings: AdamW with a one-cycle schedule; images are randomly mirrored, greyed and changed in contrast.

    Attributes:
        n_epochs: number of epochs.
        batch: images per step.
        peak_rate: highest learning rate.
        weight_decay: weight decay of AdamW.
        smoothing: label smoothing, which keeps probabilities off 0 and 1, where rounding would decide.
        share_grey: share of images shown in grey; with colour alone, charts and faces are confused with fields.
        min_window: least side of the random windows shown, as a share of the image's side; 1: the whole image.
    """

    n_epochs: int = 8
    batch: int = 64
    peak_rate: float = 3e-3
    weight_decay: float = 0.05
    smoothing: float = 0.02
    share_grey: float = 0.15
    min_window: float = 1.0


def describe(side_px: int = SIDE_PX, width: float = WIDTH) -> DetectorDescription:
    """Return the description of yolo11n-cls with two classes."""
    tasks = import_ultralytics()
    published = yaml.safe_load((Path(tasks.__file__).parents[1] / "cfg/models/11/yolo11-cls.yaml").read_text())
    depth, _, max_channels = published["scales"]["n"]
    facts = {"nc": 2, "names": ["other", REMOTE_SENSING], "input_px": side_px}
    layers = {"backbone": published["backbone"], "head": published["head"]}
    scales = {"n": (depth, width, max_channels)}
    return check_description({**facts, "scale": "n", "scales": scales, **layers}, "yolo11-cls.yaml")


def prepare(image: Image.Image, side_px: int) -> Squares:
    """Return the network's input square, uint8 [side_px, side_px, 3]."""
    return np.asarray(cut_square(image, side_px))


def fit(
    description: DetectorDescription,
    squares: Squares,
    examples: Sequence[Example],
    device: str,
    start: Path | None,
    n_epochs: int,
) -> torch.nn.Module:
    """Return a trained network; both labels have equal weight, and sources count by the root of their size.

    Args:
        description: description of the network.
        squares: uint8 [n, side, side, 3].
        examples: the example of each square.
        device: torch's name of the device.
        start: folder of the initial weights, of as many or other classes; None for seeded random ones.
        n_epochs: passes over the images.
    """
    torch.manual_seed(0)
    model = build_classifier(description)
    if start is not None:
        load_start(model, start)
    is_rs = np.array([example.is_rs for example in examples])
    targets = np.where(is_rs, description.positive, 1 - description.positive)
    train(model.to(device), squares, targets, Recipe(n_epochs=n_epochs, min_window=MIN_WINDOW), weigh(examples))
    return model


def describe_start(start: Path) -> tuple[DetectorDescription, int]:
    """Return the description of a detector to start from, with two classes, and its own number of classes.

    Raises:
        InputError: it is not the folder of a detector.
    """
    if not start.is_dir():
        state = "a file" if start.exists() else "missing"
        raise InputError(
            f"START={start} is {state}: expected a folder with {DESCRIPTION} and {WEIGHTS}, such as models/rs-detector."
            f" Make one of a checkpoint with `{_CONVERT} {start if start.suffix == '.pt' else 'IN.pt'} FOLDER"
            " --positive CLASS`, the name of any of its classes, then START=FOLDER"
        )
    found = read_description(start)
    if not (start / WEIGHTS).is_file():
        raise InputError(f"START={start} has no {WEIGHTS}: make it of a checkpoint with `{_CONVERT} IN.pt FOLDER`")
    if found.nc == len(LABELS):
        return found, found.nc
    return check_description(
        {**found.model_dump(), "nc": len(LABELS), "names": ["other", REMOTE_SENSING]}, str(start)
    ), found.nc


def load_start(model: torch.nn.Module, start: Path) -> None:
    """Load the weights of a detector's folder; those of the last layer only if it has as many classes.

    Raises:
        InputError: other layers differ.
    """
    own = model.state_dict()
    try:
        weights = load_file(start / WEIGHTS)
    except SafetensorError as error:
        raise InputError(f"{start / WEIGHTS} should hold a detector's weights as safetensors: {error}") from error
    last = {name for name in own if name.endswith((".linear.weight", ".linear.bias"))}
    is_new = any(weights[name].shape != own[name].shape for name in last & set(weights))
    kept = {name: values for name, values in weights.items() if not (is_new and name in last)}
    try:
        missing, unexpected = model.load_state_dict(kept, strict=False)
    except RuntimeError as error:
        raise InputError(
            f"{start / WEIGHTS} does not fit {DESCRIPTION}: {' '.join(str(error).split())[:300]}"
        ) from error
    if unexpected or set(missing) != (last if is_new else set()):
        raise InputError(f"{start / WEIGHTS} does not fit the layers in {DESCRIPTION}: convert the checkpoint again")


def train(
    model: torch.nn.Module, squares: Squares, targets: npt.NDArray[np.int64], recipe: Recipe,
    weights: npt.NDArray[np.float64] | None = None,
) -> None:  # fmt: skip
    """Train a network in place.

    Args:
        model: the network, on its device.
        squares: uint8 [n, side, side, 3].
        targets: class numbers, int64 [n].
        recipe: training settings.
        weights: float64 [n], relative frequencies of drawing each square; None: each once per epoch.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    pixels = torch.from_numpy(squares).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(targets)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.peak_rate, weight_decay=recipe.weight_decay)
    n_steps = recipe.n_epochs * max(1, len(labels) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.peak_rate, total_steps=n_steps, pct_start=0.2)
    model.train()
    for _ in range(recipe.n_epochs):
        order = _order(len(labels), weights, generator)
        for start in range(0, max(1, len(labels) - recipe.batch + 1), recipe.batch):
            chosen = order[start : start + recipe.batch]
            shown = cut_windows(pixels[chosen].float() / 255, generator, recipe.min_window)
            shown = vary(shown, generator, recipe.share_grey).to(device)
            logits = model(shown)
            loss = torch.nn.functional.cross_entropy(
                logits, labels[chosen].to(device), label_smoothing=recipe.smoothing
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()


def _order(n: int, weights: npt.NDArray[np.float64] | None, generator: torch.Generator) -> torch.Tensor:
    if weights is None:
        return torch.randperm(n, generator=generator)
    return torch.multinomial(torch.from_numpy(weights), n, replacement=True, generator=generator)


def cut_windows(pixels: torch.Tensor, generator: torch.Generator, min_window: float) -> torch.Tensor:
    """Return a random square window of each image, float32 [n, 3, h, w], enlarged to the size of the image."""
    if min_window == 1:
        return pixels
    n = len(pixels)
    sides = min_window + (1 - min_window) * torch.rand(n, generator=generator)
    places = torch.zeros(n, 2, 3)  # affine maps from the window's corners at -1 and 1 to the image's
    places[:, 0, 0] = places[:, 1, 1] = sides
    for axis in (0, 1):
        places[:, axis, 2] = (1 - sides) * (2 * torch.rand(n, generator=generator) - 1)
    grid = torch.nn.functional.affine_grid(places, list(pixels.shape), align_corners=False)
    return torch.nn.functional.grid_sample(pixels, grid, align_corners=False, padding_mode="reflection")


def vary(pixels: torch.Tensor, generator: torch.Generator, share_grey: float) -> torch.Tensor:
    """Return images, float32 [n, 3, h, w] in [0, 1], randomly mirrored, greyed or changed in contrast."""
    n = len(pixels)
    is_mirrored = torch.rand(n, generator=generator) < 0.5
    pixels = torch.where(is_mirrored[:, None, None, None], pixels.flip(3), pixels)
    is_grey = torch.rand(n, generator=generator) < share_grey
    pixels = torch.where(is_grey[:, None, None, None], pixels.mean(1, keepdim=True), pixels)
    contrast, shift = (1 + spread * (2 * torch.rand((n, 1, 1, 1), generator=generator) - 1) for spread in (0.3, 0.15))
    mean = pixels.mean((1, 2, 3), keepdim=True)
    return ((pixels - mean) * contrast + mean + (shift - 1)).clamp(0, 1)


def probabilities(
    model: torch.nn.Module, squares: Squares, description: DetectorDescription, device: str
) -> npt.NDArray[np.float64]:
    """Return the probability of "remote sensing" per square, float64 [n] in [0, 1]."""
    model.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(squares), _SCORE_BATCH):
            pixels = torch.from_numpy(squares[start : start + _SCORE_BATCH]).to(device).permute(0, 3, 1, 2)
            _, logits = model(pixels.contiguous().float() / 255)
            found.append(logits.float().softmax(1)[:, description.positive].cpu().numpy())
    return np.concatenate(found).astype(np.float64) if found else np.zeros(0)


def save(model: torch.nn.Module, description: DetectorDescription, folder: Path) -> None:
    """Write the weights as float16, and the description."""
    folder.mkdir(parents=True, exist_ok=True)
    weights: dict[str, Any] = {n: v.half() if v.is_floating_point() else v for n, v in model.cpu().state_dict().items()}
    save_file({name: values.contiguous() for name, values in weights.items()}, folder / WEIGHTS)
    text = yaml.safe_dump(description.model_dump(mode="json"), sort_keys=False)
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
