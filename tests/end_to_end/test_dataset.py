"""What is published: tars that the published loader's patterns open, and files without private metadata."""

import csv
import hashlib
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from tests.end_to_end.runs import assert_identical, copy_world, run


def _samples(build: Path, split: str) -> list[dict[str, bytes]]:
    tars = str(build / "dataset" / split / f"pub11-{split}-{{0000..0001}}.tar")
    return list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False))


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_tars_open_by_brace_pattern_and_decode_to_the_three_members(demo: Path, split: str) -> None:
    samples = _samples(demo, split)
    assert len(samples) > 10
    for sample in samples:
        assert {"img_name", "img_content", "caption"} <= sample.keys()
        assert sample["img_name"].decode() == sample["__key__"]
        assert sample["caption"].decode().strip()
        Image.open(io.BytesIO(sample["img_content"])).load()


def test_the_splits_share_no_sample_and_hold_every_kept_one(demo: Path) -> None:
    train, val = ({s["__key__"] for s in _samples(demo, split)} for split in ("train", "val"))
    with (demo / "world" / "fates.csv").open(encoding="utf-8", newline="") as file:
        kept = {row["sample_id"] for row in csv.DictReader(file) if row["fate"] == "kept"}
    assert not train & val
    assert train | val == kept


def test_no_published_file_holds_a_position_or_a_date(demo: Path) -> None:
    n_with_exif_at_the_source = pq.read_table(_one(demo, "image"), columns=["exif_latitude_deg"]).num_rows
    assert n_with_exif_at_the_source
    located = 0
    for folder in demo.glob("image/*/*"):
        for file in folder.glob("*.kept.parquet"):
            located += sum(v is not None for v in pq.read_table(file)["exif_latitude_deg"].to_pylist())
    assert located > 0, "the world has no picture with a position: this test would prove nothing"
    for sample in (*_samples(demo, "train"), *_samples(demo, "val")):
        exif = Image.open(io.BytesIO(sample["img_content"])).getexif()
        assert not exif.get_ifd(0x8825), sample["__key__"]
        assert 306 not in exif and not exif.get_ifd(0x8769)


def test_the_metafile_names_every_published_sample_and_its_bytes(demo: Path) -> None:
    rows = {r["sample_id"]: r for r in pq.read_table(demo / "dataset/metafiles/pub11_metadata.parquet").to_pylist()}
    samples = [*_samples(demo, "train"), *_samples(demo, "val")]
    assert len(samples) == len(rows)
    for sample in samples:
        row = rows[sample["__key__"]]
        assert hashlib.sha256(sample["img_content"]).hexdigest() == row["published_sha256"]
        assert sample["caption"].decode() == row["published_text"]


def test_a_rebuild_elsewhere_is_identical(small_world: Path, small_build: Path, tmp_path: Path) -> None:
    build = tmp_path / "again"
    copy_world(small_world, build)
    words = ("--set", "run.workers=1", "--set", "download.urls_per_partition=40", "--set", "download.n_threads=9")
    assert run("build", "--build", build, *words).returncode == 0
    assert_identical(build, small_build)


def _one(build: Path, table: str) -> Path:
    return sorted(build.glob(f"{table}/*/*/*.kept.parquet"))[0]
