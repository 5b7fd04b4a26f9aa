"""`preflight`, `weights` and the check before `build`, through the command line."""

import json
import time
from pathlib import Path

import pytest

from flows.cli import main
from flows.preflight import commands
from flows.preflight.machine import Gpu, Gpus
from stages import STAGES
from tests.small_build import Build
from tests.unit.flows.preflight.hub import safetensors

PAPER = ("clip-convnext-xxl", "rs-detector", "blip2-opt-6.7b", "clip-vit-h-14", "clip-rn50x64")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NLTK_DATA", raising=False)
    monkeypatch.setattr(commands, "find_gpus", lambda: Gpus(()))
    return tmp_path


def words(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_all_gaps_of_profile_paper_are_named_at_once_within_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    started = time.process_time()
    assert main(["preflight", "--profile", "paper", "--sources", "empty"]) == 2
    assert time.process_time() - started < 5
    found = words(capsys)
    for model in PAPER:
        assert f"{model} NOT READY" in found and f"model {model}: {model} is missing" in found
    for stage in ("embed", "score_detector", "draw_captions", "rank_captions"):
        assert f"gpu {stage}" in found
    for said in (
        "licence: MIT", "make weights PROFILE=paper", "NLTK_DATA is not set", "6,121,583 URLs", "612.16 GB down",
        "disk", "shipped: BLIP2-OPT-6.7B", "if no stages overlap (",
        "GPU of this machine: none", "of GPU (the one that each rate was measured on)",
    ):  # fmt: skip
        assert said in found, said


def test_a_build_folder_that_cannot_be_written_is_a_gap_and_stops_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    common = ["--profile", "light", "--sources", "empty", "--build", "file/b"]
    assert main(["preflight", *common]) == 2
    found = words(capsys)
    assert "disk file/b: the build folder cannot be written (Not a directory)" in found
    assert found.index("would stop a build") < found.index("cannot be written") < found.index("would stop nothing")
    assert main(["stage", "inventory", *common]) == 2
    assert "error: file/b cannot be written (Not a directory): name a folder on another disk" in words(capsys)


def test_preflight_makes_no_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    main(["preflight", "--profile", "light", "--sources", "empty"])
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_build_from_the_list_needs_its_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    command = ["preflight", "--profile", "from-metafile", "--build", "b"]
    for sources in ([], ["--sources", "empty"]):
        assert main([*command, *sources]) == 2
        found = words(capsys)
        assert "METAFILE is not named: expected a list" in found and "pub11_train_metadata.csv (998 MB)" in found
        assert "in all 3,007,809 URLs" in found and "draw_captions" not in found
    (tmp_path / "list.csv").write_text("url,img_name,text\nhttp://x.test/a.jpg,laion2b_0_1,aerial view\n")
    assert main([*command, "--metafile", "list.csv"]) == 2
    found = words(capsys)
    assert "METAFILE is not named" not in found and "in all" in found


def test_complete_sources_and_weights_have_no_gap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sources" / "cc12m").mkdir(parents=True)
    (tmp_path / "sources" / "cc12m" / "cc12m.tsv").write_text("http://x.test/a.jpg\taerial view\n")
    import hashlib

    for model in PAPER:
        (tmp_path / "models" / model).mkdir(parents=True)
        for name in ("open_clip_config.json", "config.json", "tokenizer.json", "preprocessor_config.json"):
            (tmp_path / "models" / model / name).write_text("{}")
        for folder in (tmp_path / "models" / model, tmp_path / "models" / model / "rsitmd-lora"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "model.safetensors").write_bytes(safetensors(10))
        digest = hashlib.sha256(safetensors(10)).hexdigest()
        names = ("model.safetensors", "rsitmd-lora/model.safetensors")
        (tmp_path / "models" / model / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name in names))
    monkeypatch.setattr(commands, "find_gpus", lambda: Gpus([Gpu("H200", 150.0)]))
    monkeypatch.setattr("flows.preflight.check._nltk_gaps", lambda ledger, forecast: iter(()))
    command = ["preflight", "--profile", "paper", "--sources", "sources", "--set=run.reserve_gb=0"]
    assert main([*command, "--set=download.contact=you@example.org"]) == 0
    found = words(capsys)
    assert "no gaps" in found and "draw_captions" not in found, "without a labelled corpus the captioner is not needed"


def test_a_build_that_would_fail_later_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sources" / "cc12m").mkdir(parents=True)
    (tmp_path / "sources" / "cc12m" / "cc12m.tsv").write_text("http://x.test/a.jpg\taerial view\n")
    assert main(["build", "--profile", "paper", "--sources", "sources", "--build", "b"]) == 2
    found = words(capsys)
    assert "clip-convnext-xxl is missing" in found and "run.preflight=false" in found
    assert "download.contact is not set" in found
    assert not (tmp_path / "b" / "source_listing").exists(), "no stage ran"


def test_a_light_build_needs_its_detector_and_no_other_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for code in ("cc12m", "fmow"):
        (tmp_path / "sources" / code).mkdir(parents=True)
    (tmp_path / "sources/cc12m/cc12m.tsv").write_text("http://x.test/a.jpg\taerial view\n")
    assert main(["preflight", "--profile", "light", "--sources", "sources"]) == 2
    found = words(capsys)
    assert "rs-lite0 NOT READY" in found and "model rs-lite0: rs-lite0 is missing" in found
    assert "models/rs-lite0/metrics.json" in found and "gpu score_detector" not in found
    assert not [model for model in PAPER if model in found]
    assert main(["weights", "--profile", "light"]) == 2
    found = words(capsys)
    assert "rs-lite0" in found and not [model for model in PAPER if model in found]


def test_weights_without_a_network_says_which_files_to_put_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert main(["weights", "--profile", "workstation"]) == 2
    found = words(capsys)
    assert "hf download google/siglip2-so400m-patch14-384 --revision e8e4" in found
    assert "make train-detector" in found and "copy the folder siglip2-so400m" in found


def test_a_corpus_whose_disk_is_gone_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "sources" / "cc12m"
    folder.mkdir(parents=True)
    (folder / "cc12m.tsv").write_text("http://x.test/a.jpg\taerial view\n")
    common = ["--profile", "paper", "--sources", "sources", "--build", "b"]
    assert main(["stage", "inventory", *common]) == 0
    folder.rename(tmp_path / "elsewhere")
    capsys.readouterr()
    assert main(["preflight", *common]) == 2
    assert "sources/cc12m is gone; 1 listed files of it are still to be read" in words(capsys)
    folder.parent.rmdir()
    assert main(["preflight", *common]) == 2
    assert "source SOURCES: SOURCES=sources is not a folder" in words(capsys)


def test_the_demo_is_not_forecast_as_all_of_rs5m(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preflight", "--profile", "demo", "--build", "b", "--set=run.reserve_gb=0"]) == 0
    found = words(capsys)
    assert "no gaps" in found and "in all 612 URLs" in found


def test_a_listed_build_whose_sources_are_gone_is_forecast_by_its_listing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sources" / "millionaid" / "test"
    folder.mkdir(parents=True)
    for n in range(7):
        (folder / f"P000000{n}.jpg").write_bytes(b"x")
    common = ["--profile", "paper", "--sources", "sources", "--build", "b"]
    assert main(["stage", "inventory", *common]) == 0
    (tmp_path / "sources").rename(tmp_path / "elsewhere")
    capsys.readouterr()
    assert main(["preflight", *common, "--set=run.reserve_gb=0"]) == 2
    found = words(capsys)
    assert "SOURCES=sources is not a folder" in found and "download.contact" not in found and "disk b:" not in found
    assert "in all 0 URLs" in found


def test_a_gpu_without_a_stated_memory_is_named_and_compared_with_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "find_gpus", lambda: Gpus([Gpu("NVIDIA GB10", None)]))
    assert main(["preflight", "--profile", "paper", "--sources", "empty"]) == 2
    found = words(capsys)
    assert "gpu embed" not in found and "GPU of this machine: NVIDIA GB10 memory unknown" in found
    assert "whether they fit on NVIDIA GB10 was not compared: nvidia-smi states no memory" in found


def test_a_benchmark_of_this_machine_replaces_the_shipped_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "build" / "bench").mkdir(parents=True)
    row = {"case": "screen, JPEGs of 256 to 1024 px (112 kB), over decoding", "value": 7.2, "unit": "CPU ms an image"}
    (tmp_path / "build" / "bench" / "screen.json").write_text(json.dumps({"rows": [row]}))
    main(["preflight", "--profile", "paper", "--sources", "nowhere"])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  screen"))
    assert "this machine: make bench-screen" in line and "14.6 h" in line


def test_a_model_or_package_that_does_not_exist_is_one_gap_among_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLTK_DATA", "nowhere")
    assert main(["preflight", "--profile", "paper", "--sources", "x", "--set=embed.model=clip-nowhere"]) == 2
    found = words(capsys)
    assert "no scorer 'clip-nowhere'" in found or "no model 'clip-nowhere'" in found
    assert "NLTK_DATA=nowhere lacks" in found and "model rs-detector" in found


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("dedup.method=keypoints dedup.candidates=features", "dedup.candidates"),
        ("dedup.method=keypoints dedup.candidates=both", "dedup.candidates"),
        ("dedup.method=features", "dedup.method"),
        ("dedup.method=hashes dedup.candidates=features", ""),
        ("dedup.method=keypoints dedup.candidates=keypoints", ""),
    ],
)
def test_features_without_a_model_are_a_gap_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    settings = [word for one in ("embed.model=none", *said.split()) for word in ("--set", one)]
    main(["preflight", "--profile", "light", "--sources", "empty", *settings])
    found = words(capsys)
    assert "READY" in found or "disk" in found
    assert ('compares image features, but embed.model = "none" makes none' in found) == bool(name)
    if name:
        assert f"setting {name}: {name} = " in found and "needs no model" in found


@pytest.mark.parametrize(("said", "is_named"), [("absolute", True), ("quantile", False)])
def test_thresholds_that_keep_every_image_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str, is_named: bool
) -> None:
    settings = [word for one in ("detector=none", f"rule={said}") for word in ("--set", f"outliers.{one}")]
    main(["preflight", "--profile", "workstation", "--sources", "empty", *settings])
    assert ("every image is kept" in words(capsys)) == is_named


def test_the_check_before_a_build_looks_at_no_costs_if_all_is_done(damaged: Build) -> None:
    ledger = damaged.ledger()
    assert commands._is_done(ledger)
    partition = next(iter((damaged.root / "metafile").iterdir()))
    partition.rename(damaged.root / "elsewhere")
    assert not commands._is_done(damaged.ledger())


def test_a_build_that_has_not_begun_is_not_done(tmp_path: Path) -> None:
    from flows.ledger.ledger import Ledger
    from flows.ledger.store import Store
    from flows.settings import load_settings

    assert not commands._is_done(Ledger(Store(tmp_path), STAGES, load_settings("demo", [], STAGES)))
