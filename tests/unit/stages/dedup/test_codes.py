"""Codes of keypoints: near for copies, shown or mirrored, and rarely for other pictures."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from stages.dedup.codes import N_CODES, HeldCodes, encode_keypoints, mirror_codes, share_codes
from stages.images.keypoints import find_keypoints, mirror_keypoints
from stages.rows import FileRows, Space
from tests.unit.stages.images.test_keypoints import cut, draw, strip


def rows_of(pictures: list[Image.Image]) -> pa.Table:
    codes = [encode_keypoints(find_keypoints(picture)) for picture in pictures]
    return pa.table({"keypoint_codes": pa.array(codes, pa.list_(pa.uint64()))})


def test_codes_of_the_mirrored_picture_are_made_from_the_codes() -> None:
    keypoints = find_keypoints(draw(6))
    codes = encode_keypoints(keypoints)
    assert codes.dtype == np.uint64 and 0 < codes.size <= N_CODES
    assert np.array_equal(mirror_codes(codes), encode_keypoints(mirror_keypoints(keypoints)))
    assert np.array_equal(mirror_codes(mirror_codes(codes)), codes)
    assert not encode_keypoints(find_keypoints(Image.new("L", (90, 90), 7))).size


def test_copies_have_near_codes_and_a_plain_picture_has_none() -> None:
    own = draw(3)
    copies = [cut(own, 0.2), ImageOps.mirror(cut(own, 0.1)), strip(own), ImageOps.expand(own, 15, 255)]
    rows = rows_of([own, *copies, Image.new("L", (90, 90), 7)])
    held = HeldCodes(rows, np.arange(6), 6)
    assert held.have_near(np.zeros(5, int), np.arange(1, 6), 3).tolist() == [True, True, True, True, False]
    assert held.have_near(np.zeros(1, int), np.array([5]), 0).tolist() == [True]


def test_rows_without_a_number_are_left_out_and_pictures_without_a_row_have_no_codes() -> None:
    rows = rows_of([draw(1), draw(2), draw(2)])
    held = HeldCodes(rows, np.array([2, -1, 0]), 4)
    n_own = int(pc.list_value_length(rows["keypoint_codes"])[0].as_py())
    assert held.have_near(np.array([2, 2, 0, 3]), np.array([2, 0, 1, 3]), n_own).tolist() == [True, False, False, False]


@pytest.mark.parametrize(("least", "is_found"), [(1, True), (2, True), (3, False)])
def test_each_code_counts_once(least: int, is_found: bool) -> None:
    first, second = np.zeros((1, N_CODES), np.uint64), np.full((1, N_CODES), 2**64 - 1, np.uint64)
    second[0, :2] = [31, 1]  # 5 bits and 1 bit from the five equal codes of the first
    sizes = np.array([5]), np.array([4])
    assert share_codes(first, second, *sizes, least).tolist() == [is_found]
    second[0, 1] = 63
    assert share_codes(first, second, *sizes, 2).tolist() == [False]


def test_codes_in_a_file_are_those_in_memory(tmp_path: Path) -> None:
    rows = rows_of([draw(n) for n in range(4)])
    pq.write_table(rows, tmp_path / "codes.parquet")
    in_files = FileRows((tmp_path / "codes.parquet",), rows.schema, rows.num_rows, Space(tmp_path, 1 << 30))
    numbers, pairs = np.arange(4), (np.array([0, 0, 1, 2]), np.array([0, 1, 2, 3]))
    found = [HeldCodes(one, numbers, 4).have_near(*pairs, 3).tolist() for one in (rows, in_files)]
    assert found[0] == found[1] and found[0][0]
    assert (tmp_path / "rows-0.parquet").stat().st_size == 4 * N_CODES * 8
