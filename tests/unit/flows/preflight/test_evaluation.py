"""Row counts of the comparison with evaluation sets, and faults of EVAL, before a build."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.preflight.evaluation import evaluation_gaps, evaluation_volumes
from flows.preflight.volumes import Halves
from flows.settings import Settings, load_settings
from schemas.tables import EVALUATION_IMAGE, EVALUATION_KEYPOINTS
from stages import STAGES
from stages.contamination.shared import write_shared

PICTURES = Halves(700, 300)


def with_eval(path: Path | str, *overrides: str, profile: str = "light") -> Settings:
    return load_settings(profile, [f'contamination.evaluation="{path}"', *overrides], STAGES)


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    for name in ("UCM/a.tif", "UCM/airport/b.TIF", "UCM/dataset.json", "RSICD/c.jpg"):
        (tmp_path / "sets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sets" / name).write_text('{"images": []}')
    return tmp_path / "sets"


def test_rows_follow_the_pictures_of_the_evaluation_sets(sets: Path) -> None:
    rows = evaluation_volumes(with_eval(sets, "contamination.n_candidates=7"), PICTURES)
    assert rows["hash_evaluation"].total == rows["describe_evaluation"].total == 3
    assert rows["compare_candidates"].total == rows["compare_sets"].total == 21
    assert rows["plan_gallery"] == PICTURES
    assert not list(evaluation_gaps(with_eval(sets)))


def test_pictures_that_dedup_sums_up_cost_nothing_again(sets: Path) -> None:
    by_hashes, by_keypoints = (
        evaluation_volumes(with_eval(sets, f'dedup.method="{method}"', 'dedup.candidates="keypoints"'), PICTURES)
        for method in ("hashes", "keypoints")
    )
    assert (by_hashes["summarise_gallery"], by_keypoints["summarise_gallery"]) == (PICTURES, Halves())


def test_without_eval_no_stage_of_it_has_rows() -> None:
    rows = evaluation_volumes(with_eval(""), PICTURES)
    assert {one.total for one in rows.values()} == {0}
    names = {stage.name for stage in STAGES if stage.module == "contamination"}
    assert set(rows) == names
    assert not list(evaluation_gaps(with_eval("")))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("hashes.parquet", b"PAR1", "cannot be read as parquet"),
        ("UCM/dataset.json", b"{", "cannot be read"),
        ("AID/aid-test.txt", b"\xff", "cannot be read"),
    ],
)
def test_an_unreadable_file_of_a_set_is_a_gap(sets: Path, name: str, content: bytes, words: str) -> None:
    (sets / "AID").mkdir()
    (sets / name).write_bytes(content)
    (gap,) = evaluation_gaps(with_eval(sets))
    assert gap.is_fatal and words in gap.problem and name in gap.problem


def test_hashes_of_another_version_are_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "hashes.parquet"
    write_shared(EVALUATION_IMAGE.schema.empty_table(), EVALUATION_KEYPOINTS.schema.empty_table(), path)
    assert not list(evaluation_gaps(with_eval(path)))
    pq.write_table(pq.read_table(path).replace_schema_metadata({"evaluation_hashes": "hashes 1"}), path)
    (gap,) = evaluation_gaps(with_eval(path))
    assert gap.is_fatal and "another version" in gap.problem


def test_a_missing_set_is_a_gap(tmp_path: Path) -> None:
    (gap,) = evaluation_gaps(with_eval(tmp_path / "gone"))
    assert gap.is_fatal and "gone is missing" in gap.problem
    assert evaluation_volumes(with_eval(tmp_path / "gone"), PICTURES)["hash_evaluation"].total == 0
