"""Statistics over the published samples: image sizes and caption lengths, beside the published figures."""

import pyarrow as pa

from schemas.manifests import Published
from schemas.statistic_tables import CAPTION_LENGTH, IMAGE_SIZE
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql
from stages.stats.stage import PUBLISHED, TOTAL

_EDGES = (0, 128, 256, 512, 1024)  # px; the published bins


def count_image_sizes(inputs: Inputs, context: Context) -> Outcome:
    """Return the number of published images by bins of width and of height, and their share in both halves."""
    published: Published = context.tools["published"]
    schema = pa.schema([("dimension", pa.string()), ("least_px", pa.int32()), ("share", pa.float64())])
    rows = [{"dimension": row.side, "least_px": row.least_px, "share": row.share} for row in published.image_sizes]
    theirs = pa.Table.from_pylist(rows, schema=schema)
    found = run_sql(_SIZES, {**inputs, "published": theirs})
    return Outcome(found.select(IMAGE_SIZE.schema.names).cast(IMAGE_SIZE.schema), no_rejects(IMAGE_SIZE))


def count_caption_lengths(inputs: Inputs, context: Context) -> Outcome:
    """Return the words of the published texts, split at white space, by corpus and in all."""
    words = context.tools["published"].caption_words
    found = run_sql(_LENGTHS, inputs, mean=words.mean, longest=words.max)
    return Outcome(found.select(CAPTION_LENGTH.schema.names).cast(CAPTION_LENGTH.schema), no_rejects(CAPTION_LENGTH))


_SIZES = f"""
    WITH edge AS (
        SELECT dimension, unnest([{", ".join(map(str, _EDGES))}]) AS least_px
        FROM (SELECT unnest(['width', 'height']) AS dimension)
    ), counted AS (
        SELECT dimension, list_max(list_filter([{", ".join(map(str, _EDGES))}], lambda e: e <= px)) AS least_px,
               count_if(half = 'pub11') AS n_pub11, count_if(half = 'rs3') AS n_rs3
        FROM (SELECT half, 'width' AS dimension, width_px AS px FROM metafile
              UNION ALL SELECT half, 'height', height_px FROM metafile)
        GROUP BY ALL
    )
    SELECT dimension, least_px, coalesce(n_pub11, 0) AS n_pub11, coalesce(n_rs3, 0) AS n_rs3,
           round((coalesce(n_pub11, 0) + coalesce(n_rs3, 0))
                 / nullif(sum(n_pub11 + n_rs3) OVER (PARTITION BY dimension), 0), 4) AS size_share,
           p.share AS published_size_share
    FROM edge LEFT JOIN counted USING (dimension, least_px) LEFT JOIN published p USING (dimension, least_px)
    ORDER BY dimension DESC, least_px
"""

_LENGTHS = f"""
    SELECT coalesce(corpus, '{TOTAL}') AS source, count(*) AS samples, round(avg(n_words), 2) AS mean_words,
           round(median(n_words), 1) AS median_words, max(n_words)::INT AS max_words,
           CASE WHEN corpus IS NULL THEN $mean::DOUBLE END AS published_mean_words,
           CASE WHEN corpus IS NULL THEN $longest::INT END AS published_max_words
    FROM (SELECT corpus, len(list_filter(string_split_regex(published_text, '\\s+'), lambda w: w <> '')) AS n_words
          FROM metafile)
    GROUP BY ROLLUP (corpus) ORDER BY source = '{TOTAL}', source
"""

COUNT_IMAGE_SIZES = Stage(
    name="count_image_sizes",
    module="stats",
    version=1,
    does="Counts published images by bins of width and height, beside the published shares.",
    reads=(Reads("metafile", ("sample_id", "half", "width_px", "height_px"), is_whole=True),),
    writes=IMAGE_SIZE,
    grain="reduce",
    given=Given(
        query=f"SELECT dimension, least_px FROM (SELECT unnest(['width', 'height']) AS dimension),"
        f" (SELECT unnest([{', '.join(map(str, _EDGES))}]) AS least_px)"
    ),
    run=count_image_sizes,
    is_queried=True,
    tools=(PUBLISHED,),
)

COUNT_CAPTION_LENGTHS = Stage(
    name="count_caption_lengths",
    module="stats",
    version=1,
    does="Counts the words of the published texts, beside the published figures.",
    reads=(Reads("metafile", ("sample_id", "corpus", "published_text"), is_whole=True),),
    writes=CAPTION_LENGTH,
    grain="reduce",
    given=Given(query=f"SELECT DISTINCT corpus AS source FROM metafile UNION SELECT '{TOTAL}'", inputs=("metafile",)),
    run=count_caption_lengths,
    is_queried=True,
    tools=(PUBLISHED,),
)
