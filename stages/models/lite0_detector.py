"""The light detector: middle layers of EfficientNet-Lite0, frozen, and a linear head trained on a user's images.

Runs on a CPU in about 30 ms a picture and core. Not for training: that is `flows/detector`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from stages.contract import InputError
from stages.models.halving import Halving
from stages.models.protocols import Floats
from stages.models.without_wandb import without_wandb
from stages.models.yolo_detector import WEIGHTS, cut_square

if TYPE_CHECKING:
    import torch

ARCHITECTURE = "tf_efficientnet_lite0"  # timm's name; padding as in TensorFlow, where the weights were trained
INPUT_PX = 224
# Stages of the network whose channels are averaged, with their numbers of channels. On sources and classes left out of
# training, they are better than the last stage, which knows ImageNet's classes (docs/detector.md).
CHANNELS = {3: 80, 4: 112, 5: 192}
N_FEATURES = 2 * sum(CHANNELS.values())
# Pictures at once on a CPU: their maps stay in its cache. Measured on one core: 30 ms a picture for 1 to 4 at once, 40
# for 16, 66 for 64, medians on busier cores 36, 45 and 72; features differ by 1e-5 of up to 15.
_AT_ONCE_ON_CPU = 4
# Training and scoring see every picture encoded alike: else the head learns to recognise a source's encoder.
JPEG_QUALITY = 90
# Mean and deviation of the channels in ImageNet, with which the weights were trained (torchvision's constants).
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Lite0:
    """The network's middle layers.

    Args:
        state: its tensors by timm's names.
        device: torch's name of it.
    """

    def __init__(self, state: dict[str, Any], *, device: str = "cpu") -> None:
        """Build it. Raises RuntimeError where the tensors are not its own."""
        with without_wandb():
            import timm
        import torch

        self.device = torch.device(device)
        model: Any = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0)
        model.load_state_dict(state, strict=True)
        self._model = model.to(self.device).eval()
        self._halving = Halving(_AT_ONCE_ON_CPU) if self.device.type == "cpu" else Halving()

    def features(self, prepared: Sequence[npt.NDArray[np.uint8]]) -> torch.Tensor:
        """Return mean and deviation of each channel of the chosen stages, float32 [n, N_FEATURES]; n is at least 1."""
        import torch

        return torch.cat(self._halving.run(self._features, prepared))

    def _features(self, prepared: Sequence[npt.NDArray[np.uint8]]) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(np.stack(prepared)).to(self.device).permute(0, 3, 1, 2).to(torch.float32) / 255
            mean, deviation = (
                torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in (_MEAN, _DEVIATION)
            )
            maps = self._model.bn1(self._model.conv_stem((pixels - mean) / deviation))
            found = []
            for number, stage in enumerate(self._model.blocks[: max(CHANNELS) + 1]):
                maps = stage(maps)
                if number in CHANNELS:
                    found += [maps.mean((2, 3)), maps.std((2, 3))]
            return torch.cat(found, dim=1)


class Lite0Detector:
    """Probability of "remote sensing", image by image."""

    def __init__(self, folder: Path, *, device: str = "cpu", precision: str = "float32") -> None:
        """Load the detector of a folder.

        Raises:
            InputError: its weights are not those of this network and its head.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = folder / WEIGHTS
        try:
            tensors = load_file(path)
            self._weight, self._bias = tensors.pop("head.weight"), tensors.pop("head.bias")
            self._network = Lite0(tensors, device=device)
            if self._weight.shape != (N_FEATURES,) or self._bias.shape != (1,):
                raise RuntimeError(f"a head of shape {tuple(self._weight.shape)}")
        except (FileNotFoundError, SafetensorError, KeyError, RuntimeError) as error:
            found = " ".join(str(error).split())[:300]
            raise InputError(
                f"{path} should hold EfficientNet-Lite0 and a head of {N_FEATURES} weights: {found}."
                " Make it with `make train-detector DATA=… MODEL=lite0`"
            ) from error

    def prepare(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Return the square that the network sees, [224, 224, 3]; safe in threads. The image is RGB."""
        return prepare_lite0(image)

    def probabilities(self, prepared: Sequence[npt.NDArray[np.uint8]]) -> Floats:
        """Return the probability of "remote sensing" of each image, float32 [n]."""
        import torch

        if not prepared:
            return np.zeros(0, np.float32)
        with torch.inference_mode():
            features = self._network.features(prepared).cpu()
            found = torch.sigmoid(features @ self._weight + self._bias)
        return np.asarray(found, np.float32)


def prepare_lite0(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the middle square of an RGB image at 224 px, once encoded as JPEG and decoded, [224, 224, 3]."""
    packed = io.BytesIO()
    cut_square(image, INPUT_PX).save(packed, "JPEG", quality=JPEG_QUALITY)
    packed.seek(0)
    with Image.open(packed, formats=["JPEG"]) as opened:
        return np.asarray(opened.convert("RGB"))
