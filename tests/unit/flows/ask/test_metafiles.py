import csv
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.ask.dataset_folder import DatasetFolder
from flows.ask.metafiles import add_metafiles, write_csv_files, write_parquet_files
from flows.ask.tars import tars
from schemas.corpora import load_corpora
from tests.small_build import Build

COLUMNS = {
    "relevant": ("vlm_score_cos", "detector_prob"),
    "cluster_member": ("cluster_id", "cluster_n_samples"),
    "split_group": ("group_key",),
    "candidate": ("nsfw", "punsafe", "pwatermark", "published_width_px", "published_height_px"),
    "shard": ("published_n_bytes", "published_format"),
}
OTHERS = ("width_px", "caption_sources", "places", "vlm_score_cos", "cluster_id", "group_key", "nsfw", "sample_id")


@pytest.fixture
def folder(finished: Build, tmp_path: Path) -> Iterator[Path]:
    """The metafiles of a finished build, published to their own folder."""
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


def test_a_metafile_states_scores_cluster_group_places_rights_and_sizes(finished: Build, folder: Path) -> None:
    known = {name: {row["sample_id"]: row for row in finished.rows(name)} for name in COLUMNS}
    places: dict[str, list[str]] = {}
    for row in sorted(finished.rows("place"), key=lambda row: (row["sample_id"], row["n"])):
        places.setdefault(row["sample_id"], []).extend([row["place"]] if row["place"] else [])
    rows = [row for half in ("pub11", "rs3") for row in pq.read_table(folder / f"{half}_metadata.parquet").to_pylist()]
    rights = {code: corpus.image_rights for code, corpus in load_corpora().items()}
    for row in rows:
        found = {table: of.get(row["sample_id"], {}) for table, of in known.items()}
        for table, names in COLUMNS.items():
            assert [row[n] for n in names] == [found[table].get(n) for n in names], table
        assert row["places"] == places.get(row["sample_id"], [])
        assert row["image_rights"] == rights[row["corpus"]]
        sources = ["meta"] if row["meta_caption"] else []
        assert row["caption_sources"] == [*sources, "web" if row["half"] == "pub11" else "generated"]
    assert len(rows) == len(known["shard"])
    assert any(row["cluster_n_samples"] > 1 for row in rows if row["cluster_id"])
    assert {row["half"] for row in rows if row["vlm_score_cos"] is None} == {"rs3"}


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
            assert reader.fieldnames is not None and reader.fieldnames[:4] == ["img_name", "text", origin, "corpus"]
            found += [(*(row[n] for n in ("img_name", "text", origin, "corpus", *OTHERS)), split) for row in reader]
    rows = [row for row in finished.rows("metafile") if row["half"] == half]
    assert sorted(found) == sorted(
        (
            *(row[name] for name in ("img_name", "published_text", origin, "corpus")),
            *(json.dumps(row[n]) if isinstance(row[n], list) else str(row[n] or "") for n in OTHERS),
            row["split"],
        )
        for row in rows
    )


def test_the_crosswalk_has_the_rows_of_all_source_files(finished: Build, folder: Path) -> None:
    table = pq.read_table(folder / "crosswalk.parquet")
    assert len(finished.ledger().state(finished.stage("write_crosswalk")).receipts) > 5
    assert {row["sample_id"] for row in table.to_pylist()} == {r["sample_id"] for r in finished.rows("crosswalk")}
    assert len(set(table["sample_id"].to_pylist())) == table.num_rows


def test_a_text_that_looks_like_a_formula_is_escaped_only_in_csv(tmp_path: Path) -> None:
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
