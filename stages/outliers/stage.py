"""Outliers: set a threshold for each of the two scores, and drop the samples below either.

The scoring stages are in `scores.py`.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from schemas.tables import OUTLIER_RULE, RELEVANT
from stages.contract import (
    Context,
    Given,
    InputError,
    Inputs,
    Outcome,
    Reads,
    Stage,
    Tool,
    no_rejects,
)
from stages.embed.stage import ModelResources
from stages.models.opening import NONE
from stages.models.own_weights import stated_threshold
from stages.outliers.scores import DetectorChoice
from stages.outliers.survivors import SCORES
from stages.rows import blocks_of, map_rows, narrow, query_rows, run_sql

COLUMNS = {"vlm": "vlm_score_cos", "detector": "detector_prob"}
STATED = "stated"


class RuleParams(DetectorChoice):
    """The rule for the thresholds of the scores."""

    rule: Literal["quantile", "absolute"] = Field(
        "quantile", description="quantile: keep a share of all survivors; absolute: keep scores at or above a threshold"
    )
    top_share_vlm: float = Field(0.9, gt=0, le=1, description="share kept by vlm_score_cos")  # RS5M, section III-A
    top_share_detector: float = Field(0.8, gt=0, le=1, description="share kept by detector_prob")  # RS5M, III-A
    min_vlm_score_cos: float = Field(
        -1.0,
        ge=-1,
        le=1,
        description="minimum vlm_score_cos kept by the absolute rule; -1: all, the detector decides alone",
    )  # none is published (RS5M uses a quantile), and cosines differ between models: `make calibrate` sets it
    min_detector_prob: Annotated[float, Field(ge=0, le=1)] | Literal["stated"] = Field(
        0.5,
        description="minimum detector_prob kept by the absolute rule; stated: as the detector's metrics.json states it",
    )


def set_thresholds(inputs: Inputs, context: Context) -> Outcome:
    """Return the threshold of each score, and how many survivors have the score, reach the threshold, and equal it.

    A score that no model gives has the rule "none" and no threshold.
    """
    params: RuleParams = context.params
    scores = run_sql(f"SELECT {', '.join(COLUMNS.values())} FROM ({SCORES})", inputs)
    # Prompts are given if and only if an image-text model is configured.
    is_given = {"vlm": inputs["prompt"].num_rows > 0, "detector": params.detector != NONE}
    rows = []
    for name, column in COLUMNS.items():
        values = scores[column].drop_null().to_numpy()
        share = getattr(params, f"top_share_{name}") if params.rule == "quantile" and is_given[name] else None
        least = context.tools["threshold"] if name == "detector" else params.min_vlm_score_cos
        threshold = least if share is None else quantile_threshold(values, share)
        rows.append(
            {
                "score": name,
                "rule": params.rule if is_given[name] else NONE,
                "n_scored": len(values),
                "top_share": share,
                "threshold": threshold if is_given[name] else None,
                "n_at_least": int((values >= threshold).sum()),
                "n_tied": int((values == threshold).sum()),
            }
        )
    return Outcome(pa.Table.from_pylist(rows, schema=OUTLIER_RULE.schema), no_rejects(OUTLIER_RULE))


def quantile_threshold(scores: np.ndarray, share: float) -> float:
    """Return the ⌈share · N⌉-th largest score; scores of at least this value are kept, ties included.

    Args:
        scores: float64 [N].
        share: in (0, 1].
    """
    if not len(scores):
        return -math.inf
    # 0.9 x 10 is slightly more than 9 in floating point, and must not count as 10.
    n_kept = min(len(scores), max(1, math.ceil(round(share * len(scores), 9))))
    return float(np.partition(scores, len(scores) - n_kept)[len(scores) - n_kept])


def drop_outliers(inputs: Inputs, context: Context) -> Outcome:
    """Return the survivors that reach both thresholds; reject the others for the first missed, or a missing score.

    A score whose rule is "none" refuses nothing.
    """
    rules = {row["score"]: row for row in run_sql("SELECT * FROM outlier_rule", inputs).to_pylist()}
    is_given = {name: rules[name]["rule"] != NONE for name in COLUMNS}
    values = {f"has_{name}": is_given[name] for name in COLUMNS}
    values |= {f"least_{name}": rules[name]["threshold"] for name in COLUMNS}
    scored = {"scored": query_rows(f"{SCORES} ORDER BY sample_id", inputs)}
    kept = query_rows(f"SELECT * EXCLUDE reason FROM ({_JUDGED}) WHERE reason IS NULL", scored, **values)
    rejects = query_rows(_REJECTED, scored, **values)
    return Outcome(_ranked(kept, scored["scored"], is_given), rejects.cast(RELEVANT.reject_schema))


def _ranked(kept: Any, scored: Any, is_given: Mapping[str, bool]) -> Any:
    """Return the kept rows with the rank of each score among all survivors, 1 for the highest; equal scores share one.

    Here only the scores are sorted; DuckDB's windows sort whole rows, once for each score.
    """
    ascending = {name: np.sort(_scores(scored, COLUMNS[name])) for name in COLUMNS if is_given[name]}

    def rank(rows: pa.Table) -> pa.Table:
        for name in COLUMNS:
            ranks: pa.Array = pa.nulls(rows.num_rows, pa.int64())
            if name in ascending:
                at_most = np.searchsorted(ascending[name], rows[COLUMNS[name]].to_numpy(), side="right")
                ranks = pa.array(len(ascending[name]) - at_most + 1)
            rows = rows.append_column(f"{name}_rank", ranks)
        return rows.select(RELEVANT.schema.names).cast(RELEVANT.schema)

    return map_rows(kept, rank, RELEVANT.schema)


def _scores(rows: Any, column: str) -> np.ndarray:
    found = [block[column].drop_null().to_numpy() for block in blocks_of(narrow(rows, [column]))]
    return np.concatenate([np.zeros(0), *found])


_JUDGED = """
    SELECT *,
           CASE WHEN ($has_vlm AND vlm_score_cos IS NULL) OR ($has_detector AND detector_prob IS NULL) THEN 'no_score'
                WHEN vlm_score_cos < $least_vlm::DOUBLE THEN 'low_vlm_score'
                WHEN detector_prob < $least_detector::DOUBLE THEN 'low_detector_prob' END AS reason
    FROM scored
"""

_REJECTED = f"""
    SELECT sample_id, reason,
           concat_ws(', ',
               CASE WHEN $has_vlm THEN format('vlm {{}} of at least {{:.6f}}',
                   coalesce(round(vlm_score_cos, 6)::VARCHAR, 'none'), $least_vlm::DOUBLE) END,
               CASE WHEN $has_detector THEN format('detector {{}} of at least {{:.6f}}',
                   coalesce(round(detector_prob, 6)::VARCHAR, 'none'), $least_detector::DOUBLE) END) AS detail
    FROM ({_JUDGED}) WHERE reason IS NOT NULL
"""


_SCORED = (
    Reads("survivor", ("sample_id", "image_id"), is_whole=True),
    Reads("image", ("image_id", "pixel_sha256"), is_whole=True),
    Reads("vlm_score", ("pixel_sha256", "vlm_score_cos"), is_whole=True),
    Reads("detector_score", ("pixel_sha256", "detector_prob"), is_whole=True),
)


def _no_identity(params: RuleParams) -> Mapping[str, str]:
    return {}  # the setting is a parameter; the threshold that it refers to is in `found`


def _stated(params: RuleParams) -> bool:
    return (params.min_detector_prob, params.rule) == (STATED, "absolute") and params.detector != NONE


def _found_threshold(params: RuleParams, resources: ModelResources) -> Mapping[str, str] | None:
    try:
        return {STATED: str(stated_threshold(params.detector, resources.models))} if _stated(params) else {}
    except InputError:
        return None  # opening the tool says why


@contextmanager
def _open_threshold(params: RuleParams, resources: ModelResources) -> Iterator[float]:
    if _stated(params):
        yield stated_threshold(params.detector, resources.models)
    else:
        yield math.nan if isinstance(params.min_detector_prob, str) else params.min_detector_prob


SET_THRESHOLDS = Stage(
    name="set_thresholds",
    module="outliers",
    version=2,
    does="Sets the threshold of each score, over all survivors of PUB11 together.",
    reads=(*_SCORED, Reads("prompt", ("prompt",), is_whole=True)),
    writes=OUTLIER_RULE,
    grain="reduce",
    given=Given(query="SELECT unnest(['vlm', 'detector']) AS score"),
    run=set_thresholds,
    is_queried=True,
    params=RuleParams,
    resources=ModelResources,
    tools=(Tool("threshold", _no_identity, _open_threshold, _found_threshold),),
)

DROP_OUTLIERS = Stage(
    name="drop_outliers",
    module="outliers",
    version=2,
    does="Keeps the survivors that reach both thresholds.",
    reads=(*_SCORED, Reads("outlier_rule", ("score", "rule", "threshold"), is_whole=True)),
    writes=RELEVANT,
    grain="map",
    given=Given("survivor", ("sample_id",)),
    run=drop_outliers,
    is_queried=True,
    reasons=("no_score", "low_vlm_score", "low_detector_prob"),
)
