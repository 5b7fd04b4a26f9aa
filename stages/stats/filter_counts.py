"""Count the filter's results: rows by source file and reason, candidates by keyword and corpus."""

from schemas.statistic_tables import KEYWORD_COUNT, SOURCE_COUNT
from stages.contract import Context, ContractError, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql
from stages.stats.stage import TOTAL

_LEFT_ASIDE = ("other_language", "outside_pilot", "listed_again", "no_metadata_row", "labelled_sample")
_DAMAGED = ("damaged_source", "wrong_columns")
_OTHERS = ("given", "kept", "no_caption", "no_keyword", *_LEFT_ASIDE, *_DAMAGED)


def count_sources(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per partition of source files: row counts by result of the filter.

    Raises:
        ContractError: when a row does not add up.
    """
    found = run_sql(SOURCES_QUERY, inputs).cast(SOURCE_COUNT.schema)
    for row in found.to_pylist():
        total = sum(n for name, n in row.items() if name.startswith("n_rows_") and name != "n_rows_given")
        if total != row["n_rows_given"]:
            raise ContractError(f"source_count does not add up for {row['partition_name']}: {total} of {row}")
    return Outcome(found, no_rejects(SOURCE_COUNT))


def count_keywords(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per keyword and corpus, and one per keyword over all corpora."""
    return Outcome(run_sql(_KEYWORDS, inputs).cast(KEYWORD_COUNT.schema), no_rejects(KEYWORD_COUNT))


def _rows(reasons: tuple[str, ...], name: str) -> str:
    return f"coalesce(sum(n) FILTER (reason IN {(*reasons, '')}), 0)::BIGINT AS n_rows_{name}"


SOURCES_QUERY = f"""
    WITH file AS (
        SELECT partition AS partition_name, any_value(corpus) AS corpus, min(path) AS path,
               count(*) AS n_source_files
        FROM source_listing GROUP BY partition
    ), counted AS (
        SELECT partition AS partition_name,
               {_rows(("given",), "given")}, {_rows(("kept",), "kept")}, {_rows(("no_caption",), "no_caption")},
               {_rows(("no_keyword",), "no_keyword")}, {_rows(_LEFT_ASIDE, "left_aside")},
               coalesce(sum(n) FILTER (reason NOT IN {_OTHERS}), 0)::BIGINT AS n_rows_malformed,
               {_rows(_DAMAGED, "damaged")}
        FROM candidate_counts GROUP BY partition
    )
    SELECT {", ".join(SOURCE_COUNT.schema.names)} FROM file JOIN counted USING (partition_name) ORDER BY partition_name
"""
_KEYWORDS = f"""
    WITH hit AS (
        SELECT unnest(keywords) AS pattern, corpus AS source, strict_keywords FROM candidate
    )
    SELECT pattern, coalesce(source, '{TOTAL}') AS source, count(*) AS n_captions,
           count(*) FILTER (list_contains(strict_keywords, pattern)) AS n_strict
    FROM hit GROUP BY GROUPING SETS ((pattern, source), (pattern)) ORDER BY ALL
"""

COUNT_SOURCES = Stage(
    name="count_sources",
    module="stats",
    version=3,
    does="Counts the rows of each source file by result of the filter.",
    reads=(
        Reads("source_listing", ("corpus", "path", "partition"), is_whole=True),
        Reads("candidate", is_whole=True, section="counts"),
    ),
    writes=SOURCE_COUNT,
    grain="reduce",
    given=Given(
        query="SELECT DISTINCT partition AS partition_name FROM source_listing SEMI JOIN candidate_counts"
        " USING (partition)",
        inputs=("source_listing", "candidate_counts"),
    ),
    run=count_sources,
    is_queried=True,
)

COUNT_KEYWORDS = Stage(
    name="count_keywords",
    module="stats",
    version=2,
    does="Counts candidates by keyword and corpus, and how many pass the strict rules.",
    reads=(Reads("candidate", ("corpus", "keywords", "strict_keywords"), is_whole=True),),
    writes=KEYWORD_COUNT,
    grain="reduce",
    given=Given(
        query="SELECT DISTINCT unnest(keywords) AS pattern, corpus AS source FROM candidate"
        f" UNION SELECT DISTINCT unnest(keywords), '{TOTAL}' FROM candidate",
        inputs=("candidate",),
    ),
    run=count_keywords,
    is_queried=True,
)
