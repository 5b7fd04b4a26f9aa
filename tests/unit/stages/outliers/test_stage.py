import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import FIELD
from stages.checks import check_outcome
from stages.contract import Context, InputError, Outcome, Stage
from stages.embed.stage import ModelResources
from stages.outliers.stage import DROP_OUTLIERS, SET_THRESHOLDS, RuleParams, quantile_threshold
from stages.rows import FileRows, Space

Scores = dict[str, tuple[float | None, float | None]]


def tables_of(stage: Stage, rows: dict[str, list[dict[str, Any]]]) -> dict[str, pa.Table]:
    return {
        reads.name: pa.Table.from_pylist(
            [{name: row[name] for name in reads.columns} for row in rows[reads.name]],
            pa.schema([(name, FIELD[name].type) for name in reads.columns]),
        )
        for reads in stage.reads
    }


def run(stage: Stage, rows: dict[str, list[dict[str, Any]]], params: RuleParams, models: str = "none") -> Outcome:
    inputs = tables_of(stage, rows)
    resources = ModelResources(models=models)
    with ExitStack() as stack:
        tools = {tool.name: stack.enter_context(tool.open(params, resources)) for tool in stage.tools}
        outcome = stage.run(inputs, Context("whole", params, resources, tools, None, Path()))  # type: ignore[arg-type]
    check_outcome(stage, inputs, outcome)
    return outcome


def as_files(inputs: dict[str, pa.Table], folder: Path) -> dict[str, FileRows]:
    found = {}
    for name, table in inputs.items():
        pq.write_table(table, folder / f"{name}.parquet")
        found[name] = FileRows((folder / f"{name}.parquet",), table.schema, table.num_rows, Space(folder, 1 << 28))
    return found


def decide(
    scores: Scores, *, models: str = "none", prompts: Sequence[str] = ("an image",), **settings: Any
) -> tuple[dict[str, dict[str, Any]], dict[str, str], list[dict[str, Any]]]:
    """Return the thresholds, the reasons of rejected samples, and the kept rows."""
    rows = {
        "survivor": [{"sample_id": s, "image_id": f"image {s}"} for s in scores],
        "image": [{"image_id": f"image {s}", "pixel_sha256": f"pixels {s}"} for s in scores],
        "vlm_score": [
            {"pixel_sha256": f"pixels {s}", "vlm_score_cos": v} for s, (v, _) in scores.items() if v is not None
        ],
        "detector_score": [
            {"pixel_sha256": f"pixels {s}", "detector_prob": d} for s, (_, d) in scores.items() if d is not None
        ],
        "prompt": [{"prompt": text} for text in prompts],
    }
    params = RuleParams(**settings)
    rules = run(SET_THRESHOLDS, rows, params, models).kept.to_pylist()
    outcome = run(DROP_OUTLIERS, {**rows, "outlier_rule": rules}, params)
    reasons = {row["sample_id"]: row["reason"] for row in outcome.rejects.to_pylist()}
    return {rule["score"]: rule for rule in rules}, reasons, outcome.kept.to_pylist()


@pytest.mark.parametrize(
    ("n", "share", "n_kept"), [(10, 0.9, 9), (10, 0.8, 8), (11, 0.9, 10), (3, 0.9, 3), (1, 0.1, 1), (1000, 0.001, 1)]
)
def test_the_quantile_rule_keeps_the_rounded_up_share(n: int, share: float, n_kept: int) -> None:
    scores = np.random.default_rng(n).permutation(n).astype(float)
    assert int((scores >= quantile_threshold(scores, share)).sum()) == n_kept


@given(st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=60), st.floats(0.01, 1, exclude_min=True))
def test_with_ties_at_least_the_share_and_nothing_below_the_threshold_is_kept(
    scores: list[float], share: float
) -> None:
    values = np.array(scores)
    threshold = quantile_threshold(values, share)
    assert threshold in scores
    n_kept, n_above = int((values >= threshold).sum()), int((values > threshold).sum())
    assert n_kept >= round(share * len(scores), 9) > n_above - 1e-9
    assert n_above < n_kept


def test_ties_at_the_threshold_are_all_kept_and_counted() -> None:
    scores: Scores = {f"cc3m_0_{n}": (0.5 if n < 6 else 0.1, 1.0) for n in range(10)}
    rules, reasons, kept = decide(scores, top_share_vlm=0.3, top_share_detector=1.0)
    assert {name: rules["vlm"][name] for name in ("n_scored", "threshold", "n_at_least", "n_tied")} == {
        "n_scored": 10, "threshold": 0.5, "n_at_least": 6, "n_tied": 6,
    }  # fmt: skip
    assert len(kept) == 6 and set(reasons.values()) == {"low_vlm_score"}
    assert {row["vlm_rank"] for row in kept} == {1}


def test_thresholds_are_over_all_survivors_and_a_sample_must_reach_both() -> None:
    scores: Scores = {f"cc3m_0_{n}": (n / 10, (9 - n) / 10) for n in range(10)}
    rules, reasons, kept = decide(scores)
    assert (rules["vlm"]["threshold"], rules["detector"]["threshold"]) == (0.1, 0.2)
    assert reasons == {"cc3m_0_0": "low_vlm_score", "cc3m_0_8": "low_detector_prob", "cc3m_0_9": "low_detector_prob"}
    assert len(kept) == 7


def test_the_absolute_rule_does_not_depend_on_the_other_samples() -> None:
    all_good: Scores = {f"cc3m_0_{n}": (0.5, 0.9) for n in range(5)}
    rules, reasons, kept = decide(all_good, rule="absolute", min_vlm_score_cos=0.4, min_detector_prob=0.9)
    assert not reasons and len(kept) == 5
    assert rules["vlm"]["rule"] == "absolute" and rules["vlm"]["top_share"] is None
    _, reasons, _ = decide({**all_good, "cc3m_0_9": (0.39, 0.9)}, rule="absolute", min_vlm_score_cos=0.4)
    assert reasons == {"cc3m_0_9": "low_vlm_score"}


def test_a_sample_without_a_score_is_rejected_and_does_not_change_thresholds() -> None:
    scores: Scores = {f"cc3m_0_{n}": (n / 10, 0.9) for n in range(10)}
    rules, reasons, _ = decide({**scores, "cc3m_0_a": (None, 0.9), "cc3m_0_b": (0.9, None)}, top_share_detector=1.0)
    assert rules["vlm"]["n_scored"] == 11
    assert reasons["cc3m_0_a"] == reasons["cc3m_0_b"] == "no_score"


def test_no_survivors_give_no_rows_and_no_error() -> None:
    rules, reasons, kept = decide({})
    assert rules["vlm"]["n_scored"] == 0 and not reasons and not kept


def test_the_vlm_decides_alone_without_a_detector() -> None:
    scores: Scores = {f"cc3m_0_{n}": (n / 10, None) for n in range(10)}
    rules, reasons, kept = decide(scores, detector="none", rule="absolute", min_vlm_score_cos=0.7)
    assert (rules["detector"]["rule"], rules["detector"]["threshold"]) == ("none", None)
    assert len(reasons) == 7 and set(reasons.values()) == {"low_vlm_score"}
    assert {(row["detector_prob"], row["detector_rank"]) for row in kept} == {(None, None)}
    assert sorted(row["vlm_rank"] for row in kept) == [1, 2, 3]


def test_the_detector_decides_alone_without_a_vlm() -> None:
    scores: Scores = {f"cc3m_0_{n}": (None, n / 10) for n in range(10)}
    rules, reasons, kept = decide(scores, prompts=(), top_share_detector=0.3)
    assert (rules["vlm"]["rule"], rules["detector"]["threshold"]) == ("none", 0.7)
    assert len(reasons) == 7 and set(reasons.values()) == {"low_detector_prob"} and len(kept) == 3


def test_a_sample_without_the_score_of_a_used_model_is_not_kept_silently() -> None:
    _, reasons, kept = decide({"cc3m_0_0": (0.5, None), "cc3m_0_1": (None, 0.9)})
    assert set(reasons.values()) == {"no_score"} and len(reasons) == 2 and not kept


def test_without_either_model_everything_is_kept() -> None:
    rules, reasons, kept = decide({"cc3m_0_0": (None, None)}, prompts=(), detector="none")
    assert {rule["rule"] for rule in rules.values()} == {"none"} and not reasons and len(kept) == 1


def test_the_detectors_own_threshold_is_used_and_fingerprinted(tmp_path: Path) -> None:
    scores: Scores = {f"cc3m_0_{n}": (0.5, n / 10) for n in range(10)}
    settings = {"detector": "rs-lite0", "rule": "absolute", "min_detector_prob": "stated"}
    tool, resources = SET_THRESHOLDS.tools[0], ModelResources(models=str(tmp_path))
    assert tool.found(RuleParams(**settings), resources) is None
    with pytest.raises(InputError, match="make train-detector"):
        decide(scores, models=str(tmp_path), **settings)
    (tmp_path / "rs-lite0").mkdir()
    (tmp_path / "rs-lite0" / "metrics.json").write_text(json.dumps({"threshold": 0.6}))
    rules, _, kept = decide(scores, models=str(tmp_path), **settings)
    assert rules["detector"]["threshold"] == 0.6 and len(kept) == 4
    assert tool.found(RuleParams(**settings), resources) == {"stated": "0.6"}
    assert tool.found(RuleParams(detector="rs-lite0"), resources) == {}, "a number is a parameter, not a dependency"


def test_ranks_count_all_survivors_and_are_the_same_from_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    n = 400
    pictures = rng.integers(0, 250, n)  # several samples of one picture have one score
    scores = {f"{k:064x}": (float(v), float(d)) for k, (v, d) in enumerate(rng.integers(0, 40, (250, 2)) / 40)}
    missing = {name: set(rng.choice(list(scores), 12, replace=False)) for name in ("vlm", "detector")}
    rows: dict[str, list[dict[str, Any]]] = {
        "survivor": [{"sample_id": f"cc3m_0_{k:03d}", "image_id": f"image {k}"} for k in range(n)],
        "image": [{"image_id": f"image {k}", "pixel_sha256": f"{pictures[k]:064x}"} for k in range(n)],
        "vlm_score": [
            {"pixel_sha256": k, "vlm_score_cos": v} for k, (v, _) in scores.items() if k not in missing["vlm"]
        ],
        "detector_score": [
            {"pixel_sha256": k, "detector_prob": d} for k, (_, d) in scores.items() if k not in missing["detector"]
        ],
        "outlier_rule": [
            {"score": "vlm", "rule": "quantile", "threshold": 0.2},
            {"score": "detector", "rule": "absolute", "threshold": 0.4},
        ],
    }
    in_memory = run(DROP_OUTLIERS, rows, RuleParams())
    found = DROP_OUTLIERS.run(
        as_files(tables_of(DROP_OUTLIERS, rows), tmp_path),
        Context("whole", RuleParams(), ModelResources(), {}, None, Path()),  # type: ignore[arg-type]
    )
    assert pa.concat_tables(found.kept.batches()).equals(in_memory.kept)
    assert pa.concat_tables(found.rejects.batches()).equals(in_memory.rejects)

    keys = [f"{picture:064x}" for picture in pictures]
    vlm = [scores[key][0] for key in keys if key not in missing["vlm"]]
    detector = [scores[key][1] for key in keys if key not in missing["detector"]]
    expected = [
        {"sample_id": f"cc3m_0_{k:03d}", "vlm_rank": 1 + sum(other > scores[key][0] for other in vlm),
         "detector_rank": 1 + sum(other > scores[key][1] for other in detector)}
        for k, key in enumerate(keys)
        if key not in missing["vlm"] | missing["detector"] and scores[key][0] >= 0.2 and scores[key][1] >= 0.4
    ]  # fmt: skip
    assert [{name: row[name] for name in expected[0]} for row in in_memory.kept.to_pylist()] == expected
    assert len(expected) < n / 2 and set(in_memory.rejects["reason"].to_pylist()) == {
        "no_score", "low_vlm_score", "low_detector_prob",
    }  # fmt: skip
