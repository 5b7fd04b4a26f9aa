"""Find the samples that their corpora mark as unsafe by tag or score, and others with the same picture.

Not for judging pictures, which no model of this project does. Shard decides whether marked samples are removed.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from schemas.corpora import known_codes
from stages.contract import Params
from stages.rows import quote_text, run_sql

Probability = Annotated[float, Field(ge=0, le=1)]


class UnsafeParams(Params):
    """The tags and scores that mark a sample as unsafe, and whether it is published nevertheless."""

    nsfw: Literal["remove", "keep"] = Field(
        "remove", description="samples that their corpus marks as unsafe: remove, or keep (publish them too)"
    )
    nsfw_tags: tuple[str, ...] = Field(
        ("NSFW", "TRUE", "1"), description="tags of a corpus that mark a sample as unsafe, in any case"
    )  # LAION's are UNLIKELY, UNSURE and NSFW
    max_punsafe: Probability = Field(
        0.45, description="maximum probability of unsafe content to publish, as the corpus states it"
    )  # Re-LAION-5B's research-safe edition drops the rows above (laion.ai, blog/relaion-5b)
    max_punsafe_of: Mapping[str, Probability] = Field(
        {"coyo700m": 0.2}, description="the same for single corpora whose scores come from another model"
    )  # open_nsfw's README: pictures below 0.2 are likely safe; COYO itself holds none from 0.5 on

    @field_validator("max_punsafe_of")
    @classmethod
    def _names_corpora(cls, value: Mapping[str, float]) -> Mapping[str, float]:
        unknown = sorted(set(value) - set(known_codes()))
        if unknown:
            raise ValueError(f"no corpus has the code {unknown[0]!r}; codes: {', '.join(sorted(known_codes()))}")
        return value


def marks(params: UnsafeParams) -> str:
    """Return SQL for sample_id and mark of the candidates that their corpus marks as unsafe.

    Args:
        params: tags and thresholds; `nsfw` is ignored.
    """
    tags = ", ".join(quote_text(tag.strip().upper()) for tag in params.nsfw_tags)
    is_tagged = f"upper(trim(nsfw)) IN ({tags})" if tags else "false"
    others = "".join(f" WHEN {quote_text(code)} THEN {limit}" for code, limit in params.max_punsafe_of.items())
    limit = f"CASE corpus{others} ELSE {params.max_punsafe} END" if others else str(params.max_punsafe)
    return f"""
        SELECT sample_id, corpus || ': '
               || CASE WHEN {is_tagged} THEN 'tag ' || trim(nsfw) ELSE format('score {{:.3f}}', punsafe) END AS mark
        FROM candidate WHERE {is_tagged} OR punsafe > {limit}
    """


def unsafe_samples(params: UnsafeParams, inputs: Mapping[str, Any]) -> pa.Table:
    """Return sample_id and detail of the samples of `located` whose picture any corpus marks, one row per sample.

    A mark applies to the picture, not to the corpus's row: samples of other corpora with the same pixels are unsafe as
    well. Labelled images have no marks, since they come from remote sensing archives.

    Args:
        params: tags and thresholds.
        inputs: `located` with half, sample_id and image_id; `candidate`; `planned` with sample_id and fetch_id;
            `image` with image_id and pixel_sha256.
    """
    names = ("located", "candidate", "planned", "image")
    return run_sql(_UNSAFE.format(marks=marks(params)), {name: inputs[name] for name in names})


_UNSAFE = """
    WITH marked AS ({marks}), picture AS (
        SELECT pixel_sha256, min(mark) AS mark FROM marked JOIN planned USING (sample_id)
        JOIN image ON image_id = fetch_id GROUP BY pixel_sha256
    )
    SELECT sample_id, coalesce(marked.mark, picture.mark) AS detail
    FROM located JOIN image USING (image_id) LEFT JOIN marked USING (sample_id) LEFT JOIN picture USING (pixel_sha256)
    WHERE half = 'pub11' AND (marked.mark IS NOT NULL OR picture.mark IS NOT NULL) ORDER BY sample_id
"""
