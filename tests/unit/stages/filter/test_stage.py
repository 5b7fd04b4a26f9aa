"""The filter reads its partition's source file and companions, and refuses changed files."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from schemas.manifests import load_keywords
from schemas.tables import SOURCE_LISTING
from stages.contract import Context, InputError, Outcome, no_rejects
from stages.filter.stage import FILTER, FilterParams, filter_captions
from stages.inventory.stage import ListingParams, list_sources
from stages.refusals import check_counts

LABELS = "cc3m/Image_Labels_Subset_Train_GCC-Labels-training.tsv"
PHOTO = b"\t".join([b"7", *[b""] * 5, b"aerial+view", *[b""] * 7, b"http://a/7.jpg", *[b""] * 8]) + b"\n"


def write(sources: Path, path: str, data: bytes) -> None:
    (sources / path).parent.mkdir(parents=True, exist_ok=True)
    (sources / path).write_bytes(data)


def listing(sources: Path) -> pa.Table:
    empty = {
        "source_listing": SOURCE_LISTING.schema.empty_table(),
        "source_listing_rejects": no_rejects(SOURCE_LISTING),
    }
    return list_sources(empty, Context("000", ListingParams(), None, {}, None, sources)).kept  # type: ignore[arg-type]


def run(sources: Path, partition: str, listed: pa.Table) -> Outcome:
    params = FilterParams()
    context = Context(partition, params, None, {"keywords": load_keywords()}, None, sources)  # type: ignore[arg-type]
    rows = listed.filter(pc.equal(listed["partition"], partition))
    outcome = filter_captions({"source_listing": rows}, context)
    check_counts(FILTER, outcome)
    return outcome


def test_tags_come_from_the_label_file_which_does_not_change_the_counts(tmp_path: Path) -> None:
    write(tmp_path, "cc3m/GCC-training.tsv", b"Landsat a\thttp://a/1\na cat\thttp://a/2\n")
    alone = run(tmp_path, "cc3m-00000", listing(tmp_path))
    write(tmp_path, LABELS, b"x\thttp://a/1\tlake\t/m/1\t0.9\ny\thttp://a/2\tcat\t/m/2\t0.9\nz\thttp://a/3\t\t\t\n")
    outcome = run(tmp_path, "cc3m-00000", listing(tmp_path))
    assert alone.kept["machine_tags"].to_pylist() == [None]
    assert outcome.kept["machine_tags"].to_pylist() == [["lake"]]
    assert outcome.counts == alone.counts and outcome.counts is not None and outcome.counts["given"] == 2


def test_photos_need_their_list(tmp_path: Path) -> None:
    write(tmp_path, "yfcc15m/yfcc100m_dataset-3", PHOTO)
    with pytest.raises(InputError, match=r"the one list of its samples beside .*found 0 .*yfcc100m_subset_data"):
        run(tmp_path, "yfcc15m-00000", listing(tmp_path))
    write(tmp_path, "yfcc15m/yfcc100m_subset_data.tsv", b"0\t7\tab\n1\t8\tcd\n")
    outcome = run(tmp_path, "yfcc15m-00000", listing(tmp_path))
    assert [(row["sample_id"], row["part"], row["caption"]) for row in outcome.kept.to_pylist()] == [
        ("yfcc15m_7", 3, "aerial view")
    ]
    assert outcome.counts is not None and outcome.counts["no_metadata_row"] == 1


@pytest.mark.parametrize("path", ["cc3m/GCC-training.tsv", LABELS])
def test_a_file_of_the_partition_that_changed_is_refused(tmp_path: Path, path: str) -> None:
    write(tmp_path, "cc3m/GCC-training.tsv", b"Landsat a\thttp://a/1\n")
    write(tmp_path, LABELS, b"x\thttp://a/1\tlake\t/m/1\t0.9\n")
    listed = listing(tmp_path)
    os.utime(tmp_path / path, ns=(1, 1))
    with pytest.raises(InputError, match=f"{path} has changed since inventory"):
        run(tmp_path, "cc3m-00000", listed)


@pytest.mark.parametrize("lost", ["cc3m/GCC-training.tsv", LABELS, "cc3m"])
def test_a_file_that_is_gone_is_missing_not_changed(tmp_path: Path, lost: str) -> None:
    sources = tmp_path / "sources"
    write(sources, "cc3m/GCC-training.tsv", b"Landsat a\thttp://a/1\n")
    write(sources, LABELS, b"x\thttp://a/1\tlake\t/m/1\t0.9\n")
    listed = listing(sources)
    (sources / lost).rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"is missing .* mount or restore it and run the command again") as caught:
        run(sources, "cc3m-00000", listed)
    assert "inventory`" not in str(caught.value), "listing again would drop the file"


def test_an_invalid_label_file_is_damaged_and_the_rows_are_kept(tmp_path: Path) -> None:
    write(tmp_path, "cc3m/GCC-training.tsv", b"Landsat a\thttp://a/1\n")
    write(tmp_path, LABELS, b"Landsat a\thttp://a/1\n")
    outcome = run(tmp_path, "cc3m-00000", listing(tmp_path))
    assert outcome.counts is not None and (outcome.counts["given"], outcome.counts["wrong_columns"]) == (2, 1)
    assert outcome.kept["machine_tags"].to_pylist() == [None]
    (reject,) = outcome.rejects.to_pylist()
    assert reject["path"] == LABELS and "expected 5 fields a line" in reject["detail"]
