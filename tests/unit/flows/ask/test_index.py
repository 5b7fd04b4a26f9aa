"""With the index each member of the published tars can be read without a tar reader."""

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.ask.dataset_folder import DatasetFolder
from flows.ask.index import INDEX, add_index
from flows.ask.tars import add_tars
from schemas.index_table import INDEX_SCHEMA
from stages.shard.tar_writer import TarWriter
from tests.small_build import Build

MEMBERS = ("image", "text", "extra")


@pytest.fixture(scope="module")
def dataset(finished: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = DatasetFolder(tmp_path_factory.mktemp("published") / "dataset", None)
    add_tars(finished.ledger(), folder)
    add_index(finished.ledger(), folder)
    return folder.path


def read(dataset: Path, row: dict[str, Any], member: str) -> bytes:
    with (dataset / row["tar"]).open("rb") as file:
        file.seek(row[f"{member}_offset"])
        return file.read(row[f"{member}_n_bytes"])


def test_every_member_of_every_tar_is_in_the_index_with_its_location(finished: Build, dataset: Path) -> None:
    table = pq.read_table(dataset / INDEX)
    assert table.schema.equals(INDEX_SCHEMA)
    stated = {
        (row["tar"], f"{row['tar_key']}.{row[f'{member}_member']}"): (
            row[f"{member}_offset"],
            row[f"{member}_n_bytes"],
        )
        for row in table.to_pylist()
        for member in MEMBERS
    }
    found = {}
    for path in dataset.rglob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                found[path.relative_to(dataset).as_posix(), member.name] = (member.offset_data, member.size)
    assert stated == found and len(found) == 2 * 3 * len(finished.rows("shard")) > 100


def test_members_read_by_the_index_have_the_samples_digest_and_text(finished: Build, dataset: Path) -> None:
    texts = {row["sample_id"]: row["published_text"] for row in finished.rows("shard_plan")}
    names = {row["sample_id"]: row["img_name"] for row in finished.rows("shard_plan")}
    rows = pq.read_table(dataset / INDEX).to_pylist()
    assert {(row["layout"], row["sample_id"]) for row in rows} == {(x, y) for x in ("rs5m", "pairs") for y in texts}
    for row in rows:
        assert hashlib.sha256(read(dataset, row, "image")).hexdigest() == row["image_sha256"]
        assert read(dataset, row, "text").decode() == texts[row["sample_id"]]
        extra = read(dataset, row, "extra").decode()
        if row["layout"] == "rs5m":
            assert extra == names[row["sample_id"]]
        else:
            assert json.loads(extra)["sample_id"] == row["sample_id"]


def test_a_single_layout_is_indexed_without_empty_tars(finished: Build, tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path / "published", None)
    add_index(finished.with_settings(shard={"layouts": []}).ledger(), folder)
    assert not (folder.path / INDEX).exists() and folder.files() == []


@pytest.mark.parametrize("key", ["a", "k" * 95, "k" * 300, "über"])
def test_offsets_are_correct_after_extended_headers(key: str, tmp_path: Path) -> None:
    members = {"jpg": b"J" * 700, "json": b"{}", "txt": "é".encode()}
    path = tmp_path / "a.tar"
    with path.open("wb") as file, TarWriter(file) as writer:
        places = [writer.write(f"{key}{n}", members) for n in range(3)]
    data = path.read_bytes()
    for place in places:
        assert {name: data[place[name] : place[name] + len(body)] for name, body in members.items()} == members
