"""Outliers: set a threshold for each of the two scores, and drop the samples below either.

The scoring stages are in `scores.py`.
"""

import math
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from schemas.tables import OUTLIER_RULE, RELEVANT
from stages.contract import (
    Context,
    Given,
    Inputs,
    Outcome,
    Params,
    Reads,
    Stage,
    no_rejects,
)
from stages.rows import query_rows, run_sql

COLUMNS = {"vlm": "vlm_score_cos", "detector": "detector_prob"}


class RuleParams(Params):
    """The rule for the thresholds of the scores."""

    rule: Literal["quantile", "absolute"] = Field(
        "quantile", description="quantile: keep a share of all survivors; absolute: keep scores at or above a threshold"
    )
    top_share_vlm: float = Field(0.9, gt=0, le=1, description="share kept by vlm_score_cos")  # RS5M, section III-A
    top_share_detector: float = Field(0.8, gt=0, le=1, description="share kept by detector_prob")  # RS5M, III-A
    min_vlm_score_cos: float = Field(0.2, ge=-1, le=1, description="minimum vlm_score_cos kept by the absolute rule")
    min_detector_prob: float = Field(0.5, ge=0, le=1, description="minimum detector_prob kept by the absolute rule")


def set_thresholds(inputs: Inputs, context: Context) -> Outcome:
    """Return the threshold of each score, and how many survivors have the score, reach the threshold, and equal it."""
    params: RuleParams = context.params
    scores = run_sql(f"SELECT {', '.join(COLUMNS.values())} FROM ({_SCORES})", inputs)
    rows = []
    for name, column in COLUMNS.items():
        values = scores[column].drop_null().to_numpy()
        share = getattr(params, f"top_share_{name}") if params.rule == "quantile" else None
        least = getattr(params, f"min_{column}")
        threshold = least if share is None else quantile_threshold(values, share)
        rows.append(
            {
                "score": name,
                "rule": params.rule,
                "n_scored": len(values),
                "top_share": share,
                "threshold": threshold,
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
    """Return the survivors that reach both thresholds; reject the others for the first missed, or a missing score."""
    ranked = {"ranked": query_rows(_RANKED, inputs)}
    kept = query_rows(f"SELECT {', '.join(RELEVANT.schema.names)} FROM ranked WHERE reason IS NULL", ranked)
    rejects = query_rows(_REJECTED, ranked)
    return Outcome(kept.cast(RELEVANT.schema), rejects.cast(RELEVANT.reject_schema))


_SCORES = """
    SELECT u.sample_id, u.image_id, v.vlm_score_cos, d.detector_prob
    FROM survivor u JOIN image i USING (image_id)
    LEFT JOIN vlm_score v USING (pixel_sha256) LEFT JOIN detector_score d USING (pixel_sha256)
"""

_RANKED = f"""
    WITH ranked AS (
        SELECT *, rank() OVER (ORDER BY vlm_score_cos DESC NULLS LAST) AS vlm_rank,
               rank() OVER (ORDER BY detector_prob DESC NULLS LAST) AS detector_rank,
               (SELECT threshold FROM outlier_rule WHERE score = 'vlm') AS least_vlm,
               (SELECT threshold FROM outlier_rule WHERE score = 'detector') AS least_detector
        FROM ({_SCORES})
    )
    SELECT *, CASE WHEN vlm_score_cos IS NULL OR detector_prob IS NULL THEN 'no_score'
                   WHEN vlm_score_cos < least_vlm THEN 'low_vlm_score'
                   WHEN detector_prob < least_detector THEN 'low_detector_prob' END AS reason
    FROM ranked ORDER BY sample_id
"""

_REJECTED = """
    SELECT sample_id, reason,
           format('vlm {} of at least {:.6f}, detector {} of at least {:.6f}',
                  coalesce(round(vlm_score_cos, 6)::VARCHAR, 'none'), least_vlm,
                  coalesce(round(detector_prob, 6)::VARCHAR, 'none'), least_detector) AS detail
    FROM ranked WHERE reason IS NOT NULL
"""


_SCORED = (
    Reads("survivor", ("sample_id", "image_id"), is_whole=True),
    Reads("image", ("image_id", "pixel_sha256"), is_whole=True),
    Reads("vlm_score", ("pixel_sha256", "vlm_score_cos"), is_whole=True),
    Reads("detector_score", ("pixel_sha256", "detector_prob"), is_whole=True),
)

SET_THRESHOLDS = Stage(
    name="set_thresholds",
    module="outliers",
    version=1,
    does="Sets the threshold of each score, over all survivors of PUB11 together.",
    reads=_SCORED,
    writes=OUTLIER_RULE,
    grain="reduce",
    given=Given(query="SELECT unnest(['vlm', 'detector']) AS score"),
    run=set_thresholds,
    is_queried=True,
    params=RuleParams,
)

DROP_OUTLIERS = Stage(
    name="drop_outliers",
    module="outliers",
    version=1,
    does="Keeps the survivors that reach both thresholds.",
    reads=(*_SCORED, Reads("outlier_rule", ("score", "threshold"), is_whole=True)),
    writes=RELEVANT,
    grain="map",
    given=Given("survivor", ("sample_id",)),
    run=drop_outliers,
    is_queried=True,
    reasons=("no_score", "low_vlm_score", "low_detector_prob"),
)
