"""Detectors opened by name: from the models folder, with digests, and the committed one, which is accurate."""

import hashlib
import tomllib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

from flows.demo.models.prepared import probabilities
from flows.demo.world.drawings import FROM_ABOVE
from flows.demo.world.images import RECIPES, Gallery
from flows.settings import PROFILES
from stages.contract import InputError
from stages.images.formats import find_format
from stages.images.rgb import open_rgb
from stages.models.detector_description import DESCRIPTION
from stages.models.opening import open_detector
from stages.models.protocols import Detector
from stages.models.yolo_detector import YoloDetector
from tests.random_detector import make_folder, noise, published


@pytest.fixture(autouse=True)
def _steady() -> Iterator[None]:
    """Restore the process settings that opening a model changes."""
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with a detector and the digests of its files."""
    folder = make_folder(tmp_path / "rs-detector", published("11/yolo11-cls.yaml", "n", 0.125))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def open_published(models: Path) -> AbstractContextManager[Detector]:
    return open_detector("rs-detector", models=str(models), device="cpu", n_threads=1)


def test_a_published_detector_opens_from_the_models_folder(models: Path) -> None:
    with open_published(models) as detector:
        found = probabilities(detector, [noise(4, (90, 90))])
    assert found == probabilities(YoloDetector(models / "rs-detector"), [noise(4, (90, 90))])


def test_a_description_changed_after_its_digest_is_refused(models: Path) -> None:
    with (models / "rs-detector" / DESCRIPTION).open("a", encoding="utf-8") as file:
        file.write("batch_norm_eps: 0.1\n")
    with pytest.raises(InputError, match=r"model\.yaml: expected"), open_published(models):
        pass


def test_a_checkpoint_in_place_of_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rs-detector").mkdir()
    torch.save({"model": None}, tmp_path / "rs-detector" / "best.pt")
    expected = r"best\.pt, a pickle.*stages\.models\.convert_detector"
    with pytest.raises(InputError, match=expected), open_published(tmp_path):
        pass


def test_the_demo_detector_separates_views_from_above_from_other_pictures() -> None:
    gallery = Gallery(70_001)
    files = [file for recipe in sorted(RECIPES) for _ in range(6) for file in gallery.draw([recipe])]
    threshold = tomllib.loads((PROFILES / "demo.toml").read_text(encoding="utf-8"))["outliers"]["min_detector_prob"]
    with open_detector("demo-yolo", models="", device="cpu", n_threads=1) as detector:
        probs = probabilities(detector, [open_rgb(file.body, str(find_format(file.body))) for file in files])
    is_right = (probs >= threshold) == [file.kind in FROM_ABOVE for file in files]
    assert is_right.mean() >= 0.99
