"""Every sample of RS3's released tars is listed, and kept or rejected with a reason; a bad tar stops no other."""

from pathlib import Path

import pyarrow.compute as pc
import pytest

from flows.run.executor import InlineExecutor
from flows.run.runner import StageFailure
from stages.contract import Reads
from tests.labelled_files import write_labelled_files
from tests.released_tars import Members, sample, write_release
from tests.small_build import SETTINGS, Build

FOLDER = "rs5mrs3"


def without(members: Members, ending: str) -> dict[str, bytes]:
    return {name: body for name, body in members.items() if name != ending}


@pytest.fixture
def listed(tmp_path: Path) -> Build:
    """A build of three tars up to its labelled images; one tar is truncated."""
    sources = tmp_path / "sources"
    good = sample("fmow_single-unit_residential_7_1_rgb.jpg", "a meta caption and a caption")
    write_release(
        sources / FOLDER / "train/rs3-train-0000.tar",
        [("1", good), ("2", sample("ben_12.jpg", "patch\0 of land")),
         ("3", sample("millionaid_P0000001.jpg", "x" * 10**5)),
         ("4", without(sample("ben_13.jpg"), "img_content")), ("5", without(sample("ben_14.jpg"), "caption")),
         ("ben_15", without(sample("ben_15.jpg"), "img_name")), ("a/b.c", sample("a/b.c")),
         ("6", sample("ben_16.jpg", b"\xff\xfe")), ("7", {"json": b"{}"}),
         ("8", sample("ben_17.jpg", "y" * ((1 << 20) + 1))), ("9", sample("ben_18.jpg", "  "))],
    )  # fmt: skip
    cut = write_release(sources / FOLDER / "train/rs3-train-0001.tar", [("1", sample("ben_20.jpg")), ("2", good)])
    cut.write_bytes(cut.read_bytes()[: cut.read_bytes().index(b"2.img_content") + 600])
    write_release(sources / FOLDER / "val/rs3-val-0000.tar", [("1", good), ("2", sample("ben_21.jpg"))])
    (sources / FOLDER / "train/README.md").write_text("about")
    build = Build(tmp_path / "build", sources, {**SETTINGS, "caption": {"texts": "released"}})
    build.run(InlineExecutor(), ("inventory", "labelled"))
    return build


def test_samples_are_read_from_their_tars(listed: Build) -> None:
    rows = {row["sample_id"]: row for row in listed.rows("labelled_image")}
    assert sorted(rows) == [
        "ben_12", "ben_18", "ben_20", "ben_21", "fmow_single-unit_residential_7_1_rgb", "millionaid_P0000001"
    ]  # fmt: skip
    view = rows["fmow_single-unit_residential_7_1_rgb"]
    assert view["corpus"] == "fmow" and view["labels"] == ["single-unit residential"]
    assert view["scene_id"] == "fmow_single-unit_residential_7"
    assert view["path"].endswith("train/rs3-train-0000.tar/fmow_single-unit_residential_7_1_rgb.jpg")
    assert rows["ben_12"]["released_caption"] == "patch\0 of land" and rows["ben_12"]["corpus"] == "ben"
    assert len(rows["millionaid_P0000001"]["released_caption"]) == 10**5
    for row in rows.values():
        data = (listed.sources / row["body_file"].removeprefix("sources:")).read_bytes()
        assert data[row["body_offset"] :][: row["n_bytes"]].startswith(b"\xff\xd8")


def test_bad_samples_have_reasons(listed: Build) -> None:
    reads = Reads("labelled_image", ("sample_id", "corpus", "reason", "detail"), is_whole=True, section="rejects")
    found = {row["sample_id"]: row for row in listed.ledger().read(reads).to_pylist()}
    assert {sample_id: row["reason"] for sample_id, row in found.items()} == {
        "ben_13": "missing_image", "ben_14": "missing_metadata", "ben_15": "missing_metadata",
        "rs5mrs3_train-0000-6": "bad_metadata", "ben_16": "bad_metadata", "ben_17": "bad_metadata",
        "rs5mrs3_val-0000-0": "named_again",
    }  # fmt: skip
    assert "no member caption" in found["ben_14"]["detail"] and found["ben_14"]["corpus"] == "ben"
    assert "'a/b.c'" in found["rs5mrs3_train-0000-6"]["detail"]
    passed = listed.ledger().read(
        Reads("source_listing", ("path", "reason", "detail"), is_whole=True, section="rejects")
    )
    by_path = {row["path"]: row for row in passed.to_pylist()}
    assert by_path[f"{FOLDER}/train/rs3-train-0001.tar"]["reason"] == "unreadable"
    assert "cut short" in by_path[f"{FOLDER}/train/rs3-train-0001.tar"]["detail"]
    assert by_path[f"{FOLDER}/train/rs3-train-0000.tar/7"]["reason"] == "unexpected_file"
    assert by_path[f"{FOLDER}/train/README.md"]["reason"] == "unexpected_file"


def test_a_changed_tar_only_makes_its_partition_stale(listed: Build) -> None:
    path = listed.sources / FOLDER / "val/rs3-val-0000.tar"
    write_release(path, [("2", sample("ben_21.jpg", "another text"))])
    watcher = listed.run(InlineExecutor(), ("inventory", "labelled"))
    assert watcher.n_due("read_labelled") == 1
    texts = {row["sample_id"]: row["released_caption"] for row in listed.rows("labelled_image")}
    assert texts["ben_21"] == "another text" and len(texts) == 6


def test_tars_and_the_corpora_of_their_samples_are_not_mixed(listed: Build) -> None:
    write_labelled_files(listed.sources, with_bands=False)
    with pytest.raises(StageFailure, match="rs5mrs3 has samples of other labelled corpora"):
        listed.run(InlineExecutor(), ("inventory",))
    assert pc.all(pc.equal(listed.ledger().read(Reads("source_file", ("corpus",), is_whole=True))["corpus"], FOLDER))
