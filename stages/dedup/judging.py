"""Judge compared pairs of pictures: copies, the same place at another date, or nothing alike.

Not for choosing survivors: stage.py does that.
"""

from schemas.tables import JUDGED_PAIR
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.dedup.acquisitions import DATED, EXIF_COLUMNS, STATED_READS
from stages.dedup.settings import FEATURES, JudgeParams, off_without_pairs
from stages.rows import query_rows

_PAIRS = "SELECT DISTINCT pair_id FROM pair_side"
_JUDGED = f"""
    WITH {DATED}, pair AS (
        SELECT pair_id, min(pixel_sha256) FILTER (side = 0) AS first_sha256,
               min(pixel_sha256) FILTER (side = 1) AS second_sha256, min(pair_source) AS pair_source,
               min(feature_cos) AS feature_cos, min(phash_distance) AS phash_distance
        FROM pair_side GROUP BY pair_id
    ), measured AS (
        SELECT pair.*, n_inliers, a.date <> b.date AS is_other_date,
               CASE WHEN $is_by_features THEN true ELSE (
                   n_inliers >= $least
                   OR (n_inliers >= $least_near AND pair_correlation >= $least_near_correlation)
                   OR (n_inliers >= $least_close AND pair_correlation >= $least_pair_correlation)
               ) AND coalesce(pair_colour_distance, 0)
                   <= CASE WHEN n_inliers >= $least_sure THEN $most_sure_distance ELSE $most_colour_distance END
               OR (
                   pair_source = 'windows' AND window_correlation >= $least_correlation
                   AND window_colour_distance <= $most_colour_distance
               ) END AS is_alike
        FROM pair LEFT JOIN picture_pair USING (pair_id)
        LEFT JOIN dated a ON a.pixel_sha256 = first_sha256 LEFT JOIN dated b ON b.pixel_sha256 = second_sha256
    )
    SELECT {", ".join(name for name in JUDGED_PAIR.schema.names if name != "pair_kind")},
           CASE WHEN is_alike IS NULL THEN 'not_compared' WHEN NOT is_alike THEN 'unlike'
                WHEN is_other_date THEN 'same_place' ELSE 'copy' END AS pair_kind
    FROM measured ORDER BY pair_id
"""


def judge_pairs(inputs: Inputs, context: Context) -> Outcome:
    """Return each pair with its verdict: copy, same_place, unlike or not_compared.

    Pictures that agree are the same place, not copies, if place and date of both are stated and the dates differ.
    """
    params: JudgeParams = context.params
    options = {
        "is_by_features": params.method == FEATURES,
        "least": params.min_inliers,
        "least_near": params.min_near_inliers,
        "least_near_correlation": params.min_near_correlation,
        "least_close": params.min_close_inliers,
        "least_pair_correlation": params.min_pair_correlation,
        "least_correlation": params.min_window_correlation,
        "least_sure": params.min_sure_inliers,
        "most_colour_distance": params.max_colour_distance,
        "most_sure_distance": params.max_sure_colour_distance,
    }
    found = query_rows(_JUDGED, inputs, **options)
    names = JUDGED_PAIR.schema.names
    ordered = query_rows(f"SELECT {', '.join(names)} FROM found ORDER BY pair_id", {"found": found})
    return Outcome(ordered.cast(JUDGED_PAIR.schema), no_rejects(JUDGED_PAIR))


_MEASURES = (
    "n_inliers", "pair_correlation", "pair_colour_distance", "window_correlation", "window_colour_distance",
)  # fmt: skip

JUDGE_PAIRS = Stage(
    name="judge_pairs",
    module="dedup",
    version=8,
    does="Decides which compared pairs are copies, and which show the same place at another date.",
    reads=(
        Reads(
            "pair_side",
            ("pair_id", "side", "pixel_sha256", "pair_source", "feature_cos", "phash_distance"),
            is_whole=True,
        ),
        Reads("picture_pair", ("pair_id", *_MEASURES), is_whole=True),
        Reads("sample", ("sample_id", "image_id"), is_whole=True),
        Reads("image", ("image_id", "pixel_sha256", *EXIF_COLUMNS), is_whole=True),
        *STATED_READS,
    ),
    writes=JUDGED_PAIR,
    grain="reduce",
    given=Given(query=_PAIRS, inputs=("pair_side",)),
    run=judge_pairs,
    is_queried=True,
    params=JudgeParams,
    off=off_without_pairs,
)
