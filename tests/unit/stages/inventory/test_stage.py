import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flows.run.executor import InlineExecutor
from schemas.corpora import load_corpora
from schemas.tables import SOURCE_LISTING
from stages.contract import Context, InputError, Outcome, no_rejects
from stages.inventory.hashing import hash_files
from stages.inventory.stage import ListingParams, list_sources, reader_digest
from tests.small_build import Build, write_sources


@dataclass
class Look:
    """A SOURCES folder and its listing so far."""

    sources: Path
    before: pa.Table = field(default_factory=SOURCE_LISTING.schema.empty_table)
    rejects: pa.Table = field(default_factory=lambda: no_rejects(SOURCE_LISTING))

    def write(self, path: str, data: bytes = b"x\ty\n") -> Path:
        target = self.sources / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return target

    def again(self, *corpora: str) -> Outcome:
        inputs = {"source_listing": self.before, "source_listing_rejects": self.rejects}
        outcome = list_sources(inputs, context(self.sources, ListingParams(corpora=corpora)))
        if outcome.kept.num_rows:
            self.before, self.rejects = outcome.kept, outcome.rejects
        return outcome

    def hashes(self) -> Outcome:
        return hash_files({"source_listing": self.before}, context(self.sources, None))


def context(sources: Path, params: Any) -> Context:
    return Context("000", params, None, {}, None, sources)  # type: ignore[arg-type]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    found = Look(tmp_path / "sources")
    found.write("cc3m/GCC-training.tsv")
    return found


def rejects(outcome: Outcome) -> set[tuple[str, str]]:
    return {(row["path"], row["reason"]) for row in outcome.rejects.to_pylist()}


def paths_of(outcome: Outcome) -> list[str]:
    return outcome.kept["path"].to_pylist()


def test_files_left_out_are_named_with_a_reason(look: Look) -> None:
    look.write("flickr30k/a.json")
    look.write("cc3m/notes.txt")
    look.write("coyo700m/part-00003-x.parquet")
    look.write("cc3m/.hidden")
    look.write("cc3m/SHA256SUMS", b"")
    look.write("loose-file")
    outcome = look.again("cc3m")
    assert paths_of(outcome) == ["cc3m/GCC-training.tsv"]
    assert rejects(outcome) == {
        ("flickr30k", "no_reader"), ("coyo700m", "left_out"), ("cc3m/notes.txt", "unexpected_file"),
        ("cc3m/.hidden", "hidden_file"), ("cc3m/SHA256SUMS", "checksum_list"), ("loose-file", "loose_file"),
    }  # fmt: skip


def test_an_empty_file_is_skipped_and_stops_no_other_corpus(look: Look) -> None:
    look.write("coyo700m/part-00000-x.parquet", b"")
    outcome = look.again()
    assert paths_of(outcome) == ["cc3m/GCC-training.tsv"]
    assert rejects(outcome) == {("coyo700m/part-00000-x.parquet", "empty_file")}
    with pytest.raises(InputError, match=r"can be read: coyo700m/part-00000-x.parquet \(empty: download it again"):
        Look(look.sources).again("coyo700m")


def test_parts_and_partitions_come_from_published_names(look: Look) -> None:
    look.write("coyo700m/deep/part-00012-x.snappy.parquet")
    rows = {row["path"]: row for row in look.again().kept.to_pylist()}
    coyo = rows["coyo700m/deep/part-00012-x.snappy.parquet"]
    assert (coyo["part"], coyo["partition"], coyo["size_bytes"]) == (12, "coyo700m-00012", 4)
    assert rows["cc3m/GCC-training.tsv"]["partition"] == "cc3m-00000"


@pytest.mark.parametrize(
    ("setup", "corpora", "words"),
    [
        ("gone", (), "is not a folder: expected one with a folder per corpus"),
        ("none", (), "has no corpus: expected at least one folder of ben, cc12m, cc3m, coyo700m"),
        ("here", ("cc3",), "inventory.corpora names 'cc3'; corpora with a reader: ben, cc12m, cc3m"),
        ("here", ("coyo700m",), "inventory.corpora names coyo700m, but .* is not a folder"),
        ("empty", (), "coyo700m has no file named like .*leave it out with SET=.*found: nothing"),
        ("odd", ("coyo700m",), r"nothing under .*coyo700m has no file named like .*found: \['coyo700m/data.parquet'\]"),
        ("twice", ("coyo700m",), r"file_pattern: .* part 1\. .*coyo700m/a/part-00001-x.*, coyo700m/b/part-00001-y"),
    ],
)
def test_sources_that_cannot_be_read_are_refused(look: Look, setup: str, corpora: tuple[str, ...], words: str) -> None:
    if setup == "gone":
        look.sources = look.sources / "nowhere"
    elif setup == "none":
        look.sources = look.sources / "cc3m"
    elif setup == "empty":
        (look.sources / "coyo700m").mkdir()
    elif setup == "odd":
        look.write("coyo700m/data.parquet")
    elif setup == "twice":
        look.write("coyo700m/a/part-00001-x.parquet")
        look.write("coyo700m/b/part-00001-y.parquet")
    with pytest.raises(InputError, match=words):
        look.again(*corpora)


def test_two_files_of_one_part_leave_out_their_corpus_alone(look: Look) -> None:
    names = [f"coyo700m/{'x' * 60}/{folder}/part-00001-x.parquet" for folder in "ab"]
    for name in names:
        look.write(name)
    found = look.again()
    assert {row["corpus"] for row in found.kept.to_pylist()} == {"cc3m"}
    [row] = [row for row in found.rejects.to_pylist() if row["path"] == "coyo700m"]
    assert row["reason"] == "faulty_manifest"
    assert "Correct its group part, or keep one of them under SOURCES" in row["detail"], "long names leave room for it"


def test_files_of_other_names_leave_out_their_corpus_alone(look: Look) -> None:
    look.write("coyo700m/data.parquet")
    found = look.again()
    assert {row["corpus"] for row in found.kept.to_pylist()} == {"cc3m"}
    left_out = {row["path"]: (row["reason"], row["detail"]) for row in found.rejects.to_pylist()}
    assert left_out["coyo700m/data.parquet"][0] == "unexpected_file"
    reason, detail = left_out["coyo700m"]
    assert reason == "faulty_manifest" and "(file_pattern of manifests/corpora/coyo700m.toml)" in detail
    assert "Put COYO-700M's files there" in detail, "a long pattern and long names leave room for what to do"


def test_files_of_labelled_corpora_are_listed_beside_those_of_the_web(look: Look) -> None:
    view = "dam/dam_150/dam_150_0_rgb"
    look.write(f"fmow/train/{view}.jpg", b"image")
    look.write(f"fmow/groundtruth/train/{view}.json", b"{}")
    look.write("millionaid/test/P0294281.jpg", b"")
    look.write("millionaid/SHA256SUMS", f"{hashlib.sha256(b'').hexdigest()}  test/P0294281.jpg\n".encode())
    outcome = look.again()
    rows = [(row["partition"], row["path"], row["sample_id"]) for row in outcome.kept.to_pylist()]
    assert rows == [
        ("cc3m-00000", "cc3m/GCC-training.tsv", None),
        ("fmow-dam-0001", f"fmow/groundtruth/train/{view}.json", "fmow_dam_150_0_rgb"),
        ("fmow-dam-0001", f"fmow/train/{view}.jpg", "fmow_dam_150_0_rgb"),
        ("millionaid-P0294", "millionaid/test/P0294281.jpg", "millionaid_P0294281"),
    ]
    assert look.again().kept.num_rows == 0
    hashed = look.hashes().kept.to_pylist()
    assert [(row["sample_id"], row["size_bytes"]) for row in hashed] == [
        (None, 4), ("fmow_dam_150_0_rgb", 2), ("fmow_dam_150_0_rgb", 5), ("millionaid_P0294281", 0),
    ]  # fmt: skip


def test_a_missing_labelled_file_stays_listed_and_a_moved_one_does_not(look: Look) -> None:
    paths = [look.write(f"millionaid/P000000{n}.jpg") for n in (1, 2)]
    look.again()
    paths[0].unlink()
    assert look.again().kept.num_rows == 0
    paths[1].unlink()
    look.write("millionaid/test/P0000002.jpg")
    assert [path for path in paths_of(look.again()) if path.startswith("millionaid")] == [
        "millionaid/P0000001.jpg", "millionaid/test/P0000002.jpg",
    ]  # fmt: skip


LABELS = "cc3m/Image_Labels_Subset_Train_GCC-Labels-training.tsv"


def test_companions_are_in_the_partition_of_their_file(look: Look) -> None:
    look.write(LABELS)
    names = ("yfcc100m_dataset-0.bz2", "yfcc100m_dataset-1", "yfcc100m_subset_data.tsv.bz2")
    for name in names:
        look.write(f"yfcc15m/{name}")
    rows = [(row["partition"], row["path"], row["part"]) for row in look.again().kept.to_pylist()]
    assert rows == [
        ("cc3m-00000", "cc3m/GCC-training.tsv", 0),
        ("cc3m-00000", LABELS, 0),
        *(("yfcc15m-00000", f"yfcc15m/{name}", part) for name, part in zip(names, (0, 1, 0), strict=True)),
    ]
    assert look.hashes().kept.num_rows == 5


def test_a_missing_companion_stays_listed_until_another_replaces_it(look: Look) -> None:
    gone = [look.write(LABELS), look.write("yfcc15m/yfcc100m_dataset-1")]
    for name in ("yfcc100m_dataset-0", "yfcc100m_subset_data.tsv"):
        look.write(f"yfcc15m/{name}")
    look.again()
    for path in gone:
        path.unlink()
    assert look.again().kept.num_rows == 0
    look.write(LABELS.replace("cc3m/", "cc3m/new/"))
    look.write("yfcc15m/yfcc100m_dataset-1.bz2")
    paths = paths_of(look.again())
    assert LABELS not in paths and "yfcc15m/yfcc100m_dataset-1" not in paths and len(paths) == 5


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["yfcc100m_subset_data.tsv"], "has no file named like"),
        (["yfcc100m_dataset", "yfcc100m_dataset.bz2"], "key file_pattern: two files would be part 0"),
        (
            ["yfcc100m_dataset", "yfcc100m_subset_data.tsv", "yfcc100m_subset_data.tsv.bz2"],
            "key companion_pattern: two files would be part 0",
        ),
    ],
)
def test_conflicting_files_are_refused(look: Look, names: list[str], words: str) -> None:
    for name in names:
        look.write(f"yfcc15m/{name}")
    with pytest.raises(InputError, match=words):
        look.again("yfcc15m")


def test_listing_the_same_files_again_records_nothing(look: Look) -> None:
    assert look.again().kept.num_rows == 1
    assert look.again().kept.num_rows == 0


def test_a_changed_or_new_file_or_folder_is_a_new_observation(look: Look) -> None:
    look.again()
    look.write("cc3m/GCC-training.tsv", b"changed\tu\n")
    assert look.again().kept["size_bytes"].to_pylist() == [10]
    look.write("cc3m/notes.txt")
    assert rejects(look.again()) == {("cc3m/notes.txt", "unexpected_file")}


def test_a_missing_file_stays_listed_unless_its_corpus_is_left_out(look: Look) -> None:
    gone = look.write("coyo700m/part-00000-x.parquet")
    look.write("coyo700m/part-00001-x.parquet")
    look.again()
    gone.unlink()
    assert look.again().kept.num_rows == 0  # nothing is new
    assert paths_of(look.again("cc3m")) == ["cc3m/GCC-training.tsv"]


def test_each_file_is_hashed_once(look: Look) -> None:
    look.again()
    outcome = look.hashes()
    expected = {"corpus": "cc3m", "path": "cc3m/GCC-training.tsv", "size_bytes": 4, "sample_id": None}
    assert outcome.kept.to_pylist() == [{**expected, "file_sha256": hashlib.sha256(b"x\ty\n").hexdigest()}]


def test_a_file_without_its_published_checksum_is_refused(look: Look) -> None:
    digest = hashlib.sha256(b"x\ty\n").hexdigest()
    look.write("cc3m/SHA256SUMS", f"{digest.upper()} *GCC-training.tsv\n{'0' * 64}  other.tsv\n".encode())
    look.again()
    assert look.hashes().kept.num_rows == 1
    look.write("cc3m/SHA256SUMS", f"{'0' * 64}  GCC-training.tsv\n".encode())
    with pytest.raises(InputError, match=f"has sha256 {digest}, but SHA256SUMS states 0000.*Download it again"):
        look.hashes()


@pytest.mark.parametrize(
    ("data", "words"), [(None, "cannot be read .No such file"), (b"longer than it was", "has 18 bytes, but had 4 when")]
)
def test_a_file_that_changed_since_it_was_listed_is_refused(look: Look, data: bytes | None, words: str) -> None:
    path = look.sources / "cc3m/GCC-training.tsv"
    look.again()
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=words):
        look.hashes()


def test_only_reading_keys_of_a_manifest_make_stages_stale() -> None:
    corpus = load_corpora()["coyo700m"]
    assert reader_digest(corpus.model_copy(update={"title": "Other", "homepage": "elsewhere"})) == reader_digest(corpus)
    others = [{"is_size_swapped": True}, {"annotation_licence": "other"}, {"columns": {"url": ("u",)}}]
    others.append({"companion_pattern": "x"})
    assert len({reader_digest(corpus.model_copy(update=update)) for update in others} | {reader_digest(corpus)}) == 5


def test_leaving_a_corpus_out_removes_its_rows_from_all_tables_and_restoring_it_needs_no_fetch(
    finished: Build, damaged: Build
) -> None:
    from tests.small_build import assert_same_contents, contents

    fewer = damaged.with_settings(inventory={"corpora": ["laion2b", "cc3m"]})
    fewer.run(InlineExecutor())
    assert {row["corpus"] for row in fewer.rows("candidate", ["corpus"])} == {"laion2b", "cc3m"}
    assert {row["source"] for row in fewer.rows("pub11_funnel", ["source"])} == {"laion2b", "cc3m", "Total"}
    watcher = damaged.run(InlineExecutor())
    assert [n_due for name, _, n_due in watcher.begun if name in ("download", "filter", "screen")] == []
    assert_same_contents(contents(finished), contents(damaged))


def test_only_a_changed_source_file_is_read_again(small_web: Any, finished: Build, tmp_path: Path) -> None:
    sources = write_sources(tmp_path / "sources", small_web)
    build = Build(tmp_path / "build", sources)
    build.run(InlineExecutor(), ["inventory", "filter"])
    with (sources / "cc3m/GCC-training.tsv").open("ab") as file:
        file.write(b"one more aerial view\thttp://host.org/x.png\n")
    watcher = build.run(InlineExecutor(), ["inventory", "filter"])
    assert [(name, n_due) for name, _, n_due in watcher.begun] == [("list_sources", 1), ("inventory", 1), ("filter", 1)]
    assert "cc3m_0_12" in {row["sample_id"] for row in build.rows("candidate", ["sample_id"])}
