"""Count contamination by evaluation set and corpus, and by pair of evaluation sets, for each measure."""

from schemas.statistic_tables import CONTAMINATION
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import run_sql

TOTAL = "Total"
CORPUS, OTHER = "corpus", "evaluation set"
# Every pair has a row, to distinguish zero from not compared.
_PAIRS = f"""
    WITH source AS (
        SELECT '{CORPUS}' AS source_kind, corpus AS source FROM sample
        UNION SELECT '{CORPUS}', '{TOTAL}'
        UNION SELECT '{OTHER}', evaluation_set FROM evaluation_file
    )
    SELECT DISTINCT evaluation_set, source_kind, source FROM evaluation_file CROSS JOIN source
"""
# A sample that several pictures of a set match counts for the first measure of these that finds one.
_MEASURES = {"n_by_pixels": "pixels", "n_by_phash": "phash", "n_by_keypoints": "keypoints"}
_SPLITS = {"n_in_train": "train", "n_in_val": "val", "n_in_test": "test", "n_in_unsplit": "all"}


def _count(condition: str, name: str) -> str:
    return f"count(DISTINCT id) FILTER ({condition}) AS {name}"


_NULLABLE = tuple(f.name for f in CONTAMINATION.schema if f.nullable)
_MATRIX = f"""
    WITH mark AS (
        SELECT evaluation_set, '{CORPUS}' AS source_kind, corpus AS source, sample_id AS id, evaluation_split, measure
        FROM contaminated JOIN sample USING (sample_id)
        UNION ALL
        SELECT other_set, '{OTHER}', evaluation_set, evaluation_path, other_split, measure FROM evaluation_overlap
    ), marks AS (
        FROM mark UNION ALL
        SELECT evaluation_set, source_kind, '{TOTAL}', id, evaluation_split, measure FROM mark
        WHERE source_kind = '{CORPUS}'
    ), caption AS (
        SELECT evaluation_set, '{CORPUS}' AS source_kind, coalesce(corpus, '{TOTAL}') AS source,
               count(DISTINCT sample_id) AS n_equal_captions
        FROM contaminated_caption JOIN sample USING (sample_id)
        GROUP BY GROUPING SETS ((evaluation_set, corpus), (evaluation_set))
    ), ground AS (
        SELECT evaluation_set, '{CORPUS}' AS source_kind, coalesce(corpus, '{TOTAL}') AS source,
               count(DISTINCT sample_id) AS n_on_same_ground
        FROM same_ground JOIN sample USING (sample_id)
        GROUP BY GROUPING SETS ((evaluation_set, corpus), (evaluation_set))
        UNION ALL
        SELECT other_set, '{OTHER}', evaluation_set, count(DISTINCT evaluation_path) FROM ground_overlap GROUP BY ALL
    ), ranked AS (
        SELECT *, min(array_position({list(_MEASURES.values())}, measure))
                  OVER (PARTITION BY evaluation_set, source_kind, source, id) AS first_measure
        FROM marks
    ), counted AS (
        SELECT evaluation_set, source_kind, source, count(DISTINCT id) AS n_contaminated,
               {", ".join(_count(f"first_measure = {n}", name) for n, name in enumerate(_MEASURES, 1))},
               {", ".join(_count(f"evaluation_split = '{split}'", name) for name, split in _SPLITS.items())}
        FROM ranked GROUP BY ALL
    ), pictures AS (SELECT evaluation_set, count(*) AS n_pictures FROM evaluation_image GROUP BY ALL
    ), captioned AS (SELECT DISTINCT evaluation_set, true AS has_captions FROM evaluation_caption
    ), placed AS (
        SELECT DISTINCT evaluation_set, true AS has_places FROM evaluation_place WHERE latitude_deg IS NOT NULL
    )
    SELECT evaluation_set, source_kind, source,
           {", ".join(f"coalesce({name}, 0) AS {name}" for name in CONTAMINATION.columns if name not in _NULLABLE)},
           -- Files of hashes have neither places nor captions; evaluation sets' captions are not compared.
           CASE WHEN has_places THEN coalesce(n_on_same_ground, 0) END AS n_on_same_ground,
           CASE WHEN has_captions AND source_kind = '{CORPUS}' THEN coalesce(n_equal_captions, 0) END
               AS n_equal_captions
    FROM ({_PAIRS}) LEFT JOIN pictures USING (evaluation_set)
    LEFT JOIN captioned USING (evaluation_set) LEFT JOIN placed USING (evaluation_set)
    LEFT JOIN counted USING (evaluation_set, source_kind, source)
    LEFT JOIN caption USING (evaluation_set, source_kind, source)
    LEFT JOIN ground USING (evaluation_set, source_kind, source)
    ORDER BY evaluation_set, source_kind, source = '{TOTAL}', source
"""


def count_contamination(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per evaluation set and corpus, and per pair of evaluation sets, with counts by measure and split.

    A row of two sets counts the source's pictures that the set also has; a row of a set with itself, those in two of
    its splits. Null is not compared: the set states no place, or has no captions.
    """
    found = run_sql(_MATRIX, inputs).select(CONTAMINATION.schema.names)
    return Outcome(found.cast(CONTAMINATION.schema), no_rejects(CONTAMINATION))


COUNT_CONTAMINATION = Stage(
    name="count_contamination",
    module="contamination",
    version=4,
    does="Counts contaminated samples by evaluation set and corpus, and pictures that evaluation sets share.",
    reads=(
        Reads("evaluation_file", ("evaluation_set",), is_whole=True),
        Reads("evaluation_image", ("evaluation_set",), is_whole=True),
        Reads("sample", ("sample_id", "corpus"), is_whole=True),
        Reads("contaminated", ("sample_id", "evaluation_set", "evaluation_split", "measure"), is_whole=True),
        Reads(
            "evaluation_overlap",
            ("evaluation_set", "evaluation_path", "other_set", "other_split", "measure"),
            is_whole=True,
        ),
        Reads("same_ground", ("sample_id", "evaluation_set"), is_whole=True),
        Reads("ground_overlap", ("evaluation_set", "evaluation_path", "other_set"), is_whole=True),
        Reads("contaminated_caption", ("sample_id", "evaluation_set"), is_whole=True),
        Reads("evaluation_caption", ("evaluation_set",), is_whole=True),
        Reads("evaluation_place", ("evaluation_set", "latitude_deg"), is_whole=True),
    ),
    writes=CONTAMINATION,
    grain="reduce",
    given=Given(query=_PAIRS, inputs=("evaluation_file", "sample")),
    run=count_contamination,
    is_queried=True,
)
