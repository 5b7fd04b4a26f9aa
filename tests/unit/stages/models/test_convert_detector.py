"""Converted checkpoints give the same probabilities, and a hostile pickle runs no code."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flows.demo.models.prepared import probabilities
from stages.contract import InputError
from stages.models.convert_detector import ROOT, convert, main
from stages.models.detector_description import DESCRIPTION, read_description
from stages.models.yolo_detector import WEIGHTS, YoloDetector, import_ultralytics


class Hostile:
    """A pickle that creates a file when loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def model() -> Any:
    """A classifier as stored by ultralytics: classes by number, its own epsilon, its transforms."""
    torch.manual_seed(2)
    layers = import_ultralytics()
    from ultralytics.data.augment import classify_transforms

    made = layers.ClassificationModel("yolo11n-cls.yaml", nc=2, verbose=False)
    made.names = {0: "from_above", 1: "other"}
    made.transforms = classify_transforms(96)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps, module.momentum = 1e-3, 1.0
    with torch.no_grad():
        made.train()(torch.rand((8, 3, 96, 96)))
    return made.eval()


@pytest.fixture(scope="module")
def checkpoint(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("foreign") / "best.pt"
    torch.save({"model": model, "ema": None, "train_args": {"imgsz": 224}}, path)
    return path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.models.convert_detector", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def test_a_converted_detector_gives_the_probabilities_of_its_checkpoint(
    model: Any, checkpoint: Path, tmp_path: Path
) -> None:
    done = run(str(checkpoint), str(tmp_path / "out"), "--positive", "from_above")
    assert (done.returncode, done.stderr) == (0, "")
    assert "classes ['remote_sensing', 'other']" in done.stdout
    description = read_description(tmp_path / "out")
    assert (description.input_px, description.batch_norm_eps, description.scale) == (96, 1e-3, "n")
    pixels = np.random.default_rng(3).integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = model(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255)[0][:, 0].numpy()
    found = probabilities(YoloDetector(tmp_path / "out"), [Image.fromarray(square) for square in pixels])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(found) > 1e-4
    sums = dict(reversed(line.split("  ")) for line in (tmp_path / "out" / "SHA256SUMS").read_text().splitlines())
    assert sums == {
        name: hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() for name in (DESCRIPTION, WEIGHTS)
    }


def test_a_hostile_pickle_is_refused_and_runs_no_code(tmp_path: Path) -> None:
    torch.save({"model": Hostile(tmp_path / "ran")}, tmp_path / "best.pt")
    done = run(str(tmp_path / "best.pt"), str(tmp_path / "out"))
    assert done.returncode == 2
    assert "posix.system" in done.stderr
    assert "--trust" in done.stderr
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


def test_the_trust_option_loads_types_that_the_allow_list_refuses(model: Any, tmp_path: Path) -> None:
    torch.save({"model": model, "train_args": Hostile(tmp_path / "ran")}, tmp_path / "best.pt")
    with pytest.raises(InputError, match="--trust"):
        convert(tmp_path / "best.pt", tmp_path / "out", "from_above", is_trusted=False)
    assert not (tmp_path / "ran").exists()
    convert(tmp_path / "best.pt", tmp_path / "out", "from_above", is_trusted=True)
    assert (tmp_path / "ran").exists()
    assert read_description(tmp_path / "out").names == ("remote_sensing", "other")


def test_the_class_must_be_named(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--positive"):
        convert(checkpoint, tmp_path / "out", "remote_sensing", is_trusted=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [{"a": torch.zeros(2)}, [1, 2], None])
def test_a_file_without_a_classifier_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "best.pt")
    with pytest.raises(InputError, match="should hold an ultralytics classifier"):
        convert(tmp_path / "best.pt", tmp_path / "out", "remote_sensing", is_trusted=False)


@pytest.mark.parametrize("data", [b"", b"no checkpoint at all", b"PK\x03\x04" + bytes(60)])
def test_a_file_that_is_no_checkpoint_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(data)
    with pytest.raises(InputError, match="cannot be read"):
        convert(tmp_path / "best.pt", tmp_path / "out", "remote_sensing", is_trusted=False)


def test_invalid_paths_are_refused(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.pt"), str(tmp_path / "out")]) == 2
    assert "expected a checkpoint" in capsys.readouterr().err
    assert main([str(checkpoint), str(checkpoint.parent)]) == 2
    assert "expected a new folder" in capsys.readouterr().err
