"""Detectors with random weights, in published architectures of reduced width and depth, for tests of the adapter."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from stages.models.detector_description import DESCRIPTION, check_description
from stages.models.yolo_detector import WEIGHTS, build_classifier, import_ultralytics


def published(file: str, scale: str, width: float, **facts: Any) -> dict[str, Any]:
    """Return the description of a published architecture with two classes and reduced width and depth."""
    folder = Path(import_ultralytics().__file__).parents[1] / "cfg" / "models"
    values = yaml.safe_load((folder / file).read_text(encoding="utf-8"))
    depth, _, max_channels = values["scales"][scale]
    kept = {"backbone": values["backbone"], "head": values["head"], "nc": 2, "input_px": 64}
    scales = {scale: [min(depth, 0.5), width, max_channels]}
    return {**kept, "scale": scale, "scales": scales, "names": ["other", "remote_sensing"], **facts}


def make_folder(folder: Path, values: dict[str, Any]) -> Path:
    """Write a detector with seeded random weights, normalised on noise, since otherwise all outputs are equal."""
    torch.manual_seed(1)
    description = check_description(values, "test")
    model = build_classifier(description).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model(torch.rand((16, 3, description.input_px, description.input_px)))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / WEIGHTS)
    (folder / DESCRIPTION).write_text(yaml.safe_dump(values), encoding="utf-8")
    return folder


def noise(seed: int, size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
