"""Evaluation pictures and pictures of the corpora are described, or refused with a reason."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from flows.demo.world import views
from schemas.tables import EVALUATION_IMAGE, EVALUATION_KEYPOINTS
from stages.contamination.description import DESCRIBE_EVALUATION, PLAN_GALLERY, SUMMARISE_GALLERY
from stages.contamination.settings import MethodParams
from stages.contamination.shared import list_shared, write_shared
from stages.contract import InputError
from tests.contamination_pictures import Bodies, Gallery, describe_sets, run_stage, write_set


def draw(seed: int) -> Image.Image:
    return views.draw_town(np.random.default_rng([6, seed]), 200, 160)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    folder = tmp_path_factory.mktemp("sets")
    write_set(folder / "aid", {"test/0.png": draw(0), "test/1.png": draw(1), "train/2.png": Image.new("L", (40, 40))})
    return describe_sets(folder)


def test_each_picture_is_described(sets: dict[str, pa.Table]) -> None:
    rows = {row["evaluation_path"]: row for row in sets["evaluation_keypoints"].to_pylist()}
    assert [name for name, row in rows.items() if len(row["packed_keypoints"]) > 20_000] == ["test/0.png", "test/1.png"]
    assert not any(rows["train/2.png"]["keypoint_summary"]) and rows["train/2.png"]["packed_keypoints"] == b""


def test_a_file_of_hashes_has_the_keypoints_of_those_pictures_that_had_them(
    sets: dict[str, pa.Table], tmp_path: Path
) -> None:
    keypoints = sets["evaluation_keypoints"]
    write_shared(sets["evaluation_image"], keypoints.slice(0, 2), tmp_path / "x.parquet")
    tables = dict(sets)
    file = pa.array([str(tmp_path / "x.parquet")] * 3)
    index = EVALUATION_IMAGE.schema.get_field_index("evaluation_file")
    tables["evaluation_image"] = sets["evaluation_image"].set_column(index, "evaluation_file", file)
    again = run_stage(DESCRIBE_EVALUATION, tables)
    assert again.equals(keypoints.slice(0, 2).cast(EVALUATION_KEYPOINTS.schema)) and again.num_rows == 2


def test_a_file_of_hashes_without_grey_levels_is_refused(sets: dict[str, pa.Table], tmp_path: Path) -> None:
    write_shared(sets["evaluation_image"], sets["evaluation_keypoints"], tmp_path / "x.parquet")
    earlier = pq.read_table(tmp_path / "x.parquet").drop_columns(["grey_square"])
    pq.write_table(earlier, tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"'grey_square'.* are missing.*make eval-hashes"):
        list_shared(tmp_path / "x.parquet")


@pytest.mark.parametrize("metadata", [None, {b"evaluation_hashes": b"hashes 3, keypoints 4"}])
def test_a_file_of_hashes_of_another_version_is_refused(
    sets: dict[str, pa.Table], tmp_path: Path, metadata: dict[bytes, bytes] | None
) -> None:
    write_shared(sets["evaluation_image"], sets["evaluation_keypoints"], tmp_path / "x.parquet")
    assert len(list_shared(tmp_path / "x.parquet")) == 3
    earlier = pq.read_table(tmp_path / "x.parquet").replace_schema_metadata(metadata)
    pq.write_table(earlier, tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"another version of this program.*make eval-hashes"):
        list_shared(tmp_path / "x.parquet")


def test_a_changed_file_is_an_error(sets: dict[str, pa.Table]) -> None:
    tables = dict(sets)
    index = sets["evaluation_file"].schema.get_field_index("size_bytes")
    tables["evaluation_file"] = sets["evaluation_file"].set_column(index, "size_bytes", pa.array([1, 1, 1]))
    with pytest.raises(InputError, match="when listed"):
        run_stage(DESCRIBE_EVALUATION, tables)


def test_pictures_are_listed_if_there_is_an_evaluation_set_and_summarised_once(sets: dict[str, pa.Table]) -> None:
    gallery = Gallery()
    for n in range(3):
        gallery.add(f"{n}", draw(n))
    files = Bodies(gallery.bodies)
    assert not run_stage(PLAN_GALLERY, gallery.tables()).num_rows
    tables = {**sets, **gallery.tables()}
    run_stage(PLAN_GALLERY, tables)
    found = run_stage(SUMMARISE_GALLERY, tables, files)
    assert found.num_rows == 3 == len(set(map(tuple, found["keypoint_summary"].to_pylist())))
    # Summaries that dedup made are taken as they are, without reading the picture.
    tables["keypoint_summary"] = found
    assert run_stage(SUMMARISE_GALLERY, tables, Bodies([])).equals(found)


def test_hashes_alone_switch_keypoints_off() -> None:
    assert SUMMARISE_GALLERY.off(MethodParams(method="hashes")) == "contamination.method = hashes"
    assert SUMMARISE_GALLERY.off(MethodParams()) == ""
