"""Missing and empty files are listed: by the model's list, by the index of its shards, by the shards' names."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.manifests import load_models
from stages.models.model_files import lacking_files

FILES = ("config.json", "*.json", "*.txt", "*.safetensors")
SHARDS = [f"model-0000{n}-of-00005.safetensors" for n in range(1, 6)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.json", "vocab.json"):
        (tmp_path / name).write_text("{}")
    for name in SHARDS:
        (tmp_path / name).write_bytes(b"weights")
    index = {"weight_map": {f"layer.{n}": name for n, name in enumerate(SHARDS)}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    return tmp_path


def test_a_whole_folder_lacks_nothing(folder: Path) -> None:
    assert lacking_files(folder, FILES) == []


@pytest.mark.parametrize("name", ["config.json", SHARDS[3], "model.safetensors.index.json"])
def test_a_deleted_file_is_listed(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert lacking_files(folder, FILES) == [name]


def test_an_emptied_file_is_listed(folder: Path) -> None:
    names = ["config.json", "model.safetensors.index.json", "vocab.json"]
    for name in names:
        (folder / name).write_bytes(b"")
    assert lacking_files(folder, FILES) == names


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}', "{}"])
def test_an_index_that_names_no_shards_is_listed(folder: Path, text: str) -> None:
    (folder / "model.safetensors.index.json").write_text(text)
    assert lacking_files(folder, FILES) == ["model.safetensors.index.json"]


def test_one_whole_file_needs_no_shards(folder: Path) -> None:
    for name in SHARDS:
        (folder / name).unlink()
    (folder / "model.safetensors").write_bytes(b"weights")
    assert lacking_files(folder, FILES) == []


def test_a_model_without_a_list_lacks_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "notes.json").write_bytes(b"")
    assert lacking_files(tmp_path, ()) == []


NEEDED: dict[str, Callable[[set[str]], bool]] = {
    "open_clip": lambda names: "open_clip_config.json" in names,
    "transformers": lambda names: {"config.json", "tokenizer.json", "preprocessor_config.json"} <= names,
}


def test_the_list_of_each_published_model_names_its_configuration() -> None:
    fetched = [model for model in load_models().values() if model.files]
    assert len(fetched) >= 6
    for model in fetched:
        assert NEEDED[model.library](set(model.files)), model.name
