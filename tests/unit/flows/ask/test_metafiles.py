import csv
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.ask.dataset_folder import DatasetFolder
from flows.ask.metafiles import add_metafiles, write_csv_files, write_parquet_files
from flows.ask.tars import tars
from tests.small_build import Build


@pytest.fixture
def folder(finished: Build, tmp_path: Path) -> Iterator[Path]:
    """The metafiles of a finished build, published into a folder of their own."""
    made = DatasetFolder(tmp_path / "published", None)
    add_metafiles(finished.ledger(), made)
    yield made.path / "metafiles"


@pytest.mark.parametrize("half", ["pub11", "rs3"])
def test_a_metafile_has_the_rows_of_all_tars_in_their_order(finished: Build, folder: Path, half: str) -> None:
    table = pq.read_table(folder / f"{half}_metadata.parquet")
    rows = {row["sample_id"]: row for row in finished.rows("metafile") if row["half"] == half}
    assert table.schema.equals(finished.stage("write_metafile").writes.schema)
    assert table["shard"].to_pylist() == sorted(table["shard"].to_pylist())
    assert {row["sample_id"]: row for row in table.to_pylist()} == rows and len(rows) == table.num_rows > 5


def test_rows_are_in_the_order_of_the_samples_in_the_tars(finished: Build, folder: Path) -> None:
    by_tar = {name.split("/")[1].removesuffix(".tar"): path for name, path in tars(finished.ledger()).items()}
    expected = []
    for shard in sorted(name for name in by_tar if name.startswith("pub11")):
        with tarfile.open(by_tar[shard]) as tar:
            expected += [name.split(".")[0] for name in tar.getnames() if name.endswith(".img_name")]
    assert pq.read_table(folder / "pub11_metadata.parquet")["sample_id"].to_pylist() == expected


@pytest.mark.parametrize(("half", "origin"), [("pub11", "url"), ("rs3", "path")])
def test_the_csv_of_a_split_has_the_published_columns(finished: Build, folder: Path, half: str, origin: str) -> None:
    found = []
    for split in ("train", "val"):
        with (folder / f"{half}_{split}_metadata.csv").open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            assert reader.fieldnames == ["img_name", "text", origin, "corpus"]
            found += [(row["img_name"], row["text"], row[origin], row["corpus"], split) for row in reader]
    rows = [row for row in finished.rows("metafile") if row["half"] == half]
    assert sorted(found) == sorted(
        (row["img_name"], row["published_text"], row[origin], row["corpus"], row["split"]) for row in rows
    )


def test_the_crosswalk_has_the_rows_of_all_source_files(finished: Build, folder: Path) -> None:
    table = pq.read_table(folder / "crosswalk.parquet")
    assert len(finished.ledger().state(finished.stage("write_crosswalk")).receipts) > 5
    assert {row["sample_id"] for row in table.to_pylist()} == {r["sample_id"] for r in finished.rows("crosswalk")}
    assert len(set(table["sample_id"].to_pylist())) == table.num_rows


def test_a_text_that_looks_like_a_formula_is_escaped_in_csv_alone(tmp_path: Path) -> None:
    texts = ["=cmd|' /C calc'!A0", 'two\nlines, "quoted"', ""]
    schema = pa.schema([("published_text", pa.string()), ("corpus", pa.string())])
    pq.write_table(pa.table([texts, ["cc3m"] * 3], schema=schema), tmp_path / "a.parquet")
    write_csv_files([tmp_path / "a.parquet"], schema, tmp_path / "a.csv")
    write_parquet_files([tmp_path / "a.parquet"] * 2, schema, tmp_path / "b.parquet")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == ["'" + texts[0], *texts[1:]]
    written = pq.ParquetFile(tmp_path / "b.parquet")
    assert written.read()["published_text"].to_pylist() == texts * 2
    assert written.num_row_groups == 2
