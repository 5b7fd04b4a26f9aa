"""Weights are fetched from a loopback hub, resumed and compared; without a hub the needed files are named."""

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx2
import pytest

from flows.preflight.fetch import COMMIT as COMMIT_FILE
from flows.preflight.fetch import fetch_models, what_to_put_where
from flows.preflight.models import Need
from schemas.manifests import Model, load_models
from stages.contract import InputError
from stages.models.model_files import lacking_files
from stages.models.weights import check_weights
from tests.unit.flows.preflight.hub import COMMIT, Hub, safetensors, serve

MODEL = Model(
    name="some-clip", task="scorer", library="open_clip", repository="someone/clip", revision="main",
    precision="float32", licence="MIT", files=("open_clip_config.json", "*.safetensors"), weights_note="no commit",
    weights_sha256="", gpu_gb=0.0, download_gb=0.01,
    how_to_get=".venv/bin/hf download someone/clip --local-dir {folder}",
    date_checked=date(2026, 1, 1),
)  # fmt: skip
WEIGHTS = {f"model-{n}-of-5.safetensors": safetensors(26_000_000 if n == 2 else 20_000, n) for n in range(1, 6)}
FILES = {"open_clip_config.json": b"{}", **WEIGHTS, "model.bin": b"a pickle", "README.md": b"words"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(Hub("someone/clip", dict(FILES))) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        yield served


def fetch(folder: Path) -> list[tuple[str, str]]:
    return list(fetch_models([Need("embed", MODEL, folder, "cpu")]))


def test_a_model_is_fetched_compared_and_pinned(hub: Hub, tmp_path: Path) -> None:
    lines = fetch(tmp_path / "some-clip")
    assert not [text for text, style in lines if style == "red"]
    folder = tmp_path / "some-clip"
    check_weights(MODEL, folder)
    assert {path.name for path in folder.iterdir() if path.is_file()} >= {*WEIGHTS, "open_clip_config.json"}
    assert not (folder / "model.bin").exists()
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in WEIGHTS.items()}
    assert (folder / COMMIT_FILE).read_text().split() == ["someone/clip", COMMIT]
    assert any(f'revision = "{COMMIT}"' in text for text, _ in lines)
    hub.sent.clear()
    assert fetch(folder) == [(f"some-clip: ready in {folder}", "")] and not hub.sent


def test_an_interrupted_fetch_continues_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    large = "model-2-of-5.safetensors"
    hub.cut = large
    folder = tmp_path / "some-clip"
    cut = [text for text, style in fetch(folder) if style == "red"]
    assert any("not fetched" in text for text in cut)
    assert "run the same command again" in cut[-1] and "network" not in cut[-1]
    assert not (folder / "SHA256SUMS").exists()
    n_before, hub.cut, hub.is_down = hub.sent[large], "", False
    hub.starts.clear()
    assert not [text for text, style in fetch(folder) if style == "red"]
    check_weights(MODEL, folder)
    assert n_before > 0
    assert [name for name, _ in hub.starts if name == "model-1-of-5.safetensors"] == []
    assert min(start for name, start in hub.starts if name == large) > 0, "the fetch started again"
    assert hub.revisions[-1] == COMMIT, "a fetch of main continues with its first commit"


@pytest.mark.parametrize("n_cut", [1, 2])
def test_a_hub_that_ignores_ranges_costs_a_new_beginning_and_damages_no_file(
    hub: Hub, tmp_path: Path, n_cut: int
) -> None:
    large, folder = "model-2-of-5.safetensors", tmp_path / "some-clip"
    hub.has_ranges = False
    for _ in range(n_cut):
        hub.cut = large
        assert any("not fetched" in text for text, style in fetch(folder) if style == "red")
        assert not (folder / large).exists() and not (folder / "SHA256SUMS").exists()
        hub.cut, hub.is_down = "", False
    assert not [text for text, style in fetch(folder) if style == "red"]
    check_weights(MODEL, folder)
    assert (folder / large).read_bytes() == WEIGHTS[large]


def test_one_damaged_file_of_five_is_named_and_fetched_again(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "some-clip"
    fetch(folder)
    damaged = folder / "model-4-of-5.safetensors"
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(bytes(data))
    hub.starts.clear()
    assert not [text for text, style in fetch(folder) if style == "red"]
    assert [name for name, _ in hub.starts] == [damaged.name]
    check_weights(MODEL, folder)


@pytest.mark.parametrize("damage", ["deleted", "emptied", "one shard deleted"])
def test_an_incomplete_model_is_not_ready_and_is_completed(hub: Hub, tmp_path: Path, damage: str) -> None:
    hub.files["model.safetensors.index.json"] = json.dumps({"weight_map": dict(enumerate(WEIGHTS))}).encode()
    hub.files["tokenizer.json"] = b"{}"
    model = MODEL.model_copy(update={"files": ("open_clip_config.json", "*.json", "*.safetensors")})
    need, folder = Need("embed", model, tmp_path / "some-clip", "cpu"), tmp_path / "some-clip"
    list(fetch_models([need]))
    match damage:
        case "deleted":
            (folder / "open_clip_config.json").unlink()
        case "emptied":
            (folder / "tokenizer.json").write_bytes(b"")
        case _:
            (folder / "SHA256SUMS").unlink()
            (folder / "model-3-of-5.safetensors").unlink()
    with pytest.raises(InputError):
        check_weights(model, folder)
    hub.starts.clear()
    assert not [text for text, style in fetch_models([need]) if style == "red"]
    assert len(hub.starts) == 1
    assert not lacking_files(folder, model.files)
    assert list(fetch_models([need])) == [(f"some-clip: ready in {folder}", "")]


def test_the_recorded_digest_of_an_adapter_is_kept(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "some-clip"
    fetch(folder)
    (folder / "lora").mkdir()
    (folder / "lora" / "adapter_config.json").write_text("{}")
    (folder / "lora" / "adapter.safetensors").write_bytes(safetensors(10))
    digest = hashlib.sha256(safetensors(10)).hexdigest()
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(f"{digest}  lora/adapter.safetensors\n")
    (folder / "model-1-of-5.safetensors").unlink()
    assert not [text for text, style in fetch(folder) if style == "red"]
    assert (folder / "SHA256SUMS").read_text().count("lora/adapter.safetensors") == 1
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == 6
    check_weights(MODEL, folder)


def test_a_fetched_file_with_another_digest_is_not_pinned(hub: Hub, tmp_path: Path) -> None:
    described = hub.describe()
    hub.describe = lambda: described  # type: ignore[method-assign]
    hub.files["model-3-of-5.safetensors"] = safetensors(20_000, 99)
    red = [text for text, style in fetch(tmp_path / "some-clip") if style == "red"]
    assert "model-3-of-5.safetensors has another size or digest" in red[0]
    assert not (tmp_path / "some-clip" / "SHA256SUMS").exists()


def test_a_small_file_is_compared_with_the_hubs_digest_too(hub: Hub, tmp_path: Path) -> None:
    described = hub.describe()
    hub.describe = lambda: described  # type: ignore[method-assign]
    hub.files["open_clip_config.json"] = b"[]"
    red = [text for text, style in fetch(tmp_path / "some-clip") if style == "red"]
    assert "open_clip_config.json has another size or digest" in red[0]
    assert not (tmp_path / "some-clip" / "open_clip_config.json").exists()


def test_a_second_fetch_waits_for_the_first_and_fetches_nothing(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "some-clip"
    first, second = (fetch_models([Need("embed", MODEL, folder, "cpu")]) for _ in range(2))
    before = [next(first)[0] for _ in range(3)]
    assert "open_clip_config.json" in before[1] and not (folder / "SHA256SUMS").exists()
    assert "fetching" in next(second)[0] and "waiting for another `make weights`" in next(second)[0]
    rest: list[tuple[str, str]] = []
    thread = threading.Thread(target=lambda: rest.extend(second))
    thread.start()
    assert not [text for text, style in first if style == "red"]
    thread.join(timeout=60)
    assert not thread.is_alive() and rest == [(f"some-clip: ready in {folder}", "")]
    assert sorted(name for name, _ in hub.starts) == sorted({name for name, _ in hub.starts}), "no file came twice"
    check_weights(MODEL, folder)


@pytest.mark.parametrize("n_more", [-10, 1, 100])
def test_a_partial_file_longer_than_the_real_one_is_begun_again(hub: Hub, tmp_path: Path, n_more: int) -> None:
    folder, name = tmp_path / "some-clip", "model-3-of-5.safetensors"
    folder.mkdir()
    data = WEIGHTS[name]
    partial = folder / f"{name}.{hashlib.sha256(data).hexdigest()[:12]}.incomplete"
    partial.write_bytes((data + b"x" * 100)[: len(data) + n_more])
    assert not [text for text, style in fetch(folder) if style == "red"]
    assert (name, 0 if n_more > 0 else len(data) - 10) in hub.starts and not partial.exists()
    check_weights(MODEL, folder)


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "check repository someone/clip"), (403, "HF_TOKEN"), (503, "cannot answer now"), (418, "")],
)
def test_an_answer_of_the_hub_is_not_taken_for_a_missing_network(
    hub: Hub, tmp_path: Path, status: int, words: str
) -> None:
    hub.status = status
    red = "\n".join(text for text, style in fetch(tmp_path / "some-clip") if style == "red")
    assert "not fetched" in red and words in red and "network" not in red


def test_a_connection_that_is_lost_in_a_file_is_not_taken_for_a_missing_network(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stall(*_: object, **__: object) -> None:
        raise httpx2.ReadTimeout("the read operation timed out")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", stall)
    red = "\n".join(text for text, style in fetch(tmp_path / "some-clip") if style == "red")
    assert "the connection was lost: run the same command again" in red and "network" not in red


def test_a_folder_that_cannot_be_written_is_not_taken_for_a_missing_network(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    red = "\n".join(text for text, style in fetch(tmp_path / "models" / "some-clip") if style == "red")
    assert "not fetched" in red and "run the same command again" in red and "network" not in red


def test_a_repository_of_pickles_is_refused(hub: Hub, tmp_path: Path) -> None:
    for name in WEIGHTS:
        del hub.files[name]
    red = [text for text, style in fetch(tmp_path / "some-clip") if style == "red"]
    assert f"commit {COMMIT} of someone/clip has no safetensors" in red[0]


def test_without_a_network_the_needed_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    folder = tmp_path / "some-clip"
    red = "\n".join(text for text, style in fetch(folder) if style == "red")
    for words in ("not fetched", "hf download someone/clip --local-dir some-clip", "0.01 GB", str(folder)):
        assert words in red


def test_without_a_network_commands_of_this_repository_are_for_this_machine(tmp_path: Path) -> None:
    folder = tmp_path / "blip2-opt-6.7b"
    there, _, here = what_to_put_where(load_models()["blip2-opt-6.7b"], folder).partition("then run here:\n")
    assert ".venv" not in there and "    hf download Salesforce/blip2-opt-6.7b" in there and "    curl " in there
    assert [line.split()[0] for line in here.splitlines()] == [".venv/bin/python", "(cd"]
    assert f"{folder}/rsitmd-lora/adapter_model.bin {folder}/rsitmd-lora/adapter_model.safetensors" in here


def test_a_model_without_such_commands_is_only_copied(tmp_path: Path) -> None:
    said = what_to_put_where(MODEL, tmp_path / "some-clip")
    assert "run here" not in said and said.endswith(f"to {tmp_path / 'some-clip'}")
