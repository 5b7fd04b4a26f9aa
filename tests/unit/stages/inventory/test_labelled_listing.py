"""Labelled files are listed with sample and partition; files left out are named once per folder."""

import bz2
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.corpora import load_corpora
from schemas.manifest_files import ManifestError
from schemas.tables import SOURCE_LISTING
from stages.contract import InputError
from stages.inventory.labelled_listing import list_labelled, role_of
from stages.inventory.passed_over import PassedOver
from stages.readers.readers import labelled_reader
from stages.slices import belongs

CORPORA = load_corpora()
QUIET = ("not_needed", "hidden_file", "checksum_list")  # published but unused, or not of a corpus
PATCHES = tuple(f"S2A_MSIL2A_20170617T113321_{n}_55" for n in (100, 36, 4))  # sorted as strings


def write(sources: Path, *paths: str) -> None:
    for path in paths:
        (sources / path).parent.mkdir(parents=True, exist_ok=True)
        (sources / path).write_bytes(b"x")


def patch(name: str, *roles: str) -> list[str]:
    return [
        f"ben/v1/{name}/{name}_{role}" for role in roles or ("B02.tif", "B03.tif", "B04.tif", "labels_metadata.json")
    ]


def look(
    sources: Path, code: str, known: tuple[str, ...] = (), share: float = 1.0
) -> tuple[list[dict[str, object]], list[tuple[str, ...]]]:
    passed = PassedOver()
    table = list_labelled(sources / code, CORPORA[code], "digest", known, passed, share)
    assert table.schema == SOURCE_LISTING.schema
    return table.to_pylist(), [row for row in passed.rows(code) if row[2] not in QUIET]


def test_files_of_an_fmow_view_share_a_partition_and_other_files_are_ignored(tmp_path: Path) -> None:
    view = "dam/dam_150/dam_150_0_rgb"
    write(tmp_path, f"fmow/train/{view}.jpg", f"fmow/train/{view}.json", f"fmow/groundtruth/train/{view}.json")
    write(tmp_path, f"fmow/val/{view}.jpg", f"fmow/groundtruth/test/{view}.json", "fmow/groundtruth.tar.bz2")
    write(tmp_path, "fmow/.cache/x", "fmow/SHA256SUMS", "fmow/LICENSE", "fmow/train/notes.txt")
    rows, left_out = look(tmp_path, "fmow")
    assert {row["partition"] for row in rows} == {"fmow-dam-0001"}
    assert {row["sample_id"] for row in rows} == {"fmow_dam_150_0_rgb"}
    assert sorted(role_of(str(row["path"]), CORPORA["fmow"]) for row in rows) == ["ground_truth", "image", "record"]
    assert [row[1:3] for row in left_out] == [("fmow/train/notes.txt", "unexpected_file")]


def test_many_unexpected_files_in_one_folder_are_one_reject(tmp_path: Path) -> None:
    write(
        tmp_path, "millionaid/test/P0000185.jpg", *(f"millionaid/odd/{n}.png" for n in range(1200)), "millionaid/a.txt"
    )
    rows, left_out = look(tmp_path, "millionaid")
    assert [(row["sample_id"], row["partition"]) for row in rows] == [("millionaid_P0000185", "millionaid-P0000")]
    assert [row[1] for row in left_out] == ["millionaid/a.txt", "millionaid/odd/0.png"]
    assert left_out[1][3].startswith("1,199 more below odd; expected ")


def test_a_linked_folder_is_followed_and_a_name_that_is_not_utf_8_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, "millionaid/P0000185.jpg", "elsewhere/P0000186.jpg")
    (tmp_path / "millionaid/test").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "millionaid" / "caf\udce9.jpg").write_bytes(b"x")
    (tmp_path / "millionaid" / "\udce9").mkdir()
    (tmp_path / "millionaid" / "\udce9" / "P0000187.jpg").write_bytes(b"x")
    rows, left_out = look(tmp_path, "millionaid")
    assert [row["path"] for row in rows] == ["millionaid/P0000185.jpg", "millionaid/test/P0000186.jpg"]
    assert [row[1:3] for row in left_out] == [
        ("millionaid/\\udce9", "unreadable"), ("millionaid/caf\\udce9.jpg", "unreadable"),
    ]  # fmt: skip


def test_a_patchs_number_counts_all_present_and_listed_patches(tmp_path: Path) -> None:
    write(tmp_path, *patch(PATCHES[1]), *patch(PATCHES[2]), "ben/v1/x/S2A_MSIL2A_a_B01.tif")
    rows, left_out = look(tmp_path, "ben")
    assert {row["sample_id"] for row in rows} == {"ben_0", "ben_1"} and left_out == []
    rows, _ = look(tmp_path, "ben", known=tuple(patch(PATCHES[0])))
    assert {row["sample_id"] for row in rows} == {"ben_1", "ben_2"}
    (tmp_path / "ben/cloud.csv").write_text(f"{PATCHES[0]}\n")
    rows, left_out = look(tmp_path, "ben")
    assert {(row["sample_id"], row["part"], row["partition"]) for row in rows} == {
        (None, 0, "ben-lists"), ("ben_1", 1, "ben-00000"), ("ben_2", 2, "ben-00000"),
    }  # fmt: skip
    assert [row["path"] for row in rows if row["partition"] == "ben-lists"] == ["ben/cloud.csv"] and left_out == []


def test_a_list_may_be_unpacked_or_moved_but_not_removed_or_duplicated(tmp_path: Path) -> None:
    write(tmp_path, *patch(PATCHES[1]))
    (tmp_path / "ben/cloud.csv.bz2").write_bytes(bz2.compress(PATCHES[0].encode()))
    rows, _ = look(tmp_path, "ben")
    assert {row["sample_id"] for row in rows} == {None, "ben_1"}
    (tmp_path / "ben/lists").mkdir()
    (tmp_path / "ben/lists/cloud.csv").write_text(PATCHES[0])
    (tmp_path / "ben/cloud.csv.bz2").rename(tmp_path / "ben/lists/cloud.csv.bz2")
    with pytest.raises(
        InputError, match=r"cloud\.csv and .*cloud\.csv\.bz2 would both be the lists/cloud\.csv: keep one"
    ):
        look(tmp_path, "ben")
    (tmp_path / "ben/lists/cloud.csv.bz2").unlink()
    rows, _ = look(tmp_path, "ben", known=("ben/cloud.csv.bz2",))
    assert {row["sample_id"] for row in rows} == {None, "ben_1"}
    with pytest.raises(InputError, match=r"ben/train\.csv is missing, and it numbers this build's samples"):
        look(tmp_path, "ben", known=("ben/cloud.csv.bz2", "ben/train.csv"))


def test_a_patch_folder_without_files_to_read_is_named(tmp_path: Path) -> None:
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
    with pytest.raises(ManifestError, match=r"ben has no file named like .*found: .*T33UUP_26_57_B04"):
        look(tmp_path, "ben")


def v2_name(n: int) -> str:
    return f"S2A_MSIL2A_20170617T113321_N9999_R080_T29UPU_{n:02d}_55"


def write_v2(sources: Path, *numbers: int, has_table: bool = True) -> None:
    for n in numbers:
        folder = f"ben/BigEarthNet-S2/{v2_name(n)[:-6]}/{v2_name(n)}"
        write(sources, *(f"{folder}/{v2_name(n)}_{band}.tif" for band in ("B01", "B02", "B03", "B04")))
    if has_table:
        rows = [(v2_name(n), f"S2A_MSIL2A_20170617T113321_{n}_55") for n in (4, 36)]
        columns = dict(zip(("patch_id", "s2v1_name"), zip(*rows, strict=True), strict=True))
        facts = {name: pa.nulls(len(rows)) for name in ("labels", "split", "country")}
        pq.write_table(pa.table(columns | facts), sources / "ben/metadata.parquet")


def test_a_patch_of_version_2_has_the_number_of_its_patch_of_version_1(tmp_path: Path) -> None:
    write_v2(tmp_path, 4, 99)
    (tmp_path / "ben/train.csv").write_text("\n".join(PATCHES))
    rows, left_out = look(tmp_path, "ben")
    bands = [row for row in rows if row["sample_id"]]
    assert {(row["sample_id"], row["part"]) for row in bands} == {("ben_2", 2)} and len(bands) == 3
    assert [(row[1].rpartition("/")[2], row[2]) for row in left_out] == [
        (f"{v2_name(99)}_{band}.tif", "unexpected_file") for band in ("B02", "B03", "B04")
    ]
    assert left_out[0][3] == "the patch is in no table of version 2, so it has no number"


def test_two_versions_in_one_build_are_refused(tmp_path: Path) -> None:
    write_v2(tmp_path, 4)
    with pytest.raises(InputError, match=f"{PATCHES[1]} is a patch of version 1, .* one of version 2"):
        look(tmp_path, "ben", known=tuple(patch(PATCHES[1])))
    write(tmp_path, *patch(PATCHES[1]))
    with pytest.raises(InputError, match="Expected one version in a build"):
        look(tmp_path, "ben")


def test_version_2_without_its_table_is_refused(tmp_path: Path) -> None:
    write_v2(tmp_path, 4, has_table=False)
    with pytest.raises(InputError, match=r"named by its metadata\.parquet, which is missing"):
        look(tmp_path, "ben")


VIEWS = [f"dam_{n}_{m}_{kind}" for n in range(40) for m in (0, 1) for kind in ("rgb", "msrgb")]


def scene_of(sample_id: str) -> str:
    return labelled_reader(CORPORA[sample_id.partition("_")[0]]).scene_of(sample_id)


def test_a_slice_has_whole_scenes_and_counts_the_other_files_once(tmp_path: Path) -> None:
    write(tmp_path, *(f"fmow/train/dam/{v.rsplit('_', 2)[0]}/{v}.{end}" for v in VIEWS for end in ("jpg", "json")))
    everything, _ = look(tmp_path, "fmow")
    rows, left_out = look(tmp_path, "fmow", share=0.3)
    inside = {scene for n in range(40) if belongs(scene := f"fmow_dam_{n}", 0.3)}
    assert 0 < len(inside) < 40
    assert {scene_of(str(row["sample_id"])) for row in rows} == inside and len(rows) == 8 * len(inside)
    expected = [row for row in everything if scene_of(str(row["sample_id"])) in inside]
    assert [{**row, "pilot_share": 1.0} for row in rows] == expected
    assert [row[:3] for row in left_out] == [("fmow", "fmow", "scenes_outside_pilot")]
    assert left_out[0][3].startswith(f"{len(everything) - len(rows)} files of scenes outside the slice")


def test_the_numbers_of_patches_do_not_depend_on_the_slice(tmp_path: Path) -> None:
    names = [f"S2A_MSIL2A_20170617T113321_{n}_55" for n in range(30)]
    write(tmp_path, *(path for name in names[1:] for path in patch(name)))
    (tmp_path / "ben/train.csv").write_text(names[0])
    numbers = [{row["path"]: row["sample_id"] for row in look(tmp_path, "ben", share=share)[0]} for share in (0.4, 1.0)]
    assert 1 < len(numbers[0]) < len(numbers[1]) == 4 * 29 + 1 and numbers[0].items() <= numbers[1].items()
    assert "ben/train.csv" in numbers[0]


def test_a_scene_is_an_fmow_scene_or_a_sample_of_other_corpora() -> None:
    assert scene_of("fmow_single-unit_residential_7_1_msrgb") == "fmow_single-unit_residential_7"
    assert (scene_of("ben_7"), scene_of("millionaid_P0000001")) == ("ben_7", "millionaid_P0000001")


def test_archives_that_are_not_unpacked_are_named_once_with_the_command(tmp_path: Path) -> None:
    write(tmp_path, "fmow/train/dam/dam_1/dam_1_0_rgb.jpg", "fmow/groundtruth.tar.bz2", "fmow/seq.tar.bz2")
    _, left_out = look(tmp_path, "fmow")
    assert left_out == [
        (
            "fmow", "fmow/groundtruth.tar.bz2", "archive_not_unpacked",
            "unpack: cd SOURCES/fmow && mkdir -p groundtruth && tar xf groundtruth.tar.bz2 -C groundtruth",
        )
    ]  # fmt: skip
    write(tmp_path, "fmow/groundtruth/train/dam/dam_1/dam_1_0_rgb.json")
    assert look(tmp_path, "fmow")[1] == []


def test_a_folder_with_only_archives_is_refused_with_the_command(tmp_path: Path) -> None:
    write(tmp_path, *(f"millionaid/test.zip.{n:03d}" for n in range(1, 18)), "millionaid/train.zip")
    command = r"cd SOURCES/millionaid && cat test\.zip\.\* > test\.zip && unzip -n -q test\.zip"
    with pytest.raises(InputError, match=f"Unpack its archives: {command}, or leave it out .*found: archives"):
        look(tmp_path, "millionaid")
