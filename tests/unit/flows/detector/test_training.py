"""The command trains both detectors on drawn images, measures and writes them, and the stage opens them."""

import csv
import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.ask.status import status_report
from flows.cli import main
from flows.demo.models.scenes import draw_scene
from flows.detector.digests import Digests, read_used
from flows.detector.examples import Example
from flows.detector.training import prepare, train
from flows.run.executor import InlineExecutor
from flows.settings import PROFILES
from stages.contract import InputError
from stages.models.lite0_detector import Lite0Detector, prepare_lite0
from stages.models.opening import open_detector
from stages.models.protocols import Detector
from stages.models.yolo_detector import YoloDetector
from tests.small_build import Build, contents

N_SCENES = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn scenes with two sources per label."""
    folder = tmp_path_factory.mktemp("images")
    for seed in range(N_SCENES):
        scene = draw_scene(seed)
        label = "rs" if scene.is_from_above else "other"
        path = folder / label / f"source{seed % 2}" / f"{scene.kind}_{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene.image.resize((128, 128)).save(path)
    return folder


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder written by the command."""
    folder = tmp_path_factory.mktemp("models")
    build = tmp_path_factory.mktemp("build")
    sets = tmp_path_factory.mktemp("evaluation")
    shutil.copytree(data / "rs/source0", sets / "ucm/test")
    words = ["train-detector", str(data), "--out", str(folder), "--n-threads", "1", "--build", str(build)]
    words += ["--epochs", "1"]
    assert main([*words, "--eval", str(sets)]) == 0
    return folder


@pytest.mark.parametrize(("name", "kind"), [("rs-lite0", Lite0Detector), ("rs-detector", YoloDetector)])
def test_a_trained_detector_is_opened_like_a_pinned_one(out: Path, data: Path, name: str, kind: type[Detector]) -> None:
    with open_detector(name, models=str(out), device="cpu", n_threads=1) as detector:
        assert isinstance(detector, kind)
        images = [Image.open(path).convert("RGB") for path in sorted(data.rglob("*.png"))[:4]]
        found = detector.probabilities([detector.prepare(image) for image in images])
    assert found.dtype == np.float32 and found.shape == (4,) and ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("name", ["rs-lite0", "rs-detector"])
def test_its_figures_are_of_unseen_images(out: Path, name: str) -> None:
    metrics = json.loads((out / name / "metrics.json").read_text())
    with (out / name / "trained_on.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == N_SCENES and metrics["n"] == sum(row["part"] == "test" for row in rows) > 5
    assert metrics["n_trained_on"] == N_SCENES - metrics["n"]
    assert metrics["kept_rs"]["n"] + metrics["refused_other"]["n"] == metrics["n"]
    assert 0 <= metrics["threshold"] <= 1 and metrics["classes_left_out"]["n"] == metrics["n_trained_on"]


def test_the_light_detector_classifies_drawn_scenes(out: Path) -> None:
    metrics = json.loads((out / "rs-lite0/metrics.json").read_text())
    assert metrics["auc"] > 0.9 and len(metrics["sources_left_out"]) == 4


def test_the_page_escapes_names_and_needs_no_network(out: Path) -> None:
    page = (out / "rs-lite0/report.html").read_text()
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page
    card = (out / "rs-lite0/README.md").read_text()
    assert "rs-lite0" in card and "those of the splits train and val" in card


def test_the_card_counts_training_images_among_evaluation_pictures(out: Path, data: Path) -> None:
    (found,) = json.loads((out / "rs-lite0/metrics.json").read_text())["facts"]["evaluation"]
    n_copied = len(list((data / "rs/source0").iterdir()))
    assert (found["name"], found["n"], found["n_not_read"]) == ("ucm/test", n_copied, 0)
    assert n_copied / 2 < found["n_trained_on"] < N_SCENES
    card = (out / "rs-lite0/README.md").read_text()
    assert f"evaluation set `ucm/test` | {found['n_trained_on']} images" in card
    assert "by perceptual hashes alone: not found are framed and captioned copies" in card


def of_hashes(hashes: np.ndarray[Any, Any]) -> Digests:
    return Digests([""] * len(hashes), hashes)


class Memory:
    """Learns the numbers of its examples by heart: 1 for a known remote sensing image's group, else 0."""

    name = "memory"

    def __init__(self, groups: np.ndarray[Any, Any], is_rs: np.ndarray[Any, Any]) -> None:
        self.groups, self.is_rs = groups, is_rs

    def fit(self, examples: Any, chosen: np.ndarray[Any, Any]) -> Any:
        return set(self.groups[chosen & self.is_rs])

    def probabilities(self, model: Any, view: str) -> Any:
        return np.array([float(group in model) for group in self.groups])


def test_a_mirror_of_a_source_teaches_nothing_of_the_left_out_source() -> None:
    rng = np.random.default_rng(0)
    names = [("rs", "first"), ("rs", "mirror"), ("rs", "third"), ("other", "web"), ("other", "maps")]
    examples = [Example(Path(f"{n}.jpg"), *names[n // 20], f"k{n % 4}") for n in range(100)]
    hashes = rng.integers(0, 1 << 63, 100, np.uint64)
    hashes[20:40] = hashes[:20]
    learner = Memory(np.unique(hashes, return_inverse=True)[1], np.array([e.is_rs for e in examples]))
    metrics = train(learner, examples, of_hashes(hashes), is_leaving_sources_out=True).metrics  # type: ignore[arg-type]
    found = {row["name"]: row["n_right"] for row in metrics["sources_left_out"]}
    assert found == {"rs: first": 0, "rs: mirror": 0, "rs: third": 0, "other: web": 20, "other: maps": 20}
    assert {row["n_right"] for row in metrics["classes_left_out"]["classes_rs"]} == {0}


def test_a_label_of_one_class_has_a_threshold_of_its_own_images() -> None:
    examples = [Example(Path(f"{n}.jpg"), "rs" if n < 100 else "other", "s", "img") for n in range(200)]
    hashes = np.random.default_rng(0).integers(0, 1 << 63, 200, np.uint64)
    is_rs = np.array([example.is_rs for example in examples])
    learner = Memory(np.where(is_rs, 0, 1), is_rs)
    metrics = train(learner, examples, of_hashes(hashes), is_leaving_sources_out=False).metrics  # type: ignore[arg-type]
    left_out = metrics["classes_left_out"]
    assert left_out["auc"] == 1 and left_out["refused_other"]["n"] == left_out["kept_rs"]["n"] == 80
    assert metrics["left_out"] == "single images with their near duplicates (too few classes)"


def test_a_label_that_cannot_be_measured_is_refused() -> None:
    examples = [Example(Path(f"{n}.jpg"), "rs" if n else "other", "s", "k") for n in range(20)]
    learner = Memory(np.arange(20), np.array([e.is_rs for e in examples]))
    hashes = np.random.default_rng(0).integers(0, 1 << 63, 20, np.uint64)
    with pytest.raises(InputError, match="label other has 1 image, too few to train and to measure"):
        train(learner, examples, of_hashes(hashes), is_leaving_sources_out=False)  # type: ignore[arg-type]


def test_a_detector_is_not_overwritten(out: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-detector", str(data), "--out", str(out), "--model", "lite0"]) == 2
    assert "has a detector already" in capsys.readouterr().out


def test_a_start_of_a_model_that_is_not_trained_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train-detector", str(data), "--out", str(tmp_path), "--model", "lite0", "--start", str(tmp_path)]
    assert main(words) == 2
    assert "MODEL=lite0 trains none" in " ".join(capsys.readouterr().out.split())


def test_images_that_the_start_was_trained_on_are_listed_and_counted_among_the_unseen(
    out: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in data.rglob("*.png"):  # other names, so other images are measured
        copy = tmp_path / "data" / path.relative_to(data).parent / f"copy_{path.stem[::-1]}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    words = ["train-detector", str(tmp_path / "data"), "--out", str(tmp_path), "--model", "yolo", "--epochs", "1"]
    assert main([*words, "--start", str(out / "rs-detector")]) == 0
    assert re.search(
        r"was trained on \d+ of \d+ unseen images, so the figures", " ".join(capsys.readouterr().out.split())
    )
    own, start = read_used(tmp_path / "rs-detector"), read_used(out / "rs-detector")
    assert own is not None and start is not None and set(start.files) <= set(own.files)


def test_a_file_that_is_no_image_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label in ("rs", "other"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.jpg").write_bytes(b"no image")
    assert main(["train-detector", str(tmp_path), "--out", str(tmp_path / "out"), "--model", "yolo"]) == 2
    assert "no image of label rs can be read" in (said := capsys.readouterr().out)
    assert "rs/1.jpg is not an image of a known format" in said


class Listener:
    """Counts the images that it is given."""

    def __init__(self) -> None:
        self.n = 0

    def add(self, view: str, images: Any) -> None:
        self.n += len(images)

    def add_weather(self, images: Any) -> None:
        pass


def test_unreadable_images_are_left_out_and_named(tmp_path: Path) -> None:
    examples = []
    for n in range(6):
        examples.append(Example(tmp_path / f"{n}.png", "rs" if n % 2 else "other", "s", "k"))
        Image.new("RGB", (8, 8)).save(examples[n].path)
    for n in (0, 3):
        examples[n].path.write_bytes(b"no image")
    learner = Listener()
    found = prepare(examples, [learner], lambda n: None)  # type: ignore[list-item]
    assert found.examples == [examples[n] for n in (1, 2, 4, 5)] and learner.n == 2 * 4
    assert len(found.digests.files) == len(found.digests.hashes) == len(found.sizes) == 4
    assert [str(examples[n].path) in fault for n, fault in zip((0, 3), found.not_read, strict=True)] == [True, True]


def test_the_prepared_square_is_the_centre() -> None:
    image = Image.new("RGB", (400, 200), "white")
    image.paste("black", (0, 0, 100, 200))
    square = prepare_lite0(image)
    assert square.shape == (224, 224, 3) and square.min() > 200


def test_a_light_build_only_needs_the_trained_detector(out: Path, small_sources: Path, tmp_path: Path) -> None:
    shutil.copytree(out / "rs-lite0", tmp_path / "models/rs-lite0")
    light = tomllib.loads((PROFILES / "light.toml").read_text())
    sections = {**light, "outliers": {**light["outliers"], "models": str(tmp_path / "models")}}
    sections["run"] = {"backoff_s": 0.0, "reserve_gb": 0.0}
    sections["download"] = {"allow_loopback": True, "timeout_s": 120.0, "max_fetch_s": 120.0}
    build = Build(tmp_path / "build", small_sources, sections)
    build.run(InlineExecutor())
    found = contents(build)
    passed_over = {(row["path"], row["reason"]) for row in found["source_listing_rejects"].to_pylist()}
    assert {("fmow", "left_out"), ("ben", "left_out"), ("millionaid", "left_out")} <= passed_over
    assert {row["half"] for row in build.rows("sample", ["half"])} == {"pub11"}
    assert found["detector_score"].num_rows == found["picture"].num_rows > 10 and found["vlm_score"].num_rows == 0
    rules = {row["score"]: row for row in found["outlier_rule"].to_pylist()}
    threshold = json.loads((out / "rs-lite0/metrics.json").read_text())["threshold"]
    assert rules["vlm"]["rule"] == "none" and rules["detector"]["threshold"] == threshold
    assert found["relevant"].num_rows + found["relevant_rejects"].num_rows == found["survivor"].num_rows
    assert found["caption_candidate"].num_rows == 0
    # As if trained again: other weights under the same name.
    (tmp_path / "models/rs-lite0/SHA256SUMS").write_text(f"{'0' * 64}  model.safetensors\n")
    stale = {row["stage"]: row["stale"] for row in status_report(build.ledger()).rows}
    assert stale["score_detector"] > 0
    shutil.rmtree(tmp_path / "models")  # a build without its models keeps its scores
    assert not any(row["stale"] or row["missing"] for row in status_report(build.ledger()).rows)
