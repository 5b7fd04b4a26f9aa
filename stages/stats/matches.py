"""Statistics over the match of images and captions: its histogram and its tiers, by corpus."""

from schemas.statistic_tables import CAPTION_COS_BIN, CAPTION_TIER
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql
from stages.stats.stage import TOTAL

BINS_A_UNIT = 50  # bins of .02
TOP_PERCENTS = (10, 20, 30, 50, 70, 100)  # 30 and 50: SkyScript and ScoreRS train on these shares


def count_caption_cosines(inputs: Inputs, context: Context) -> Outcome:
    """Return the number of scored samples by bins of caption_cos, by corpus and in all; empty bins have no row."""
    found = run_sql(_BINS, inputs)
    return Outcome(found.select(CAPTION_COS_BIN.schema.names).cast(CAPTION_COS_BIN.schema), no_rejects(CAPTION_COS_BIN))


def count_caption_tiers(inputs: Inputs, context: Context) -> Outcome:
    """Return the samples in each tier and its least cosine, by corpus and in all."""
    found = run_sql(_TIERS, inputs)
    return Outcome(found.select(CAPTION_TIER.schema.names).cast(CAPTION_TIER.schema), no_rejects(CAPTION_TIER))


_SCORED = """
    SELECT corpus, caption_cos, caption_top_share
    FROM caption_rank JOIN sample USING (sample_id) WHERE caption_cos IS NOT NULL
"""
_LEAST = f"floor(caption_cos * {BINS_A_UNIT})::INT"
_BINS = f"""
    SELECT coalesce(corpus, '{TOTAL}') AS source, least / {BINS_A_UNIT}::DOUBLE AS least_cos, count(*) AS n_matched
    FROM (SELECT corpus, {_LEAST} AS least FROM ({_SCORED}))
    GROUP BY GROUPING SETS ((corpus, least), (least)) ORDER BY source = '{TOTAL}', source, least_cos
"""
_TOPS = f"SELECT unnest([{', '.join(map(str, TOP_PERCENTS))}])::INT AS top_percent"
_TIERS = f"""
    SELECT coalesce(corpus, '{TOTAL}') AS source, top_percent, count_if(is_in) AS n_matched,
           round(min(caption_cos) FILTER (is_in), 4) AS least_caption_cos,
           round(avg(caption_cos) FILTER (is_in), 4) AS mean_caption_cos
    FROM (
        SELECT corpus, caption_cos, top_percent, caption_top_share <= top_percent / 100 AS is_in
        FROM ({_SCORED}), ({_TOPS})
    )
    GROUP BY GROUPING SETS ((corpus, top_percent), (top_percent))
    ORDER BY source = '{TOTAL}', source, top_percent
"""
_READS = (
    Reads("caption_rank", ("sample_id", "caption_cos", "caption_top_share"), is_whole=True),
    Reads("sample", ("sample_id", "corpus"), is_whole=True),
)

COUNT_CAPTION_COSINES = Stage(
    name="count_caption_cosines",
    module="stats",
    version=1,
    does="Counts samples by the cosine of image and caption, by corpus.",
    reads=_READS,
    writes=CAPTION_COS_BIN,
    grain="reduce",
    given=Given(
        query=f"SELECT DISTINCT source, least / {BINS_A_UNIT}::DOUBLE AS least_cos"
        f" FROM (SELECT unnest([corpus, '{TOTAL}']) AS source, {_LEAST} AS least FROM ({_SCORED}))",
        inputs=("caption_rank", "sample"),
    ),
    run=count_caption_cosines,
    is_queried=True,
)

COUNT_CAPTION_TIERS = Stage(
    name="count_caption_tiers",
    module="stats",
    version=1,
    does="Counts the samples in the tiers of the match of image and caption, by corpus.",
    reads=_READS,
    writes=CAPTION_TIER,
    grain="reduce",
    given=Given(
        query=f"SELECT DISTINCT source, top_percent FROM ({_TOPS}),"
        f" (SELECT unnest([corpus, '{TOTAL}']) AS source FROM ({_SCORED}))",
        inputs=("caption_rank", "sample"),
    ),
    run=count_caption_tiers,
    is_queried=True,
)
