"""List the samples whose caption is one of an evaluation set; nothing is removed for it."""

from schemas.tables import CONTAMINATED_CAPTION
from stages.contamination.captions import PLAIN_SQL
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import query_rows


def find_captions(inputs: Inputs, context: Context) -> Outcome:
    """Return each web sample with each split of an evaluation set that has the same caption."""
    kept = query_rows(_CAPTIONS, inputs)
    return Outcome(kept.cast(CONTAMINATED_CAPTION.schema), no_rejects(CONTAMINATED_CAPTION))


_CAPTIONS = f"""
    SELECT c.sample_id, e.evaluation_set, e.evaluation_split, e.evaluation_caption
    FROM candidate c JOIN evaluation_caption e ON {PLAIN_SQL.format("c.caption")} = e.evaluation_caption
    WHERE c.sample_id IN (SELECT sample_id FROM sample SEMI JOIN image USING (image_id))
    ORDER BY ALL
"""

FIND_CAPTIONS = Stage(
    name="find_captions",
    module="contamination",
    version=1,
    does="Lists the samples whose caption is also in an evaluation set.",
    reads=(
        Reads("sample", ("sample_id", "image_id"), is_whole=True),
        Reads("image", ("image_id",), is_whole=True),
        Reads("candidate", ("sample_id", "caption"), is_whole=True),
        Reads("evaluation_caption", ("evaluation_set", "evaluation_split", "evaluation_caption"), is_whole=True),
    ),
    writes=CONTAMINATED_CAPTION,
    grain="observe",
    given=Given(),
    run=find_captions,
    is_queried=True,
)
