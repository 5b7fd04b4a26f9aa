from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from schemas.tables import EVALUATION_IMAGE, EVALUATION_KEYPOINTS
from stages.checks import check_outcome
from stages.contamination.shared import list_shared, write_shared
from stages.contamination.stage import HASH_EVALUATION, LIST_EVALUATION, LIST_EVALUATION_CAPTIONS
from stages.contract import Context, InputError, Outcome
from tests.contract.handmade import BODIES
from tests.evaluation_files import write_evaluation_files
from tests.small_build import draw


def listed(evaluation: Path | str, stage: Any = LIST_EVALUATION) -> Outcome:
    context = Context("whole", stage.params(evaluation=str(evaluation)), None, {}, None, Path())  # type: ignore[arg-type]
    outcome = stage.run({}, context)
    check_outcome(stage, {}, outcome)
    return outcome


def hashed(rows: pa.Table) -> Outcome:
    params, resources = HASH_EVALUATION.params(), HASH_EVALUATION.resources()
    inputs = {"evaluation_file": rows.select(list(HASH_EVALUATION.reads[0].columns))}
    with HASH_EVALUATION.tools[0].open(params, resources) as decoder:
        context = Context("p", params, resources, {"evaluation_decoder": decoder}, None, Path())  # type: ignore[arg-type]
        outcome = HASH_EVALUATION.run(inputs, context)
    check_outcome(HASH_EVALUATION, inputs, outcome)
    return outcome


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_evaluation_files(tmp_path_factory.mktemp("sets") / "evaluation", draw)


@pytest.fixture(scope="module")
def outcome(evaluation: Path) -> Outcome:
    return hashed(listed(evaluation).kept)


def test_without_eval_tables_are_empty() -> None:
    assert listed("").kept.num_rows == listed("").rejects.num_rows == 0
    assert listed("", LIST_EVALUATION_CAPTIONS).kept.num_rows == 0


def test_each_split_is_a_partition(evaluation: Path) -> None:
    rows = listed(evaluation).kept.to_pylist()
    found = {row["partition"].removeprefix("evaluation-"): row["evaluation_split"] for row in rows}
    assert found == {"alpha-train-0000": "train", "alpha-test-0000": "test", "beta-all-0000": "all",
                     "beta-test-0000": "test"}  # fmt: skip


def test_every_listed_picture_is_hashed_or_refused(outcome: Outcome) -> None:
    rows = {row["evaluation_path"]: row for row in outcome.kept.to_pylist()}
    assert len(rows) == 8
    assert {len(row[name]) for row in rows.values() for name in row if name.startswith("variant")} == {232}
    assert all(row["variant_hashes"][0] == row["phash"] for row in rows.values())
    assert rows["test/mirrored.png"]["variant_hashes"][1] == rows["fifteen.png"]["phash"]
    assert max(rows["blank.png"]["variant_details"]) == 0
    (refused,) = outcome.rejects.to_pylist()
    assert (refused["evaluation_path"], refused["reason"]) == ("test/cut.png", "truncated_image")


def test_missing_files_and_other_files_than_images_are_rejected_with_reasons(tmp_path: Path) -> None:
    for n, body in enumerate(BODIES[2:6]):
        (tmp_path / "aid").mkdir(exist_ok=True)
        (tmp_path / f"aid/{n}.png").write_bytes(body)
    rows = listed(tmp_path).kept
    (tmp_path / "aid/0.png").unlink()
    rejects = {row["evaluation_path"]: row["reason"] for row in hashed(rows).rejects.to_pylist()}
    assert rejects == {
        "0.png": "unreadable",
        "1.png": "empty_file",
        "2.png": "not_an_image",
        "3.png": "truncated_image",
    }


def test_a_file_that_changed_since_it_was_listed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "aid").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "aid/1.png")
    rows = listed(tmp_path).kept
    (tmp_path / "aid/1.png").write_bytes(b"other")
    with pytest.raises(InputError, match="5 bytes"):
        hashed(rows)


def test_a_shared_file_gives_the_same_hashes_without_images(outcome: Outcome, tmp_path: Path) -> None:
    path = tmp_path / "hashes.parquet"
    write_shared(outcome.kept, EVALUATION_KEYPOINTS.schema.empty_table(), path)
    again = hashed(listed(path).kept).kept
    names = [name for name in EVALUATION_IMAGE.schema.names if name != "evaluation_file"]
    order = [("evaluation_set", "ascending"), ("evaluation_path", "ascending")]
    assert again.select(names).sort_by(order).equals(outcome.kept.select(names).sort_by(order))
    assert "evaluation_file" not in pq.read_schema(path).names and outcome.kept.num_rows == 8


def test_a_shared_file_beside_its_set_is_refused(outcome: Outcome, evaluation: Path, tmp_path: Path) -> None:
    both = write_evaluation_files(tmp_path / "evaluation", draw)
    write_shared(outcome.kept, EVALUATION_KEYPOINTS.schema.empty_table(), both / "hashes.parquet")
    with pytest.raises(InputError, match="alpha is given twice"):
        listed(both)


@pytest.mark.parametrize("content", [b"no parquet", None])
def test_a_file_that_has_no_hashes_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.parquet"
    if content is None:
        pq.write_table(pa.table({"evaluation_set": ["a"], "phash": [1]}), path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.parquet"):
        list_shared(path)
