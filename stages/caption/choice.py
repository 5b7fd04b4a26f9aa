"""Choose among the ranked captions of a sample.

Scores are computed in other stages, so another choice costs no forward pass.
"""

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from schemas.model_manifests import load_models
from schemas.tables import CAPTION
from stages.contract import Context, Inputs, Outcome, Params, rejects_table
from stages.rows import run_sql

RELEASED_LICENCE = "not stated by the release"  # its texts are a model's; RS5M's is BLIP-2 with OPT-6.7B


class TextParams(Params):
    """Where the captions of labelled images come from."""

    texts: Literal["generated", "released"] = Field(
        "generated", description="generated: by the captioner; released: the text in RS5M's released tars"
    )


class CaptionerParams(TextParams):
    """Which model draws captions."""

    captioner: str = Field(
        "blip2-opt-6.7b", description="a captioner of manifests/models.toml"
    )  # RS5M: BLIP2 with OPT-6.7B


class ChooseParams(CaptionerParams):
    """Which caption of a sample is published."""

    choice: Literal["either", "top", "invariant"] = Field(
        "either", description="top: the highest rank; invariant: the least variance; either: one of the two at random"
    )  # RS5M's training drew one of the two
    choice_seed: int = Field(0, description="with the sample's id, seeds the random choice")


def caption_model_licence(params: CaptionerParams) -> str:
    """Return the licence of the captioner's language model, as its manifest states it."""
    model = load_models().get(params.captioner)
    return model.language_model_licence if model is not None else "not stated"


def choose_captions(inputs: Inputs, context: Context) -> Outcome:
    """Return the captions chosen for each sample; reject samples whose captions are all empty."""
    params: ChooseParams = context.params
    if params.texts == "released":
        rows = run_sql(_RELEASED, inputs)
    else:
        rows = run_sql(_CHOSEN, inputs, choice=params.choice, seed=params.choice_seed)
    licence = RELEASED_LICENCE if params.texts == "released" else caption_model_licence(params)
    rows = rows.append_column("caption_model_licence", pa.repeat(licence, rows.num_rows))
    has_caption = pc.is_valid(rows["top_caption"])
    kept = rows.filter(has_caption).select(CAPTION.schema.names).cast(CAPTION.schema)
    lost = rows.filter(pc.invert(has_caption))
    reasons = pa.array(["no_caption_generated"] * lost.num_rows, pa.string())
    return Outcome(kept, rejects_table(CAPTION, {"sample_id": lost["sample_id"]}, reasons, lost["detail"]))


_CHOSEN = """
    WITH chosen AS (
        SELECT sample_id, format('{} captions, all empty', count(*)) AS detail,
               any_value(candidate_caption) FILTER (second_rank = 1) AS top_caption,
               first(candidate_caption ORDER BY rotation_variance, second_rank)
                   FILTER (rotation_variance IS NOT NULL) AS invariant_caption,
               $choice = 'top' OR $choice = 'either' AND sha256($seed || ':choice:' || sample_id) < '8' AS is_top
        FROM caption_score JOIN caption_candidate USING (sample_id, n)
        GROUP BY sample_id
        UNION ALL
        SELECT sample_id, 'no caption was drawn', NULL, NULL, false
        FROM labelled_image JOIN image ON image_id = sample_id ANTI JOIN caption_score USING (sample_id)
        WHERE released_caption IS NOT NULL
    )
    SELECT *, CASE WHEN is_top THEN top_caption ELSE invariant_caption END AS generated_caption
    FROM chosen ORDER BY sample_id
"""  # a hexadecimal digest is below '8' for half of the samples
_RELEASED = """
    WITH released AS (
        SELECT sample_id, nullif(trim(released_caption), '') AS caption
        FROM labelled_image JOIN image ON image_id = sample_id WHERE released_caption IS NOT NULL
        UNION ALL
        SELECT DISTINCT sample_id, NULL FROM caption_score
        ANTI JOIN (SELECT sample_id FROM labelled_image WHERE released_caption IS NOT NULL) USING (sample_id)
    )
    SELECT sample_id, caption AS top_caption, caption AS invariant_caption, caption AS generated_caption,
           'no text was released' AS detail
    FROM released ORDER BY sample_id
"""
# Samples with captions to choose from, and released images for which no caption was drawn.
GIVEN = """
    SELECT sample_id FROM caption_score UNION
    SELECT sample_id FROM labelled_image JOIN image ON image_id = sample_id WHERE released_caption IS NOT NULL
"""
