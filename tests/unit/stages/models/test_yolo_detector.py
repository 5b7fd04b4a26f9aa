"""The detector's adapter: description, preprocessing, probabilities, and side effects on the process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from flows.demo.models.prepared import probabilities
from stages.contract import ContractError, InputError
from stages.models.detector_description import DESCRIPTION, check_description
from stages.models.yolo_detector import WEIGHTS, YoloDetector, build_classifier, cut_square, import_ultralytics
from tests.random_detector import make_folder, noise, published

SIZES = [(64, 64), (420, 64), (64, 420), (333, 127), (1, 1), (3, 2), (1000, 7), (639, 480)]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("detector"), published("11/yolo11-cls.yaml", "n", 0.125))


@pytest.fixture
def description(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((folder / DESCRIPTION).read_text(encoding="utf-8"))
    return values


def test_probabilities_do_not_depend_on_the_batch(folder: Path) -> None:
    detector = YoloDetector(folder)
    images = [noise(n, size) for n, size in enumerate(SIZES)]
    together, backwards = probabilities(detector, images), probabilities(detector, images[::-1])
    alone = np.concatenate([probabilities(detector, [image]) for image in images])
    assert together.dtype == np.float32
    assert np.ptp(together) > 1e-3
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, backwards[::-1], atol=1e-5)


def test_no_images_give_no_probabilities(folder: Path) -> None:
    found = probabilities(YoloDetector(folder), [])
    assert (found.shape, found.dtype) == ((0,), np.float32)


@pytest.mark.parametrize("size", [(1, 1), (1, 30_000), (30_000, 1)])
def test_an_image_one_pixel_wide_has_a_probability(folder: Path, size: tuple[int, int]) -> None:
    (found,) = probabilities(YoloDetector(folder), [noise(0, size)])
    assert 0 <= found <= 1


def test_an_image_that_is_not_rgb_is_a_fault_of_the_code(folder: Path) -> None:
    with pytest.raises(ContractError, match="RGB"):
        probabilities(YoloDetector(folder), [Image.new("L", (9, 9))])


@pytest.mark.parametrize("side_px", [64, 224])
def test_the_square_equals_that_of_ultralytics(side_px: int) -> None:
    import_ultralytics()
    from ultralytics.data.augment import classify_transforms

    theirs = classify_transforms(side_px)
    for n, size in enumerate(SIZES):
        image = noise(n, size)
        expected = (theirs(image).permute(1, 2, 0).numpy() * 255).round()
        # The two passes of scaling have another order, so the last bit of a colour may differ.
        assert np.abs(np.asarray(cut_square(image, side_px), np.float64) - expected).max() <= 1


def test_the_class_is_found_by_name_and_not_by_position(
    folder: Path, description: dict[str, Any], tmp_path: Path
) -> None:
    image = noise(5, (90, 70))
    (one,) = probabilities(YoloDetector(folder), [image])
    for names in (["remote_sensing", "other"], {1: "other", 0: "remote_sensing"}):
        (tmp_path / DESCRIPTION).write_text(yaml.safe_dump({**description, "names": names}), encoding="utf-8")
        (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
        (other,) = probabilities(YoloDetector(tmp_path), [image])
        assert one + other == pytest.approx(1, abs=1e-6)
        assert one != pytest.approx(other, abs=1e-4)


def test_nan_weights_give_nan(folder: Path, description: dict[str, Any], tmp_path: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    weights["model.0.conv.weight"][0, 0, 0, 0] = float("nan")
    save_file(weights, tmp_path / WEIGHTS)
    (tmp_path / DESCRIPTION).write_text(yaml.safe_dump(description), encoding="utf-8")
    assert np.isnan(probabilities(YoloDetector(tmp_path), [noise(0, (70, 70)), noise(1, (70, 70))])).all()


def test_weights_stored_in_half_precision_are_computed_in_single_precision(
    folder: Path, description: dict[str, Any], tmp_path: Path
) -> None:
    halves = {n: v.half() if v.is_floating_point() else v for n, v in load_file(folder / WEIGHTS).items()}
    save_file(halves, tmp_path / WEIGHTS)
    (tmp_path / DESCRIPTION).write_text(yaml.safe_dump(description), encoding="utf-8")
    images = [noise(n, (80, 80)) for n in range(3)]
    stored, full = (probabilities(YoloDetector(path), images) for path in (tmp_path, folder))
    np.testing.assert_allclose(stored, full, atol=0.01)
    assert (stored != full).any()


def test_weights_for_other_layers_are_refused(folder: Path, description: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / DESCRIPTION).write_text(yaml.safe_dump(description), encoding="utf-8")
    weights = load_file(folder / WEIGHTS)
    del weights["model.0.conv.weight"]
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(InputError, match=r"does not fit the layers .*model\.0\.conv\.weight"):
        YoloDetector(tmp_path)


def test_a_pickle_under_the_name_of_safetensors_is_refused(description: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / DESCRIPTION).write_text(yaml.safe_dump(description), encoding="utf-8")
    torch.save({"a": torch.zeros(2)}, tmp_path / WEIGHTS)
    with pytest.raises(InputError, match="convert_detector"):
        YoloDetector(tmp_path)


@pytest.mark.parametrize(
    ("file", "scale", "width"),
    [("11/yolo11-cls.yaml", "n", 0.25), ("11/yolo11-cls.yaml", "x", 0.25), ("v8/yolov8-cls.yaml", "n", 0.25)],
)
def test_published_architectures_run_through_the_adapter(tmp_path: Path, file: str, scale: str, width: float) -> None:
    made = make_folder(tmp_path, published(file, scale, width, input_px=224))
    found = probabilities(YoloDetector(made), [noise(n, (300, 250)) for n in range(2)])
    assert ((found > 0) & (found < 1)).all()


@pytest.mark.parametrize("scale", ["n", "x"])
def test_the_description_builds_the_same_layers_as_ultralytics(scale: str) -> None:
    layers = import_ultralytics()
    theirs = layers.ClassificationModel(f"yolo11{scale}-cls.yaml", nc=2, verbose=False)
    values = published("11/yolo11-cls.yaml", scale, 1)
    values["scales"] = {scale: theirs.yaml["scales"][scale]}
    ours = build_classifier(check_description(values, "test"))
    shapes = [{name: v.shape for name, v in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


def run(program: str, home: Path) -> str:
    """Run a program with another home folder, and return its output."""
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "TMPDIR": str(home / "tmp"),
    }
    environment = {name: value for name, value in environment.items() if not name.startswith(("YOLO_", "OMP_"))}
    (home / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_importing_the_adapters_imports_no_ultralytics(tmp_path: Path) -> None:
    program = """
import pkgutil, sys, importlib, stages.models
for module in pkgutil.iter_modules(stages.models.__path__):
    importlib.import_module(f"stages.models.{module.name}")
print(sorted({"ultralytics", "torch"} & set(sys.modules)), "stages.models.yolo_detector" in sys.modules)
"""
    assert run(program, tmp_path) == "[] True\n"


def test_a_detector_does_not_change_process_settings_or_home(folder: Path, tmp_path: Path) -> None:
    program = f"""
import os, sys
from pathlib import Path
import numpy as np, torch, PIL.Image
before = PIL.Image.open, torch.save, dict(os.environ), np.get_printoptions()
from stages.models.yolo_detector import YoloDetector
detector = YoloDetector(Path({str(folder)!r}))
detector.probabilities([detector.prepare(PIL.Image.new("RGB", (9, 9)))])
from ultralytics.utils import ONLINE, SETTINGS
after = PIL.Image.open, torch.save, dict(os.environ), np.get_printoptions()
print(before == after, ONLINE, SETTINGS["sync"])
"""
    assert run(program, tmp_path) == "True False False\n"
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp"]
