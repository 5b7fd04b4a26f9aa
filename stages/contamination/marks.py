"""Mark the samples whose picture is in an evaluation set, and pictures that two evaluation sets share.

Measures in order: equal pixels, near hashes, agreeing keypoints; the first one that finds a match is named.
It only marks; shard decides which samples are published.
"""

import pyarrow as pa

from schemas.tables import CONTAMINATED, EVALUATION_MATCH, EVALUATION_OVERLAP, SET_MATCH
from stages.contamination.hash_pairs import HASHED, find_near
from stages.contamination.settings import MatchParams, OverlapParams
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.rows import query_rows, run_sql


def find_contaminated(inputs: Inputs, context: Context) -> Outcome:
    """Return each sample with each split of an evaluation set that has its picture, and the nearest picture there.

    Equal pixels come before near hashes, these before agreeing keypoints; then the nearest. Pictures without detail
    never match, not even equal ones, since blank pictures are in many sets.
    """
    params: MatchParams = context.params
    kept = query_rows(_MARKS, inputs, **_limits(params))
    return Outcome(kept.cast(CONTAMINATED.schema), no_rejects(CONTAMINATED))


def find_overlap(inputs: Inputs, context: Context) -> Outcome:
    """Return each evaluation picture with each other split, of the same or another set, that has the same picture."""
    params: OverlapParams = context.params
    kept = query_rows(_OVERLAP, {**inputs, "near": _compare_near(inputs, params)}, **_limits(params))
    return Outcome(kept.cast(EVALUATION_OVERLAP.schema), no_rejects(EVALUATION_OVERLAP))


def _limits(params: MatchParams) -> dict[str, float]:
    return {
        "least": params.min_detail,
        "correlation": params.min_correlation,
        "colours": params.max_colour_distance,
        "inliers": params.min_inliers,
    }


def _compare_near(inputs: Inputs, params: OverlapParams) -> pa.Table:
    """Return the pairs of evaluation pictures of different splits with near hashes, and how they agree."""
    from stages.contamination.grey import correlate_variant, read_square  # imports scipy
    from stages.contamination.tints import read_tints, tint_distance

    query = "SELECT DISTINCT phash FROM evaluation_image WHERE phash_detail >= $least"
    phash = run_sql(query, inputs, least=params.min_detail)["phash"]
    near = find_near(phash, inputs["evaluation_image"], params)
    pairs = run_sql(_NEAR_PAIRS, {**inputs, "near": near}, least=params.min_detail)
    squares = run_sql(_SQUARES, inputs)
    levels, tints = squares["grey_square"], squares["colour_square"]
    correlations, distances = [], []
    for own, other, variant in zip(*(pairs[n].to_pylist() for n in ("own", "other", "match_variant")), strict=True):
        correlations.append(correlate_variant(levels[other].as_py(), variant, read_square(levels[own].as_py())))
        distances.append(tint_distance(tints[other].as_py(), variant, read_tints(tints[own].as_py())))
    pairs = pairs.append_column("match_correlation", pa.array(correlations, pa.float64()))
    return pairs.append_column("match_colour_distance", pa.array(distances, pa.float64()))


_SQUARES = "SELECT grey_square, colour_square FROM evaluation_image ORDER BY evaluation_set, evaluation_path"
_SPLIT = "evaluation_set, evaluation_split"
_ORDER = (
    "array_position(['pixels', 'phash', 'keypoints'], measure), match_distance, match_correlation DESC, n_inliers DESC"
)
_BY_PIXELS = """
    'pixels' AS measure, 0 AS match_distance, 'upright' AS match_variant, NULL AS match_correlation, NULL AS n_inliers
"""
_IS_NEAR = "match_correlation >= $correlation AND match_colour_distance <= $colours"
_BY_HASH = "'phash', match_distance, match_variant, match_correlation, NULL"
_BY_KEYPOINTS = """
    'keypoints', NULL, format(
        'turned {:.0f} degrees, {:.2f} times as large{}', pair_turn_deg, pair_scale,
        CASE WHEN is_pair_mirrored THEN ', mirrored' ELSE '' END
    ), NULL, n_inliers
"""
_MARKS = f"""
    WITH shown AS (
        SELECT s.sample_id, i.pixel_sha256 FROM sample s JOIN image i USING (image_id)
        WHERE i.phash_detail >= $least
    ), compared AS (
        FROM shown JOIN evaluation_match USING (pixel_sha256)
        JOIN (SELECT {_SPLIT}, evaluation_path FROM evaluation_image) USING (evaluation_set, evaluation_path)
    ), found AS (
        SELECT sample_id, {_SPLIT}, min(evaluation_path) AS evaluation_path, {_BY_PIXELS}
        FROM shown JOIN evaluation_image USING (pixel_sha256) GROUP BY ALL
        UNION ALL
        SELECT sample_id, {_SPLIT}, evaluation_path, {_BY_HASH} FROM compared WHERE {_IS_NEAR}
        UNION ALL
        SELECT sample_id, {_SPLIT}, evaluation_path, {_BY_KEYPOINTS} FROM compared WHERE n_inliers >= $inliers
    )
    SELECT {", ".join(CONTAMINATED.schema.names)} FROM found
    QUALIFY row_number() OVER (PARTITION BY sample_id, {_SPLIT} ORDER BY {_ORDER}, evaluation_path) = 1
    ORDER BY sample_id, {_SPLIT}
"""
_NEAR_PAIRS = f"""
    WITH numbered AS (
        SELECT {_SPLIT}, evaluation_path, phash, phash_detail,
               row_number() OVER (ORDER BY evaluation_set, evaluation_path) - 1 AS n
        FROM evaluation_image
    )
    SELECT a.evaluation_set, a.evaluation_split, a.evaluation_path, b.evaluation_set AS other_set,
           b.evaluation_split AS other_split, b.evaluation_path AS other_path, a.n AS own, b.n AS other,
           match_variant, match_distance
    FROM numbered a JOIN near USING (phash)
    JOIN numbered b ON b.evaluation_set = near.evaluation_set AND b.evaluation_path = near.evaluation_path
    WHERE a.phash_detail >= $least AND (a.evaluation_set, a.evaluation_split) <> (b.evaluation_set, b.evaluation_split)
"""
_OVERLAP = f"""
    WITH shown AS (
        SELECT evaluation_set, evaluation_path, evaluation_split, pixel_sha256 FROM evaluation_image
        WHERE phash_detail >= $least
    ), other AS (
        SELECT evaluation_set AS other_set, evaluation_split AS other_split, evaluation_path AS other_path, pixel_sha256
        FROM shown
    ), agreeing AS (
        SELECT * FROM set_match WHERE n_inliers >= $inliers
    ), agreeing_both AS (
        FROM agreeing UNION ALL BY NAME
        -- The turn from the second to the first is the reverse one, unless mirrored.
        SELECT other_set AS evaluation_set, other_path AS evaluation_path, evaluation_set AS other_set,
               evaluation_path AS other_path, n_inliers, is_pair_mirrored,
               CASE WHEN is_pair_mirrored THEN pair_turn_deg ELSE 0 - pair_turn_deg END AS pair_turn_deg,
               1 / pair_scale AS pair_scale
        FROM agreeing
    ), found AS (
        SELECT {_SPLIT}, evaluation_path, other_set, other_split, min(other_path) AS other_path, {_BY_PIXELS}
        FROM shown JOIN other USING (pixel_sha256) GROUP BY ALL
        UNION ALL
        SELECT {_SPLIT}, evaluation_path, other_set, other_split, other_path, {_BY_HASH}
        FROM near WHERE {_IS_NEAR}
        UNION ALL
        SELECT {_SPLIT}, evaluation_path, other_set, other_split, other_path, {_BY_KEYPOINTS}
        FROM shown JOIN agreeing_both USING (evaluation_set, evaluation_path) JOIN other USING (other_set, other_path)
    )
    SELECT {", ".join(EVALUATION_OVERLAP.schema.names)} FROM found
    WHERE (evaluation_set, evaluation_split) <> (other_set, other_split)
    QUALIFY row_number() OVER (
        PARTITION BY evaluation_set, evaluation_path, other_set, other_split ORDER BY {_ORDER}, other_path
    ) = 1
    ORDER BY evaluation_set, evaluation_path, other_set, other_split
"""

_SHOWN = ("evaluation_split", "pixel_sha256")
_PICTURE = ("pixel_sha256", "phash", "phash_detail", "grey_square", "colour_square")
_BY_SQUARES = ("match_distance", "match_variant", "match_correlation", "match_colour_distance")
_AGREED = ("n_inliers", "pair_scale", "pair_turn_deg", "is_pair_mirrored")

FIND_CONTAMINATED = Stage(
    name="find_contaminated",
    module="contamination",
    version=6,
    does="Marks samples whose picture is in an evaluation set: by equal pixels, a near hash, or agreeing keypoints.",
    reads=(
        Reads("sample", ("sample_id", "image_id"), is_whole=True),
        Reads("image", ("image_id", "pixel_sha256", "phash_detail"), is_whole=True),
        Reads("evaluation_image", ("evaluation_set", "evaluation_path", *_SHOWN), is_whole=True),
        Reads("evaluation_match", (*EVALUATION_MATCH.key, *_BY_SQUARES, *_AGREED), is_whole=True),
    ),
    writes=CONTAMINATED,
    grain="observe",
    given=Given(),
    run=find_contaminated,
    is_queried=True,
    params=MatchParams,
)

FIND_OVERLAP = Stage(
    name="find_overlap",
    module="contamination",
    version=6,
    does="Finds the pictures that two evaluation sets share, or two splits of one.",
    reads=(
        Reads("evaluation_image", (*HASHED, *_PICTURE), is_whole=True),
        Reads("set_match", (*SET_MATCH.key, *_AGREED), is_whole=True),
    ),
    writes=EVALUATION_OVERLAP,
    grain="observe",
    given=Given(),
    run=find_overlap,
    is_queried=True,
    params=OverlapParams,
)
