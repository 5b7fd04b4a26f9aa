"""Opens a model of manifests/models.toml behind its protocol: found, checked, on a device, with fixed threads.

Not for what models do: each adapter is a module of its own, imported when its model is opened.
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

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


@dataclass(frozen=True)
class Checked:
    """A model whose weights are the pinned ones.

    Attributes:
        model: as pinned.
        folder: the folder of its files.
        device: torch's name of it.
        precision: the model's; float32 on a CPU, whose half precision is slow and rounds coarsely.
    """

    model: Model
    folder: Path
    device: str
    precision: str


def model_identity(name: str, params: Any) -> Mapping[str, str]:
    """Return what a model's results depend on, without reading its weights.

    Args:
        name: a model of manifests/models.toml.
        params: the stage's parameters; a field `n_threads` of theirs is part of it.
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
    """Open an image-text model, for as long as the block runs.

    Args:
        name: a scorer of manifests/models.toml.
        models: folder of the published models.
        device: auto, cpu, cuda or cuda:N.
        n_threads: CPU threads of this process.

    Raises:
        InputError: the model is unknown, missing or not what is pinned, or the device is not there.
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
    """Open a captioner, for as long as the block runs; arguments and errors as of `open_scorer`."""
    from stages.models.blip2_captioner import Blip2Captioner

    checked = check_model(name, "captioner", models=models, device=device, n_threads=n_threads)
    adapter = checked.folder / checked.model.adapter if checked.model.adapter else None
    yield Blip2Captioner(checked.folder, device=checked.device, precision=checked.precision, adapter=adapter)


@contextmanager
def open_detector(name: str, *, models: str, device: str, n_threads: int) -> Iterator[Detector]:
    """Open a detector, for as long as the block runs; arguments and errors as of `open_scorer`."""
    from stages.models.yolo_detector import YoloDetector

    checked = check_model(name, "detector", models=models, device=device, n_threads=n_threads)
    yield YoloDetector(checked.folder, device=checked.device, precision=checked.precision)


def find_model(name: str, task: str = "") -> Model:
    """Return a model of manifests/models.toml.

    Raises:
        InputError: it is not there, or does something else.
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
    """Return a model's folder and how to run it, with weights checked and this process made deterministic."""
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
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS varies between runs without it
    import torch

    torch.set_num_threads(n_threads)
    # Warnings only: some layers have no deterministic kernel on a GPU, and design.md, 4 allows 1e-3 between machines.
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else each new tensor costs a kernel that fills it, to make faults of torch's own show.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if n_devices else "cpu"
    known = ["cpu", *(["cuda"] if n_devices else []), *(f"cuda:{n}" for n in range(n_devices))]
    if device not in known:
        raise InputError(f"device {device!r} is not there: expected auto or one of {', '.join(known)}. Set another")
    return device
