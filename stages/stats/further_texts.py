"""Count further texts by source: joined, published beside the captions, and published instead of one.

Of the layout `rs5m` alone no further text is published, unless instead of a caption.
"""

from schemas.statistic_tables import FURTHER_COUNT
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql


def count_further_texts(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per source of further texts and licence. A text of two samples counts twice."""
    found = run_sql(f"SELECT {', '.join(FURTHER_COUNT.schema.names)} FROM ({_COUNTS})", inputs)
    return Outcome(found.cast(FURTHER_COUNT.schema), no_rejects(FURTHER_COUNT))


_COUNTS = """
    WITH joined AS (
        SELECT text_source, text_licence, count(*) AS n_texts, count(DISTINCT sample_id) AS n_samples
        FROM further_text GROUP BY ALL
    ), listed AS (
        SELECT sample_id, unnest(further_sources) AS text_source, unnest(further_licences) AS text_licence
        FROM description SEMI JOIN shard USING (sample_id)
    ), beside AS (
        SELECT text_source, text_licence, count(*) AS n_texts_published,
               count(DISTINCT sample_id) AS n_samples_published
        FROM listed GROUP BY ALL
    ), instead AS (
        SELECT text_source, text_licence, count(DISTINCT sample_id) AS n_samples_instead
        FROM further_text JOIN shard_plan USING (sample_id) SEMI JOIN shard USING (sample_id)
        WHERE list_contains(caption_sources, text_source) GROUP BY ALL
    )
    SELECT text_source, text_licence, n_texts, n_samples, coalesce(n_texts_published, 0) AS n_texts_published,
           coalesce(n_samples_published, 0) AS n_samples_published, coalesce(n_samples_instead, 0) AS n_samples_instead
    FROM joined LEFT JOIN beside USING (text_source, text_licence) LEFT JOIN instead USING (text_source, text_licence)
    ORDER BY text_source, text_licence
"""

COUNT_FURTHER_TEXTS = Stage(
    name="count_further_texts",
    module="stats",
    version=1,
    does="Counts the texts that others published, by source: joined and published.",
    reads=(
        Reads("further_text", ("sample_id", "text_source", "text_licence"), is_whole=True),
        Reads("description", ("sample_id", "further_sources", "further_licences"), is_whole=True),
        Reads("shard_plan", ("sample_id", "caption_sources"), is_whole=True),
        Reads("shard", ("sample_id",), is_whole=True),
    ),
    writes=FURTHER_COUNT,
    grain="reduce",
    given=Given(query="SELECT DISTINCT text_source, text_licence FROM further_text", inputs=("further_text",)),
    run=count_further_texts,
    is_queried=True,
)
