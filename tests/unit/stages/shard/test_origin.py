from pathlib import Path

from stages.shard.origin import LIST_ORIGINS
from tests.contract.inputs import call_stage


def test_place_names_are_listed_in_order_and_null_for_a_sample_without_any(tmp_path: Path) -> None:
    """Names 0 and 2 of one sample are places, its name 1 is not, and neither is the only entry of the others."""
    _, outcome = call_stage(LIST_ORIGINS, tmp_path)
    rows = {row["sample_id"]: row for row in outcome.kept.to_pylist()}
    assert rows["laion2b_0_0"]["places"] == ["Ulm", "Bonn"]
    assert {sample_id for sample_id, row in rows.items() if row["places"]} == {"laion2b_0_0"} and len(rows) == 5


def test_a_sample_without_scores_or_cluster_is_kept_with_nulls(tmp_path: Path) -> None:
    _, outcome = call_stage(LIST_ORIGINS, tmp_path)
    row = next(row for row in outcome.kept.to_pylist() if row["sample_id"] == "ben_7")
    names = ("vlm_score_cos", "detector_prob", "cluster_id", "cluster_n_samples", "nsfw", "punsafe")
    assert [row[name] for name in names] == [None] * 6 and row["group_key"] == "a"
