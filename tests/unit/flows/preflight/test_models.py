"""Damaged weights are named by file, GPUs are compared with the stages' needs, and digests are remembered."""

import hashlib
import re
from datetime import date
from pathlib import Path

import pytest

from flows.preflight import models as under_test
from flows.preflight.gaps import Gap
from flows.preflight.machine import Gpu, Gpus
from flows.preflight.models import MEMORY, Digests, Need, gpu_gaps, needs_of, weight_gaps
from flows.settings import load_settings
from schemas.manifests import Model, load_models
from stages import STAGES
from tests.unit.flows.preflight.hub import safetensors

MODEL = Model(
    name="some-clip", task="scorer", library="open_clip", repository="someone/clip", revision="1" * 40,
    precision="float32", licence="MIT", weights_sha256="", gpu_gb=10.0, download_gb=0.0, files=("*.safetensors",),
    how_to_get="hf download someone/clip --local-dir {folder}", date_checked=date(2026, 1, 1),
)  # fmt: skip


def need(folder: Path, stage: str = "embed", device: str = "auto") -> Need:
    return Need(stage, MODEL, folder, device)


def five_files(folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    paths = [folder / f"model-{n}.safetensors" for n in range(5)]
    for n, path in enumerate(paths):
        path.write_bytes(safetensors(1000, n))
    (folder / "SHA256SUMS").write_text(
        "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths)
    )
    return paths


def gaps(folder: Path) -> list[Gap]:
    return list(weight_gaps([need(folder), need(folder, "embed_prompts")], "make weights", Digests(folder.parent, 10)))


def test_intact_weights_are_no_gap(tmp_path: Path) -> None:
    five_files(tmp_path / "m")
    assert gaps(tmp_path / "m") == []


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "not safetensors"])
def test_only_the_damaged_one_of_five_is_named(tmp_path: Path, damage: str) -> None:
    paths = five_files(tmp_path / "m")
    data = paths[3].read_bytes()
    match damage:
        case "flipped":
            paths[3].write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "cut":
            paths[3].write_bytes(data[:-10])
        case "gone":
            paths[3].unlink()
        case _:
            paths[3].write_bytes(b"\x80\x04" + data)
    (gap,) = gaps(tmp_path / "m")
    assert gap.is_fatal and gap.remedy.endswith("\n    make weights")
    assert str(paths[3]) in gap.problem
    assert not any(str(path) in gap.problem for path in paths if path != paths[3])


@pytest.mark.parametrize("n_cut", [0, 1, 2])
def test_all_damaged_files_are_named_at_once(tmp_path: Path, n_cut: int) -> None:
    paths = five_files(tmp_path / "m")
    for n, path in enumerate(paths[:3]):
        path.write_bytes(path.read_bytes()[:-1] + (b"!" if n >= n_cut else b""))
    assert len(gaps(tmp_path / "m")) == 3
    assert [path.name for path in paths if any(path.name in gap.problem for gap in gaps(tmp_path / "m"))] == [
        path.name for path in paths[:3]
    ]


@pytest.mark.parametrize(
    "state", ["missing", "a pickle", "damaged", "of another digest", "without a digest", "emptied"]
)
def test_an_adapter_is_got_by_its_own_commands_alone(tmp_path: Path, state: str) -> None:
    model = load_models()["blip2-opt-6.7b"].model_copy(update={"files": ("*.safetensors",)})
    folder = tmp_path / "m"
    five_files(folder)
    path = folder / "rsitmd-lora" / ("adapter_model.bin" if state == "a pickle" else "adapter_model.safetensors")
    if state != "missing":
        path.parent.mkdir()
        path.write_bytes(b"damaged" if state == "damaged" else safetensors(10))
        (path.parent / "adapter_config.json").write_text("" if state == "emptied" else "{}")
    if state in ("of another digest", "emptied"):
        digest = hashlib.sha256(safetensors(10)).hexdigest() if state == "emptied" else "0" * 64
        with (folder / "SHA256SUMS").open("a") as sums:
            sums.write(f"{digest}  rsitmd-lora/adapter_model.safetensors\n")
    need = Need("draw_captions", model, folder, "auto")
    (gap,) = weight_gaps([need], "make weights", Digests(tmp_path, 10))
    commands = [line.strip() for line in gap.problem.splitlines() if line.startswith("    ")]
    assert not gap.remedy, "make weights does not fetch an adapter"
    assert not [command for command in commands if "hf download" in command], "it would fetch the whole model again"
    assert "rsitmd-lora/rsitmd-lora" not in gap.problem
    if state != "without a digest":
        assert [command.split()[0] for command in commands] == ["curl", ".venv/bin/python", "(cd"]
        assert f"--output-dir {folder}/rsitmd-lora " in commands[0]
        assert f"{folder}/rsitmd-lora/adapter_model.safetensors" in commands[1]


def test_a_large_file_is_read_once_and_only_again_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "_SMALL_BYTES", 10)
    path = tmp_path / "x"
    path.write_bytes(b"a" * 100)
    first = Digests(tmp_path, 10)
    digest = first(path)
    first.save()
    assert (tmp_path / MEMORY).is_file() and digest == hashlib.sha256(b"a" * 100).hexdigest()
    again = Digests(tmp_path, -1)
    assert again(path) == digest and not again.unread
    path.write_bytes(b"b" * 101)
    assert again(path) == "" and again.unread == [path], (
        "without time to read it the file is unknown, not as remembered"
    )
    assert Digests(tmp_path, 10)(path) == hashlib.sha256(b"b" * 101).hexdigest()


@pytest.mark.parametrize(
    ("gpus", "n_processes", "words"),
    [
        ([], 1, "expected a GPU of 10.0 GB, found none (nvidia-smi names none)"),
        ([Gpu("small", 8.0)], 1, "1 process a GPU needs 10.0 GB, small has 8.0 GB"),
        ([Gpu("mid", 16.0)], 2, "2 processes a GPU need 20.0 GB, mid has 16.0 GB"),
        ([Gpu("mid", 16.0), Gpu("small", 8.0)], 2, "small has 8.0 GB"),
        ([Gpu("mid", 16.0), Gpu("mid", 16.0)], 2, ""),
        ([Gpu("mid", 16.0)], 1, ""),
        ([Gpu("unified", None)], 2, ""),
        ([Gpu("unified", None), Gpu("small", 8.0)], 1, "small has 8.0 GB"),
    ],
)
def test_a_gpu_that_is_missing_or_too_small_is_named(
    tmp_path: Path, gpus: list[Gpu], n_processes: int, words: str
) -> None:
    found = list(gpu_gaps([need(tmp_path)], Gpus(gpus), n_processes, "paper"))
    assert [gap.name for gap in found] == (["embed"] if words else [])
    assert all(words in gap.problem and gap.is_fatal and gap.remedy for gap in found)


def test_two_models_of_a_stage_share_a_gpu(tmp_path: Path) -> None:
    both = [need(tmp_path, "rank_captions"), need(tmp_path, "rank_captions")]
    assert next(gpu_gaps(both, Gpus([Gpu("mid", 16.0)]), 1, "paper")).name == "rank_captions"


def test_a_stage_on_a_cpu_needs_no_gpu(tmp_path: Path) -> None:
    assert list(gpu_gaps([need(tmp_path, device="cpu")], Gpus(()), 1, "paper")) == []


def test_the_models_of_profile_paper_are_found_by_the_stages_that_open_them() -> None:
    found = list(needs_of(load_settings("paper", [], STAGES), STAGES))
    by_stage = {(one.stage, one.model.name) for one in found if isinstance(one, Need)}
    assert by_stage == {
        ("embed_prompts", "clip-convnext-xxl"), ("embed", "clip-convnext-xxl"), ("score_detector", "rs-detector"),
        ("match_captions", "clip-convnext-xxl"),
        ("draw_captions", "blip2-opt-6.7b"), ("rank_captions", "clip-vit-h-14"), ("rank_captions", "clip-rn50x64"),
    }  # fmt: skip
    assert all(one.model.gpu_gb > 0 for one in found if isinstance(one, Need))


def test_a_setting_that_names_no_model_is_a_gap() -> None:
    found = list(needs_of(load_settings("paper", ["embed.model=clip-nowhere"], STAGES), STAGES))
    assert ["clip-nowhere" in gap.problem for gap in found if isinstance(gap, Gap)] == [True] * 3


@pytest.mark.parametrize(("profile", "named"), [("paper", ["light"]), ("workstation", ["light"]), ("light", [])])
def test_without_a_gpu_the_remedy_names_another_profile_whose_models_need_none(
    tmp_path: Path, profile: str, named: list[str]
) -> None:
    (gap,) = gpu_gaps([need(tmp_path)], Gpus(()), 1, profile)
    assert re.findall(r"PROFILE=(\w+)", gap.remedy) == named
    for one in named:
        settings = load_settings(one, [], STAGES)
        assert settings.params(STAGES[0]).halves == "pub11"  # type: ignore[attr-defined]
        stages = [stage for stage in STAGES if stage.module != "caption"]  # captions are of labelled corpora
        needs = [found for found in needs_of(settings, stages) if isinstance(found, Need)]
        assert needs and list(gpu_gaps(needs, Gpus(()), 1, one)) == []
