"""Only safetensors with the pinned digests are loaded; each refusal says what to do."""

import hashlib
import pickle
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from schemas.manifests import Model
from stages.contract import InputError
from stages.models.convert_weights import convert
from stages.models.convert_weights import main as convert_in_child
from stages.models.weights import check_weights, small_files_digest, weights_digest

PUBLISHED = Model(
    name="clip-of-ours", task="scorer", library="open_clip", repository="someone/clip", revision="1" * 40,
    precision="float32", licence="MIT", how_to_get="hf download someone/clip --local-dir {folder}",
    date_checked=date(2026, 1, 1),
)  # fmt: skip


def _write(folder: Path, name: str = "model.safetensors", value: float = 1.0) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"weight": np.full(3, value, np.float32)}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pin(**changes: object) -> Model:
    return PUBLISHED.model_copy(update=changes)


def test_the_pinned_digest_is_accepted(tmp_path: Path) -> None:
    digest = _write(tmp_path)
    check_weights(_pin(weights_sha256=digest), tmp_path)
    assert weights_digest(tmp_path) == digest


def test_several_files_have_one_digest_that_changes_with_each(tmp_path: Path) -> None:
    _write(tmp_path, "a.safetensors")
    _write(tmp_path, "lora/b.safetensors")
    (tmp_path / "lora/adapter_config.json").write_text("{}")
    digest = weights_digest(tmp_path)
    check_weights(_pin(weights_sha256=digest, adapter="lora"), tmp_path)
    _write(tmp_path, "lora/b.safetensors", 2.0)
    with pytest.raises(InputError, match=f"expected weights with sha256 {digest}, found [0-9a-f]{{64}}"):
        check_weights(_pin(weights_sha256=digest), tmp_path)


def test_the_digests_of_a_folder_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{_write(tmp_path)}  ./model.safetensors\n")
    check_weights(PUBLISHED, tmp_path)


def test_a_wrong_digest_is_refused_with_both_digests_and_the_remedy(tmp_path: Path) -> None:
    found = _write(tmp_path)
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64} *model.safetensors\n")
    with pytest.raises(InputError) as refused:
        check_weights(PUBLISHED, tmp_path)
    for word in ("0" * 64, found, "hf download someone/clip", "1" * 40, "SHA256SUMS"):
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        (None, "SHA256SUMS is missing"),
        ("", "does not name model.safetensors"),
        ("nonsense", "should have lines"),
        ("{digest}  model.safetensors\n{digest}  config.json\n", "config.json: expected .* found no file"),
    ],
)
def test_weights_without_a_digest_are_refused(tmp_path: Path, sums: str | None, message: str) -> None:
    digest = _write(tmp_path)
    if sums is not None:
        (tmp_path / "SHA256SUMS").write_text(sums.format(digest=digest))
    with pytest.raises(InputError, match=message):
        check_weights(PUBLISHED, tmp_path)


def test_a_missing_folder_names_repository_revision_and_command(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        check_weights(PUBLISHED, tmp_path / "absent")
    for word in ("someone/clip", "1" * 40, f"--local-dir {tmp_path / 'absent'}"):
        assert word in str(refused.value)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected safetensors in .*, found none"):
        check_weights(PUBLISHED, tmp_path)


@pytest.mark.parametrize(("task", "command"), [("scorer", "convert_weights"), ("detector", "convert_detector")])
def test_a_pickle_is_refused_with_the_command_that_converts_it(tmp_path: Path, task: str, command: str) -> None:
    (tmp_path / "model.pt").write_bytes(pickle.dumps({}))
    with pytest.raises(InputError, match=rf"model\.pt, a pickle, .*{command}"):
        check_weights(_pin(task=task), tmp_path)


def test_a_pickled_adapter_is_refused(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora/adapter_model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(InputError, match=r"adapter_model\.bin, a pickle"):
        check_weights(_pin(adapter="lora"), tmp_path)


@pytest.mark.parametrize("data", [pickle.dumps({"weight": 1}), b"", b"short", b"\xff" * 64, b"PK\x03\x04" + b"\0" * 90])
def test_other_content_under_the_name_of_safetensors_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(InputError, match="should be safetensors"):
        check_weights(PUBLISHED, tmp_path)


def test_the_digest_of_configuration_excludes_weights_and_texts(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    first = small_files_digest(tmp_path)
    _write(tmp_path, value=2.0)
    (tmp_path / "README.md").write_text("words")
    assert small_files_digest(tmp_path) == first
    (tmp_path / "config.json").write_text("{ }")
    assert small_files_digest(tmp_path) != first


def test_a_pickle_of_tensors_is_converted(tmp_path: Path) -> None:
    shared = torch.arange(3.0)
    torch.save({"a": shared, "b": shared}, tmp_path / "good.bin")
    assert convert_in_child([str(tmp_path / "good.bin"), str(tmp_path / "good.safetensors")]) == 0
    assert load_file(tmp_path / "good.safetensors")["b"].tolist() == [0, 1, 2]


def test_a_pickle_with_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    torch.save({"a": _Evil(tmp_path / "ran")}, tmp_path / "evil.bin")
    with pytest.raises(InputError, match="cannot be read by allow-list"):
        convert(tmp_path / "evil.bin", tmp_path / "evil.safetensors")
    assert not (tmp_path / "ran").exists()


def test_a_result_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "in.bin").write_bytes(b"")
    (tmp_path / "out.safetensors").write_bytes(b"kept")
    assert convert_in_child([str(tmp_path / "in.bin"), str(tmp_path / "out.safetensors")]) == 2
    assert (tmp_path / "out.safetensors").read_bytes() == b"kept"


class _Evil:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._path,)
