"""The published dataset: tars that open by the published loader's patterns, and images without private metadata."""

import csv
import hashlib
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from flows.demo.world.labelled import read_truth
from schemas.corpora import LABELLED_CODES


def _samples(build: Path, split: str) -> list[dict[str, bytes]]:
    tars = [str(build / "dataset" / split / f"{half}-{split}-{{0000..0001}}.tar") for half in ("pub11", "rs3")]
    found = [list(webdataset.WebDataset(name, shardshuffle=False, empty_check=False)) for name in tars]
    assert all(found), f"{split}: a half has no sample"
    return [sample for half in found for sample in half]


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_tars_open_by_brace_pattern_and_decode_to_the_three_members(demo: Path, split: str) -> None:
    samples = _samples(demo, split)
    assert len(samples) > 10
    for sample in samples:
        assert {"img_name", "img_content", "caption"} <= sample.keys()
        ending = ".jpg" if sample["__key__"].partition("_")[0] in LABELLED_CODES else ""
        assert sample["img_name"].decode() == sample["__key__"] + ending
        assert sample["caption"].decode().strip()
        Image.open(io.BytesIO(sample["img_content"])).load()


def test_the_splits_share_no_sample_and_contain_every_kept_one(demo: Path) -> None:
    train, val = ({s["__key__"] for s in _samples(demo, split)} for split in ("train", "val"))
    with (demo / "world" / "fates.csv").open(encoding="utf-8", newline="") as file:
        kept = {row["sample_id"] for row in csv.DictReader(file) if row["fate"] == "kept"}
    assert not train & val
    # Models decide on outliers; test_world_fates.py limits how many may differ.
    assert len((train | val) ^ kept) <= 0.02 * len(kept)
    with (demo / "world" / "labelled_truth.csv").open(encoding="utf-8", newline="") as file:
        scene_of = {row["sample_id"]: row["scene_id"] for row in csv.DictReader(file)}
    assert not {scene_of[s] for s in train & scene_of.keys()} & {scene_of[s] for s in val & scene_of.keys()}


def test_no_published_file_contains_a_position_or_a_date(demo: Path) -> None:
    n_with_exif_at_the_source = pq.read_table(_one(demo, "image"), columns=["exif_latitude_deg"]).num_rows
    assert n_with_exif_at_the_source
    located = 0
    for folder in demo.glob("image/*/*"):
        for file in folder.glob("*.kept.parquet"):
            located += sum(v is not None for v in pq.read_table(file)["exif_latitude_deg"].to_pylist())
    assert located > 0, "the world has no picture with a position, so this test shows nothing"
    for sample in (*_samples(demo, "train"), *_samples(demo, "val")):
        exif = Image.open(io.BytesIO(sample["img_content"])).getexif()
        assert not exif.get_ifd(0x8825), sample["__key__"]
        assert 306 not in exif and not exif.get_ifd(0x8769)


def test_the_metafile_names_every_published_sample_and_its_bytes(demo: Path) -> None:
    files = [demo / f"dataset/metafiles/{half}_metadata.parquet" for half in ("pub11", "rs3")]
    rows = {row["sample_id"]: row for file in files for row in pq.read_table(file).to_pylist()}
    samples = [*_samples(demo, "train"), *_samples(demo, "val")]
    assert len(samples) == len(rows)
    for sample in samples:
        row = rows[sample["__key__"]]
        assert hashlib.sha256(sample["img_content"]).hexdigest() == row["published_sha256"]
        assert sample["caption"].decode() == row["published_text"]


def test_positions_and_times_of_labelled_samples_are_the_true_ones(demo: Path) -> None:
    rows = {r["sample_id"]: r for r in pq.read_table(demo / "dataset/metafiles/rs3_metadata.parquet").to_pylist()}
    truth = {sample_id: row for sample_id, row in read_truth(demo / "world").items() if sample_id in rows}
    located = [row for row in truth.values() if row.latitude_deg is not None]
    assert len(located) > 50 and len(truth) == len(rows)
    for sample_id, row in truth.items():
        found = rows[sample_id]
        assert (found["latitude_deg"] is None) == (row.latitude_deg is None), sample_id
        if row.latitude_deg is not None and row.longitude_deg is not None:
            assert found["latitude_deg"] == pytest.approx(row.latitude_deg, abs=1e-4), sample_id
            assert (found["longitude_deg"] - row.longitude_deg + 180) % 360 - 180 == pytest.approx(0, abs=1e-4)
        assert (found["taken_at"] or "") == row.datetime, sample_id


def _one(build: Path, table: str) -> Path:
    return sorted(build.glob(f"{table}/*/*/*.kept.parquet"))[0]
