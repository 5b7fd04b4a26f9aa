"""The detector: an ultralytics classifier built from `model.yaml`, with weights from safetensors.

The only module that imports ultralytics. Digests and devices are handled in opening.py.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from stages.contract import ContractError, InputError
from stages.models.detector_description import DESCRIPTION, DetectorDescription, read_description
from stages.models.halving import Halving
from stages.models.protocols import Floats

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"


class YoloDetector:
    """The probability of the class `remote_sensing` per image."""

    def __init__(self, folder: Path, *, device: str = "cpu", precision: str = "float32") -> None:
        """Load the detector of a folder.

        Raises:
            InputError: the folder's description or weights cannot be used.
        """
        import torch

        self._description = read_description(folder)
        self._device = torch.device(device)
        self._dtype: torch.dtype = getattr(torch, precision)
        model = build_classifier(self._description)
        _load_weights(model, folder)
        self._model = model.to(self._device, self._dtype).eval()
        self._halving = Halving()

    def prepare(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Return the model's input for an RGB image, [side, side, 3]; thread-safe."""
        return np.asarray(cut_square(image, self._description.input_px))

    def probabilities(self, prepared: Sequence[npt.NDArray[np.uint8]]) -> Floats:
        """Return the probability of "remote sensing" per image, float32 [n]; NaN if the model gives NaN."""
        return np.concatenate([np.zeros(0, np.float32), *self._halving.run(self._probabilities, prepared)])

    def _probabilities(self, prepared: Sequence[npt.NDArray[np.uint8]]) -> Floats:
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(np.stack(prepared)).to(self._device).permute(0, 3, 1, 2).to(torch.float32) / 255
            _, logits = self._model(pixels.to(self._dtype).contiguous())
            found = logits.to(torch.float32).softmax(1)[:, self._description.positive]
        return np.asarray(found.cpu(), np.float32)


def cut_square(image: Image.Image, side_px: int) -> Image.Image:
    """Return the input of ultralytics' classifiers: the short side scaled to side_px, the centre of the long one.

    The centre is cropped and scaled in one step: scaling a picture of 1 x 50,000 px first would fill the memory.
    """
    if image.mode != "RGB":
        raise ContractError(f"a detector expects RGB images, got mode {image.mode}")
    short_px = min(image.size)
    box = [0.0, 0.0, float(image.width), float(image.height)]
    for axis, length_px in enumerate(image.size):
        scaled_px = side_px * length_px // short_px
        offset_px = round((scaled_px - side_px) / 2)
        box[axis] = offset_px * length_px / scaled_px
        box[axis + 2] = min(float(length_px), (offset_px + side_px) * length_px / scaled_px)
    left, top, right, bottom = box
    return image.resize((side_px, side_px), Image.Resampling.BILINEAR, box=(left, top, right, bottom))


def build_classifier(description: DetectorDescription) -> torch.nn.Module:
    """Return an untrained classifier of the described architecture."""
    import torch

    model: torch.nn.Module = import_ultralytics().ClassificationModel(description.architecture(), verbose=False)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = description.batch_norm_eps
    return model


def import_ultralytics() -> Any:
    """Return ultralytics' module of models, imported without side effects on this process and the user's files."""
    if "ultralytics.nn.tasks" not in sys.modules:
        with _undisturbed():
            import ultralytics.nn.tasks
            import ultralytics.utils

            ultralytics.utils.SETTINGS.update(sync=False)  # type: ignore[no-untyped-call]
    import ultralytics.nn.tasks as models

    return models


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Import ultralytics here: it writes settings, tries the network and replaces functions of other libraries."""
    import torch

    environment, opens, saves, shown = dict(os.environ), Image.open, torch.save, np.get_printoptions()
    with tempfile.TemporaryDirectory(prefix="ultralytics-") as settings:
        os.environ.update(YOLO_CONFIG_DIR=settings, YOLO_OFFLINE="1", YOLO_VERBOSE="False", YOLO_AUTOINSTALL="False")
        try:
            yield
        finally:
            # Its Image.open installs packages for missing formats, which callers do not expect.
            Image.open, torch.save = opens, saves
            np.set_printoptions(**shown)
            torch.set_printoptions(profile="default")  # type: ignore[no-untyped-call]
            for name in set(os.environ) - set(environment):
                del os.environ[name]
            os.environ.update(environment)


def _load_weights(model: torch.nn.Module, folder: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    advice = "Convert the checkpoint again with `.venv/bin/python -m stages.models.convert_detector IN.pt OUT_FOLDER`"
    try:
        weights = load_file(path)
    except (FileNotFoundError, SafetensorError) as error:
        raise InputError(f"{path} should hold the detector's weights as safetensors: {error}. {advice}") from error
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        found = " ".join(str(error).split())[:300]
        raise InputError(f"{path} does not fit the layers in {DESCRIPTION}: {found}. {advice}") from error
