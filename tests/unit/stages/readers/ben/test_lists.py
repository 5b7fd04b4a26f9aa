"""Lists of BigEarthNet patches and tables of version 2 are read as published; other files are refused."""

import bz2
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.contract import InputError
from stages.readers.ben.lists import (
    patch_indices,
    read_metadata,
    read_names,
    v1_by_v2,
)
from stages.readers.labelled_records import list_name, list_role

NAMES = [f"S2A_MSIL2A_20170617T113321_{n}_55" for n in (4, 36, 100)]
V2 = "S2A_MSIL2A_20170617T113321_N9999_R080_T29UPU_{:02d}_55"


def table(**columns: Any) -> bytes:
    columns = {"labels": None, "split": None, "country": None} | columns
    n_rows = len(columns["patch_id"])
    columns = {name: pa.nulls(n_rows) if values is None else values for name, values in columns.items()}
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def test_a_patchs_number_is_its_position_among_the_sorted_present_and_listed_names() -> None:
    listed = f"{NAMES[2]}\r\n\n{NAMES[0]},S1A_IW_GRDH_1SDV_20170617T064724_29UPU_4_55\n".encode()
    assert patch_indices(NAMES[:2], [("train.csv", listed)]) == {NAMES[2]: 0, NAMES[1]: 1, NAMES[0]: 2}


def test_a_compressed_list_gives_the_same_names() -> None:
    data = "\n".join(NAMES).encode()
    assert list(read_names("a/val.csv.bz2", bz2.compress(data))) == list(read_names("a/val.csv", data)) == NAMES
    assert list_role("a/val.csv.bz2") == list_role("a/val.csv") == "a/val.csv"
    assert list_name("a/val.csv.bz2") == list_name("b/val.csv") == "val"


@pytest.mark.parametrize(
    ("path", "data", "words"),
    [
        ("other.csv", f"{NAMES[0]}\nname\n".encode(), r"other\.csv, line 2: expected the name of a Big"),
        ("other.csv", b"\xff\n", "line 1: expected"),
        ("val.csv.bz2", b"BZh9", r"val\.csv\.bz2 cannot be unpacked"),
        ("val.csv.bz2", b"", "names no patch"),
        ("val.csv", b"\xef\xbb\xbf\r\n \n", "names no patch"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_list_is_refused(path: str, data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        list(read_names(path, data))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for path in ("x.csv", "x.csv.bz2"):
        try:
            assert all(name.startswith("S2") for name in read_names(path, data))
        except InputError:
            continue


def test_the_tables_of_version_2_map_to_version_1(tmp_path: Path) -> None:
    one = table(patch_id=[V2.format(4), V2.format(36)], s2v1_name=NAMES[:2], other=[1, 2])
    two = table(patch_id=[V2.format(99)], s2v1_name=NAMES[2:])
    paths = tmp_path / "metadata.parquet", tmp_path / "b.parquet"
    for path, data in zip(paths, (one, two), strict=True):
        path.write_bytes(data)
    assert v1_by_v2(paths) == {
        V2.format(4): NAMES[0], V2.format(36): NAMES[1], V2.format(99): NAMES[2],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PAR1", "cannot be read"),
        (table(patch_id=["x"]), "has no column s2v1_name; it has .*'patch_id'"),
        (table(patch_id=["x"], s2v1_name=pa.array([None], pa.string())), "has 1 rows without s2v1_name"),
        (table(patch_id=["x"], s2v1_name=["y"]), "has the s2v1_name 'y'"),
        (table(patch_id=["x"], s2v1_name=[["y"]]), "cannot be read"),
    ],
)
def test_another_table_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "metadata.parquet").write_bytes(data)
    with pytest.raises(InputError, match=words):
        read_metadata(tmp_path / "metadata.parquet")


def test_a_flipped_bit_in_a_table_is_refused_or_harmless(
    tmp_path: Path, record_property: Callable[[str, int], None]
) -> None:
    data = table(patch_id=[V2.format(n) for n in (4, 36, 99)], s2v1_name=NAMES, labels=[["Pastures"]] * 3)
    path, n_refused = tmp_path / "metadata.parquet", 0
    places = range(0, 8 * len(data), 41)
    record_property("damaged names of ben", len(places))
    for n in places:
        damaged = bytearray(data)
        damaged[n // 8] ^= 1 << n % 8
        path.write_bytes(damaged)
        try:
            assert read_metadata(path).num_rows == 3
        except InputError as error:
            assert str(path) in str(error)  # most flips are refused, but not all
            n_refused += 1
    assert n_refused > 50


def test_marks_and_carriage_returns_are_not_part_of_a_name() -> None:
    name = "S2A_MSIL2A_20170613T101031_87_48"
    assert list(read_names("a.csv", f"{name}\r\n\x1a".encode())) == [name]
    assert list(read_names("a.csv", f"\ufeff{name}\r\n{name}\r\n".encode())) == [name, name]
