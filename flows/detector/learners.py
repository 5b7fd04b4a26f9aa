"""The two trainable detectors: a linear head on frozen features, and an ultralytics classifier.

Not for choosing training images or measuring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from flows.detector.examples import DRAWN, Example
from flows.detector.head import Head, fit_head
from stages.models.lite0_detector import ARCHITECTURE, INPUT_PX, JPEG_QUALITY, N_FEATURES, Lite0, prepare_lite0

Chosen = npt.NDArray[np.bool_]
_WEATHER = Example(Path(), "other", DRAWN, "weather")
Floats = npt.NDArray[np.float64]
Tell = Callable[[int], None]


class Learner(Protocol):
    """Learns from views of examples, which are added once, one view after another."""

    name: str

    def add(self, view: str, images: Sequence[Image.Image]) -> None:
        """Take the next examples' images of a view, in the order of the examples."""

    def add_weather(self, images: Sequence[Image.Image]) -> None:
        """Take drawn pictures of label other, which every model is trained on and none is measured on."""

    def fit(self, examples: Sequence[Example], chosen: Chosen) -> Any:
        """Return a model trained on all views of some examples, and on the drawn pictures."""

    def probabilities(self, model: Any, view: str) -> Floats:
        """Return the probability of "remote sensing" for a view of every example, float64 [n] in [0, 1]."""

    def save(self, model: Any, folder: Path, facts: dict[str, Any]) -> None:
        """Write a model's weights and description."""


class Lite0Learner:
    """A linear head on features of EfficientNet-Lite0."""

    name = "lite0"

    def __init__(self, *, device: str) -> None:
        """Load the network; see `stages.models.convert_lite0` for its errors."""
        from stages.models.convert_lite0 import lite0_tensors

        self._tensors = lite0_tensors()
        self._network = Lite0(self._tensors, device=device)
        self._features: dict[str, list[npt.NDArray[np.float32]]] = {}
        self._weather = np.zeros((0, N_FEATURES), np.float32)

    def add(self, view: str, images: Sequence[Image.Image]) -> None:
        """Take the next examples' images of a view."""
        self._features.setdefault(view, []).append(self._describe(images))

    def add_weather(self, images: Sequence[Image.Image]) -> None:
        """Take drawn pictures of label other."""
        self._weather = self._describe(images)

    def _describe(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        found = self._network.features([prepare_lite0(image) for image in images])
        return np.asarray(found.cpu(), np.float32)

    def fit(self, examples: Sequence[Example], chosen: Chosen) -> Head:
        """Return the head that fits all views of some examples, and the drawn pictures."""
        known = [example for example, is_chosen in zip(examples, chosen, strict=True) if is_chosen]
        features = [np.concatenate(rows)[chosen] for rows in self._features.values()]
        labelled = known * len(features) + [_WEATHER] * len(self._weather)
        return fit_head(np.concatenate([*features, self._weather]), labelled)

    def probabilities(self, model: Head, view: str) -> Floats:
        """Return the probability of a view of every example."""
        return model.probabilities(np.concatenate(self._features[view]))

    def save(self, model: Head, folder: Path, facts: dict[str, Any]) -> None:
        """Write network and head in one file."""
        import torch
        import yaml
        from safetensors.torch import save_file

        from stages.models.detector_description import DESCRIPTION
        from stages.models.yolo_detector import WEIGHTS

        head = {"head.weight": torch.tensor(model.weight), "head.bias": torch.tensor([model.bias])}
        tensors = {**self._tensors, **{name: values.to(torch.float32) for name, values in head.items()}}
        save_file(tensors, folder / WEIGHTS, {"format": "pt"})
        described = {"architecture": ARCHITECTURE, "input_px": INPUT_PX, "jpeg_quality": JPEG_QUALITY, **facts}
        (folder / DESCRIPTION).write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")


class YoloLearner:
    """An ultralytics YOLO11 classifier, trained from random weights or those of a detector's folder.

    Attributes:
        n_start_classes: number of classes of the detector it starts from; 0 without one.
    """

    name = "yolo"

    def __init__(self, *, device: str, start: Path | None, n_epochs: int) -> None:
        """Describe the network; `start` is the folder of a detector whose weights are the start.

        Raises:
            InputError: `start` is not the folder of a detector.
        """
        from flows.detector.yolo import describe, describe_start

        self._device, self._start, self._n_epochs = device, start, n_epochs
        self._description, self.n_start_classes = describe_start(start) if start else (describe(), 0)
        self._squares: dict[str, list[npt.NDArray[np.uint8]]] = {}
        self._weather: list[npt.NDArray[np.uint8]] = []

    @property
    def input_px(self) -> int:
        """Side of the square that the network sees."""
        return self._description.input_px

    def add(self, view: str, images: Sequence[Image.Image]) -> None:
        """Take the next examples' images of a view."""
        self._squares.setdefault(view, []).append(self._prepare(images))

    def add_weather(self, images: Sequence[Image.Image]) -> None:
        """Take drawn pictures of label other."""
        self._weather = [self._prepare(images)]

    def _prepare(self, images: Sequence[Image.Image]) -> npt.NDArray[np.uint8]:
        from flows.detector.yolo import prepare

        return np.stack([prepare(image, self._description.input_px) for image in images])

    def fit(self, examples: Sequence[Example], chosen: Chosen) -> Any:
        """Return a network trained on all views of some examples, and on the drawn pictures."""
        from flows.detector.yolo import fit

        known = [example for example, is_chosen in zip(examples, chosen, strict=True) if is_chosen]
        squares = [np.concatenate(rows)[chosen] for rows in self._squares.values()]
        labelled = known * len(squares) + [_WEATHER] * sum(map(len, self._weather))
        inputs = np.concatenate([*squares, *self._weather])
        return fit(self._description, inputs, labelled, self._device, self._start, self._n_epochs)

    def probabilities(self, model: Any, view: str) -> Floats:
        """Return the probability of a view of every example."""
        from flows.detector.yolo import probabilities

        return probabilities(model, np.concatenate(self._squares[view]), self._description, self._device)

    def save(self, model: Any, folder: Path, facts: dict[str, Any]) -> None:
        """Write weights and description, as `stages/models/yolo_detector.py` reads them."""
        from flows.detector.yolo import save

        save(model, self._description, folder)
