"""`calibrate` on a finished build, and on a folder of drawn images scored by the demo's models."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.calibrate.scores import stored_scores
from flows.cli import main
from flows.demo.models.scenes import draw_scene
from flows.detector.digests import USED, Digests, digest_images, write_used
from flows.detector.examples import Example
from flows.settings import load_settings
from stages import STAGES
from tests.small_build import Build


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def words(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_stored_scores_of_labelled_samples_set_both_thresholds(
    damaged: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image_of = {row["sample_id"]: row["image_id"] for row in damaged.rows("sample") if row["half"] == "pub11"}
    pixels = {row["image_id"]: row["pixel_sha256"] for row in damaged.rows("image")}
    vlm = {row["pixel_sha256"]: row["vlm_score_cos"] for row in damaged.rows("vlm_score")}
    shown = {name: pixels[image] for name, image in image_of.items() if image in pixels}
    ordered = sorted(set(shown.values()), key=lambda picture: vlm[picture])
    is_rs = {picture: n >= len(ordered) // 2 for n, picture in enumerate(ordered)}
    lines = [f"{name},{'rs' if is_rs[picture] else 'other'}" for name, picture in shown.items()]
    first = next(iter(shown))
    lines[0] = lines[0].replace(first, image_of[first])  # an image_id is accepted as well
    (tmp_path / "labels.csv").write_text("\n".join(["id,label", *lines, "laion2b_0_8,rs", ""]))
    options = damaged.arguments(tmp_path)
    assert main(["calibrate", "labels.csv", *options, "--precision", "1", "--out", "mine.toml"]) == 0
    found = words(capsys)
    assert f"{len(ordered)} pictures with stored scores; 1 have no valid image" in found
    assert "precision 100.0%" in found and "recall 100.0%" in found
    ours = load_settings("mine.toml", [], STAGES)
    theirs = load_settings(options[1], [], STAGES)
    changed = {name for name in ours.by_stage if ours.by_stage[name] != theirs.by_stage[name]}
    assert changed == {"set_thresholds"}
    params = ours.by_stage["set_thresholds"][0]
    assert params.rule == "absolute"  # type: ignore[attr-defined]
    least = min(vlm[picture] for picture in ordered if is_rs[picture])
    assert params.min_vlm_score_cos == pytest.approx(least, abs=1e-6)  # type: ignore[attr-defined]
    assert main(["calibrate", "labels.csv", *options[:-1], str(tmp_path / "other")]) == 2
    assert "is not a build folder" in words(capsys)


def test_an_unknown_name_is_refused(damaged: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("id,label\nlaion2b_0_1,rs\nnobody,other\na.png,other\n")
    assert main(["calibrate", "labels.csv", *damaged.arguments(tmp_path)]) == 2
    assert "1 of 3 labelled names are neither files nor a sample_id or image_id" in words(capsys)


def test_missing_files_are_named_before_a_build_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.csv").write_text("path,label\nrs/a.png,rs\nother/b.jpg,other\n")
    assert main(["calibrate", "labels.csv", "--profile", "demo", "--build", str(tmp_path / "nowhere")]) == 2
    found = words(capsys)
    assert "2 of 2 names in labels.csv look like files, but there are none: rs/a.png, other/b.jpg" in found
    assert "is not a build folder" not in found


def test_a_folder_is_scored_with_the_models_of_the_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(40):
        scene = draw_scene(seed)
        path = tmp_path / "Images" / ("rs" if scene.is_from_above else "other") / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene.image.save(path)
    (tmp_path / "Images/rs/bad.png").write_bytes(b"no image")
    common = ["calibrate", "Images", "--profile", "demo", "--precision", "0.9"]
    assert main([*common, "--out", "my profile.toml"]) == 0
    found = words(capsys)
    assert "use it with PROFILE='my profile.toml'" in found
    shutil.copy("my profile.toml", "calibrated.toml")
    assert "cannot be read: 1 image (Images/rs/bad.png is not an image" in found
    assert "40 labelled pictures" in found and "outliers.min_detector_prob=" in found
    assert "fewer than 100 of a label" in found
    assert load_settings("calibrated.toml", [], STAGES).by_stage["set_thresholds"][0].rule == "absolute"  # type: ignore[attr-defined]
    assert main([*common, "--set", "outliers.detector=none", "--set", "embed.model=none"]) == 2
    assert "there is no score to set a threshold for" in words(capsys)
    assert main([*common[:-1], "97"]) == 2
    assert "expected a share from 0 to 1" in words(capsys)
    shutil.rmtree(tmp_path / "Images/rs")
    assert main(common) == 2


def test_training_images_are_left_out_of_tables_and_folders_whatever_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models/demo-yolo"
    folder.mkdir(parents=True)
    table = tmp_path / "labels.csv"
    rows, trained = ["path,label"], []
    for seed in range(40):
        scene = draw_scene(seed)
        path = tmp_path / "Images" / ("rs" if scene.is_from_above else "other") / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene.image.save(path)
        rows.append(f"{path.relative_to(tmp_path)},{path.parent.name}")
        trained.append(path)
    table.write_text("\n".join(rows))
    images = [Image.open(path) for path in trained[:7]]
    turned = digest_images(["of another file"], [images[6].transpose(Image.Transpose.ROTATE_90)])
    digests = Digests(
        [hashlib.sha256(path.read_bytes()).hexdigest() for path in trained[:6]] + ["of another file"],
        np.array([0] * 6 + turned.hashes.tolist(), np.uint64),
        np.concatenate([np.zeros((6, 7), np.uint64), turned.turned]),
        np.zeros((7, 3), np.uint64),
    )
    renamed = [Example(Path(f"other name, {n}.png"), "rs", "elsewhere", "Class") for n in range(7)]
    write_used(folder, ["train"] * 4 + ["test", "val", "train"], renamed, digests)
    common = ["--profile", "demo", "--precision", "0.6", "--set", f"outliers.models={folder.parent}"]
    for labels in ("Images", "labels.csv"):
        assert main(["calibrate", labels, *common]) == 0
        found = words(capsys)
        assert "34 labelled pictures" in found and f"({folder / USED}): 6 images" in found
    write_used(folder, ["test"] * 7, renamed, digests)
    assert main(["calibrate", "labels.csv", *common]) == 0
    assert "): 0 images" in words(capsys)
    (folder / USED).write_text("part,label,class,file\ntrain,rs,s/k,a.jpg\n")
    assert main(["calibrate", "labels.csv", *common]) == 0
    assert "has no digests, so images that the detector was trained on are not left out" in words(capsys)


def test_training_images_are_left_out_of_stored_names(finished: Build) -> None:
    ledger = finished.ledger()
    image = finished.rows("image")[0]
    names = {row["sample_id"]: True for row in finished.rows("sample") if row["half"] == "pub11"}
    every = stored_scores(ledger, names)
    by_file = stored_scores(ledger, names, Digests([image["body_sha256"]], np.zeros(0, np.uint64)))
    by_hash = stored_scores(ledger, names, Digests([], np.array([image["phash"]], np.uint64)))
    assert every.n_seen == 0 < by_file.n_seen <= by_hash.n_seen
    for found in (by_file, by_hash):
        assert len(found.scores.names) + found.n_seen == len(every.scores.names)
        assert image["pixel_sha256"] not in found.scores.names
