"""Statistics over both halves: RS3, samples with metadata, countries, months and UTM zones.

Queries over kept and reject rows beside the published figures; the funnel of PUB11 is in `stages/stats/stage.py`.
"""

from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from schemas.manifests import Published, PublishedMetadata
from schemas.statistic_tables import COUNTRY_COUNT, MONTH_COUNT, RS3, TEXT_COUNT, UTM_COUNT
from schemas.tables import Table
from stages.contract import Context, ContractError, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql
from stages.stats.stage import PUBLISHED, TOTAL


def count_rs3(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per labelled corpus and one for the total: images listed, lost at each stage, and left.

    Raises:
        ContractError: when a row does not add up: listed - unreadable - unselected - invalid - uncaptioned =
            remain.
    """
    outcome = _counted(RS3, _RS3, inputs, context)
    for row in outcome.kept.to_pylist():
        left = row["listed"] - sum(row[name] for name in ("unreadable", "unselected", "invalid", "uncaptioned"))
        if left != row["remain"]:
            raise ContractError(f"rs3 does not add up for {row['source']}: {left} against {row['remain']}")
    return outcome


def count_texts(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per corpus and one for the total: samples with meta caption, position, time, place."""
    return _counted(TEXT_COUNT, _TEXTS, inputs, context)


def count_countries(inputs: Inputs, context: Context) -> Outcome:
    """Return the number of published samples per country."""
    return _counted(COUNTRY_COUNT, _by("country_code", ("country_name",)), inputs, context)


def count_months(inputs: Inputs, context: Context) -> Outcome:
    """Return the number of published samples per month of the year."""
    return _counted(MONTH_COUNT, _by("month", ()), inputs, context)


def count_utm_zones(inputs: Inputs, context: Context) -> Outcome:
    """Return the number of published samples per UTM zone and hemisphere."""
    return _counted(UTM_COUNT, _by("utm_epsg", ("utm_zone", "utm_hemisphere")), inputs, context)


def _counted(table: Table, query: str, inputs: Inputs, context: Context) -> Outcome:
    tables = dict(inputs)
    if "published" in context.tools:
        tables["published"] = _metadata_table(context.tools["published"])
    found = run_sql(f"SELECT {', '.join(table.schema.names)} FROM ({query})", tables)
    return Outcome(found.cast(table.schema), no_rejects(table))


def _metadata_table(published: Published) -> pa.Table:
    names = tuple(PublishedMetadata.model_fields)
    schema = pa.schema([(name, pa.string() if name == "source" else pa.int64()) for name in names])
    return pa.Table.from_pylist([row.model_dump() for row in published.metadata], schema=schema)


_UNSELECTED = "seasonal_snow", "cloud_or_shadow", "outside_selection", "not_stated"
_LOST = "listed", "unreadable", "unselected", "invalid", "uncaptioned", "remain", "unpublished"
_RS3 = f"""
    WITH fate AS (
        SELECT sample_id, 'readable' AS fate FROM sample WHERE image_id IS NOT NULL
        UNION ALL SELECT sample_id, CASE WHEN reason IN {_UNSELECTED} THEN 'unselected' ELSE 'unreadable' END
                  FROM labelled_image_rejects
        UNION ALL SELECT sample_id, 'invalid' FROM sample SEMI JOIN image_rejects USING (image_id)
        UNION ALL SELECT DISTINCT sample_id, 'uncaptioned'
                  FROM (FROM caption_candidate_rejects UNION ALL FROM caption_score_rejects
                        UNION ALL FROM caption_rejects)
        UNION ALL SELECT sample_id, 'remain' FROM caption
        UNION ALL SELECT sample_id, 'unpublished' FROM (FROM shard_plan_rejects UNION ALL FROM shard_rejects)
    ), ours AS (
        SELECT coalesce(corpus, '{TOTAL}') AS source,
               count(*) FILTER (fate IN ('readable', 'unreadable', 'unselected')) AS listed,
               {", ".join(f"count(*) FILTER (fate = '{name}') AS {name}" for name in _LOST[1:])}
        FROM fate JOIN sample USING (sample_id) WHERE half = 'rs3' GROUP BY ROLLUP (corpus)
    )
    SELECT ours.*, p.remain AS published_remain FROM ours LEFT JOIN published p USING (source)
    ORDER BY source = '{TOTAL}', source
"""

_COUNTED = "with_time", "with_meta_caption", "with_position", "with_place"
_TEXTS = f"""
    WITH published_sample AS (
        SELECT corpus, half, meta_caption IS NOT NULL AS with_meta_caption,
               latitude_deg IS NOT NULL AS with_position, taken_at IS NOT NULL AS with_time,
               sample_id IN (SELECT sample_id FROM place WHERE place IS NOT NULL) AS with_place
        FROM shard JOIN sample USING (sample_id) JOIN geometa USING (sample_id)
    ), ours AS (
        SELECT coalesce(corpus, '{TOTAL}') AS source, count(*) AS samples,
               CASE WHEN corpus IS NULL THEN 'both' WHEN min(half) = 'rs3' THEN 'generated' ELSE 'web' END
                   AS caption_source,
               {", ".join(f"count(*) FILTER ({name}) AS {name}" for name in _COUNTED)}
        FROM published_sample GROUP BY ROLLUP (corpus)
    )
    SELECT ours.*, {", ".join(f"p.{name} AS published_{name}" for name in _COUNTED[1:])}
    FROM ours LEFT JOIN published p USING (source) ORDER BY source = '{TOTAL}', source
"""


def _by(key: str, others: tuple[str, ...]) -> str:
    columns = "".join(f", any_value({name}) AS {name}" for name in others)
    return f"""
        SELECT {key}{columns},
               count(*) FILTER (half = 'pub11') AS n_pub11, count(*) FILTER (half = 'rs3') AS n_rs3
        FROM shard JOIN sample USING (sample_id) JOIN geometa USING (sample_id)
        WHERE {key} IS NOT NULL GROUP BY {key} ORDER BY {key}
    """


def _rejects(table: str, *columns: str) -> Reads:
    return Reads(table, columns, is_whole=True, section="rejects")


_KEY = ("sample_id",)
_PUBLISHED_SAMPLES = Reads("shard", _KEY, is_whole=True)
_SAMPLES = Reads("sample", ("sample_id", "corpus", "half", "image_id"), is_whole=True)

COUNT_RS3 = Stage(
    name="count_rs3",
    module="stats",
    version=3,
    does="Counts the samples of the labelled corpora after each step, beside the published figures.",
    reads=(
        _SAMPLES,
        _rejects("labelled_image", *_KEY, "reason"),
        _rejects("image", "image_id"),
        _rejects("caption_candidate", *_KEY),
        _rejects("caption_score", *_KEY),
        _rejects("caption", *_KEY),
        Reads("caption", _KEY, is_whole=True),
        _rejects("shard_plan", *_KEY),
        _rejects("shard", *_KEY),
    ),
    writes=RS3,
    grain="reduce",
    given=Given(
        query=f"SELECT DISTINCT corpus AS source FROM sample WHERE half = 'rs3' UNION SELECT '{TOTAL}'",
        inputs=("sample",),
    ),
    run=count_rs3,
    is_queried=True,
    tools=(PUBLISHED,),
)

COUNT_TEXTS = Stage(
    name="count_texts",
    module="stats",
    version=1,
    does="Counts published samples with meta captions, positions, times and place names, beside the published figures.",
    reads=(
        _PUBLISHED_SAMPLES,
        replace(_SAMPLES, columns=("sample_id", "corpus", "half")),
        Reads("geometa", ("sample_id", "meta_caption", "latitude_deg", "taken_at"), is_whole=True),
        Reads("place", ("sample_id", "place"), is_whole=True),
    ),
    writes=TEXT_COUNT,
    grain="reduce",
    given=Given(
        query=f"SELECT DISTINCT corpus AS source FROM sample SEMI JOIN shard USING (sample_id) UNION SELECT '{TOTAL}'",
        inputs=("sample", "shard"),
    ),
    run=count_texts,
    is_queried=True,
    tools=(PUBLISHED,),
)


def _distribution(name: str, table: Table, key: str, does: str, run: Callable[[Inputs, Context], Outcome]) -> Stage:
    others = tuple(name for name in table.columns if not name.startswith("n_"))
    return Stage(
        name=name,
        module="stats",
        version=2,
        does=does,
        reads=(
            _PUBLISHED_SAMPLES,
            replace(_SAMPLES, columns=("sample_id", "half")),
            Reads("geometa", ("sample_id", key, *others), is_whole=True),
        ),
        writes=table,
        grain="reduce",
        given=Given(
            query=f"SELECT DISTINCT {key} FROM shard JOIN geometa USING (sample_id) WHERE {key} IS NOT NULL",
            inputs=("shard", "geometa"),
        ),
        run=run,
        is_queried=True,
    )


COUNT_COUNTRIES = _distribution(
    "count_countries", COUNTRY_COUNT, "country_code", "Counts published samples by country.", count_countries
)
COUNT_MONTHS = _distribution("count_months", MONTH_COUNT, "month", "Counts published samples by month.", count_months)
COUNT_UTM_ZONES = _distribution(
    "count_utm_zones", UTM_COUNT, "utm_epsg", "Counts published samples by UTM zone.", count_utm_zones
)
