"""Open a model of manifests/models.toml: check its files, choose the device, fix the number of threads.

Each adapter is its own module, imported when its model is opened.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.manifests import MANIFESTS, Model, load_models
from stages.contract import InputError
from stages.models.protocols import Captioner, Detector, ImageTextScorer
from stages.models.weights import check_weights, small_files_digest

NONE = "none"  # in place of a model's name: no model of this kind is used
# Main memory of a worker with torch, a batch of pictures and a model of a few MB: 1.0 to 1.23 in the demo.
MODEL_MEMORY_GB = 1.25
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


@dataclass(frozen=True)
class Checked:
    """A model whose weights match the pinned digest.

    Attributes:
        model: the pinned model.
        folder: the folder of its files.
        device: torch's name of the device.
        precision: the model's; float32 on a CPU, where half precision is slow and coarse.
    """

    model: Model
    folder: Path
    device: str
    precision: str


def model_identity(name: str, params: Any) -> Mapping[str, str]:
    """Return everything a model's results depend on, without reading its weights.

    Args:
        name: a model of manifests/models.toml.
        params: the stage's parameters; a field `n_threads` is included.
    """
    model = find_model(name)
    facts = {
        "name": model.name,
        "library": model.library,
        "repository": model.repository,
        "revision": model.revision,
        "weights_sha256": model.weights_sha256,
        "adapter": model.adapter,
        "precision": model.precision,
        "n_threads": str(getattr(params, "n_threads", "")),
    }
    folder = MANIFESTS / model.folder
    if model.folder and folder.is_dir():
        facts["configuration_sha256"] = small_files_digest(folder)
    return facts


@contextmanager
def open_scorer(name: str, *, models: str, device: str, n_threads: int) -> Iterator[ImageTextScorer]:
    """Open an image-text model for the duration of a with block.

    Args:
        name: a scorer of manifests/models.toml.
        models: folder of the published models.
        device: auto, cpu, cuda or cuda:N.
        n_threads: CPU threads of this process.

    Raises:
        InputError: the model is unknown, missing or differs from the pinned one, or the device does not exist.
    """
    checked = check_model(name, "scorer", models=models, device=device, n_threads=n_threads)
    if checked.model.library == "open_clip":
        from stages.models.open_clip_scorer import OpenClipScorer

        yield OpenClipScorer(checked.folder, device=checked.device, precision=checked.precision)
    else:
        from stages.models.transformers_scorer import TransformersScorer

        yield TransformersScorer(checked.folder, device=checked.device, precision=checked.precision)


@contextmanager
def open_captioner(name: str, *, models: str, device: str, n_threads: int) -> Iterator[Captioner]:
    """Open a captioner; arguments and errors as in `open_scorer`."""
    from stages.models.blip2_captioner import Blip2Captioner

    checked = check_model(name, "captioner", models=models, device=device, n_threads=n_threads)
    adapter = checked.folder / checked.model.adapter if checked.model.adapter else None
    yield Blip2Captioner(checked.folder, device=checked.device, precision=checked.precision, adapter=adapter)


@contextmanager
def open_detector(name: str, *, models: str, device: str, n_threads: int) -> Iterator[Detector]:
    """Open a detector; arguments and errors as in `open_scorer`."""
    checked = check_model(name, "detector", models=models, device=device, n_threads=n_threads)
    if checked.model.library == "timm":
        from stages.models.lite0_detector import Lite0Detector

        yield Lite0Detector(checked.folder, device=checked.device)
        return
    from stages.models.yolo_detector import YoloDetector

    yield YoloDetector(checked.folder, device=checked.device, precision=checked.precision)


def find_model(name: str, task: str = "") -> Model:
    """Return a model of manifests/models.toml.

    Raises:
        InputError: it does not exist, or has another task.
    """
    known = load_models()
    if name not in known or task not in ("", known[name].task):
        names = [model.name for model in known.values() if task in ("", model.task)]
        raise InputError(
            f"no {task or 'model'} {name!r} in manifests/models.toml: expected one of {', '.join(names)}."
            " Name one of these, or add yours there"
        )
    return known[name]


def check_model(name: str, task: str, *, models: str, device: str, n_threads: int) -> Checked:
    """Return a model ready to load, after checking its weights and making this process deterministic."""
    model = find_model(name, task)
    folder = MANIFESTS / model.folder if model.folder else Path(models) / model.name
    check_weights(model, folder)
    _stay_offline()
    chosen = _steady(device, n_threads)
    return Checked(model, folder, chosen, "float32" if chosen == "cpu" else model.precision)


def _stay_offline() -> None:
    os.environ.update(OFFLINE)
    if (constants := sys.modules.get("huggingface_hub.constants")) is not None:
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined] # it has read the environment already


def _steady(device: str, n_threads: int) -> str:
    """Fix threads and algorithms; return the device."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS varies between runs
    import torch

    torch.set_num_threads(n_threads)
    # Warnings only: some layers have no deterministic GPU kernel, and design.md, 4 allows 1e-3 between machines.
    # use_deterministic_algorithms does the same, but imports torch's compiler for its settings: two seconds.
    torch.set_deterministic_debug_mode("warn")
    # Otherwise torch runs a kernel to fill each new tensor, which only helps to debug torch.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if n_devices else "cpu"
    known = ["cpu", *(["cuda"] if n_devices else []), *(f"cuda:{n}" for n in range(n_devices))]
    if device not in known:
        raise InputError(f"device {device!r} does not exist: expected auto or one of {', '.join(known)}. Set another")
    return device
