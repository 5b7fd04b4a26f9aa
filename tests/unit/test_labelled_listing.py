"""Files of labelled corpora are listed with their sample and partition; what is left out is named, once a folder."""

from pathlib import Path

import pyarrow as pa
import pytest

from schemas.corpora import load_corpora
from schemas.tables import SOURCE_LISTING
from stages.contract import InputError
from stages.labelled_sources.listing import gone, list_labelled, role_of

CORPORA = load_corpora()
PATCHES = tuple(f"S2A_MSIL2A_20170617T113321_{n}_55" for n in (100, 36, 4))  # in the plain sort


def write(sources: Path, *paths: str) -> None:
    for path in paths:
        (sources / path).parent.mkdir(parents=True, exist_ok=True)
        (sources / path).write_bytes(b"x")


def patch(name: str, *roles: str) -> list[str]:
    return [
        f"ben/v1/{name}/{name}_{role}" for role in roles or ("B02.tif", "B03.tif", "B04.tif", "labels_metadata.json")
    ]


def look(
    sources: Path, code: str, known: tuple[str, ...] = ()
) -> tuple[list[dict[str, object]], list[tuple[str, ...]]]:
    table, left_out = list_labelled(sources / code, CORPORA[code], "digest", known)
    assert table.schema == SOURCE_LISTING.schema
    return table.to_pylist(), left_out


def test_files_of_an_fmow_view_share_a_partition_and_the_rest_is_passed_by(tmp_path: Path) -> None:
    view = "dam/dam_150/dam_150_0_rgb"
    write(tmp_path, f"fmow/train/{view}.jpg", f"fmow/train/{view}.json", f"fmow/groundtruth/train/{view}.json")
    write(tmp_path, f"fmow/val/{view}.jpg", f"fmow/groundtruth/test/{view}.json", "fmow/groundtruth.tar.bz2")
    write(tmp_path, "fmow/.cache/x", "fmow/SHA256SUMS", "fmow/LICENSE", "fmow/train/notes.txt")
    rows, left_out = look(tmp_path, "fmow")
    assert {row["partition"] for row in rows} == {"fmow-dam-0001"}
    assert {row["source_sample"] for row in rows} == {"fmow_dam_150_0_rgb"}
    assert sorted(role_of(str(row["path"]), CORPORA["fmow"]) for row in rows) == ["ground_truth", "image", "record"]
    assert [row[1:3] for row in left_out] == [("fmow/train/notes.txt", "unexpected_file")]


def test_many_strangers_in_one_folder_are_one_reject(tmp_path: Path) -> None:
    write(
        tmp_path, "millionaid/test/P0000185.jpg", *(f"millionaid/odd/{n}.png" for n in range(1200)), "millionaid/a.txt"
    )
    rows, left_out = look(tmp_path, "millionaid")
    assert [(row["source_sample"], row["partition"]) for row in rows] == [("millionaid_P0000185", "millionaid-P0000")]
    assert [row[1] for row in left_out] == ["millionaid/a.txt", "millionaid/odd/0.png"]
    assert left_out[1][3].startswith("1,199 more in its folder; expected ")


def test_a_link_to_a_folder_and_a_name_that_is_not_utf_8_are_named(tmp_path: Path) -> None:
    write(tmp_path, "millionaid/P0000185.jpg", "elsewhere/P0000186.jpg")
    (tmp_path / "millionaid/test").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "millionaid" / "caf\udce9.jpg").write_bytes(b"x")
    (tmp_path / "millionaid" / "\udce9").mkdir()
    (tmp_path / "millionaid" / "\udce9" / "test").mkdir()
    (tmp_path / "millionaid" / "\udce9" / "test" / "P0000187.jpg").write_bytes(b"x")
    rows, left_out = look(tmp_path, "millionaid")
    assert [row["path"] for row in rows] == ["millionaid/P0000185.jpg"]
    assert {(row[1], row[3].partition(";")[0]) for row in left_out} >= {
        ("millionaid/\\udce9/test/P0000187.jpg", f"expected {CORPORA['millionaid'].file_pattern}")
    }
    assert {row[2] for row in left_out} == {"unexpected_file"}


def test_a_patch_is_numbered_among_all_that_are_listed_or_known(tmp_path: Path) -> None:
    write(tmp_path, *patch(PATCHES[1]), *patch(PATCHES[2]), "ben/v1/x/S2A_MSIL2A_a_B01.tif")
    rows, left_out = look(tmp_path, "ben")
    assert {row["source_sample"] for row in rows} == {"ben_0", "ben_1"} and left_out == []
    rows, _ = look(tmp_path, "ben", known=tuple(patch(PATCHES[0])))
    assert {row["source_sample"] for row in rows} == {"ben_1", "ben_2"}
    (tmp_path / "ben/cloud.csv").write_text(f"{PATCHES[0]}\n")
    rows, left_out = look(tmp_path, "ben")
    assert {(row["source_sample"], row["part"], row["partition"]) for row in rows} == {
        ("ben_1", 1, "ben-00000"), ("ben_2", 2, "ben-00000"),
    }  # fmt: skip
    assert left_out == []


def test_a_patch_folder_with_nothing_to_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, *patch(PATCHES[1]), *patch(PATCHES[0], "B01.tif"), *patch(PATCHES[2], "B8A.tif"))
    _, left_out = look(tmp_path, "ben")
    assert [row[1] for row in left_out] == [f"ben/v1/{PATCHES[0]}", f"ben/v1/{PATCHES[2]}"]


def test_two_files_in_one_role_of_a_sample_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "fmow/groundtruth/dam_1_0_rgb.json", "fmow/groundtruth/train/dam/dam_1/dam_1_0_rgb.json")
    with pytest.raises(
        InputError, match=r"dam_1_0_rgb\.json and .* would both be the ground_truth of fmow_dam_1_0_rgb"
    ):
        look(tmp_path, "fmow")


def test_a_folder_without_a_file_of_the_corpus_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "ben/v2/S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57_B04.tif")
    with pytest.raises(InputError, match=r"ben holds no file named like .*found: .*T33UUP_26_57_B04"):
        look(tmp_path, "ben")


def listing(*paths: str) -> pa.Table:
    rows = []
    for path in paths:
        code, _, name = path.partition("/")
        found = CORPORA[code].match_file(name)
        assert found is not None
        sample = f"millionaid_{found['name']}" if code == "millionaid" else None
        partition = "millionaid-P0000" if sample else "cc3m-00000"
        rows.append((code, path, 0, 1, 1, "digest", partition, sample, 1.0))
    columns = list(zip(*rows, strict=True)) or [[] for _ in SOURCE_LISTING.schema]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SOURCE_LISTING.schema, strict=True)]
    return pa.table(arrays, schema=SOURCE_LISTING.schema)


@pytest.mark.parametrize(
    ("before", "seen", "kept"),
    [
        (("millionaid/P0000001.jpg", "cc3m/GCC-training.tsv"), ("cc3m/GCC-training.tsv",), ["millionaid/P0000001.jpg"]),
        (("millionaid/P0000001.jpg",), ("millionaid/P0000002.jpg",), ["millionaid/P0000001.jpg"]),
        (("millionaid/P0000001.jpg",), ("millionaid/test/P0000001.jpg",), []),
        (("cc3m/GCC-training.tsv",), ("cc3m/Train_GCC-training.tsv",), []),
        (("cc3m/GCC-training.tsv",), (), ["cc3m/GCC-training.tsv"]),
        ((), ("cc3m/GCC-training.tsv",), []),
    ],
)  # fmt: skip
def test_a_vanished_file_stays_listed_unless_another_took_its_place(
    before: tuple[str, ...], seen: tuple[str, ...], kept: list[str]
) -> None:
    assert gone(listing(*before), listing(*seen), CORPORA, ())["path"].to_pylist() == kept
    assert gone(listing(*before), listing(*seen), CORPORA, ("laion2b",)).num_rows == 0
