from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.contract import Context
from stages.shard.origin import LIST_ORIGINS, list_origins
from stages.stated import COLUMNS, read_stated
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


def test_a_dataset_made_again_has_the_rights_and_scores_that_are_stated(tmp_path: Path) -> None:
    inputs, before = call_stage(LIST_ORIGINS, tmp_path)
    stated = {name: ["ben_7", "laion2b_0_0"] if name == "sample_id" else ["x", "x"] for name in COLUMNS}
    of_image = {"annotation_licence": ["CC0", None], "image_licence": [None, "CC-BY"], "detector_prob": [None, 0.25]}
    path = tmp_path / "stated.parquet"
    pq.write_table(pa.table({**stated, **of_image, "caption_model_licence": ["MIT", None]}), path)
    tools = {"stated": read_stated(path)}  # vlm_score_cos is missing, as in files of other versions
    after = list_origins(inputs, Context("whole", None, None, tools, None, Path()))  # type: ignore[arg-type]
    first, second = ({row["sample_id"]: row for row in found.kept.to_pylist()} for found in (before, after))
    changed = {key: {k: v for k, v in row.items() if v != first[key][k]} for key, row in second.items()}
    assert changed.pop("ben_7") == {"annotation_licence": "CC0", "caption_model_licence": "MIT"}
    assert changed.pop("laion2b_0_0") == {"image_licence": "CC-BY", "detector_prob": 0.25}
    assert not any(changed.values()) and len(changed) == 3
