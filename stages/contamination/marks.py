"""Mark the samples whose picture is in an evaluation set, and pictures that two evaluation sets share.

Measures in order: equal pixels, near hashes, agreeing keypoints; the first one that finds a match is named.
It only marks; shard decides what is published.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from schemas.tables import CONTAMINATED, EVALUATION_OVERLAP, SET_MATCH
from stages.contamination.near import Hashes, Rows, nearest_within
from stages.contract import Context, Given, Inputs, Outcome, Params, Reads, Stage, no_rejects
from stages.images.keypoints import MIN_INLIERS
from stages.rows import query_rows, run_sql


class MatchParams(Params):
    """When a picture is one of an evaluation set."""

    max_distance: int = Field(
        4, ge=0, le=8, description="maximum Hamming distance of a sample's hash to one of an evaluation picture, bits"
    )  # as dedup.max_distance: chance pairs appear by the hundred thousand at 10
    max_window_distance: int = Field(
        2, ge=0, le=8, description="the same for windows of an evaluation picture: these are many, and chance adds up"
    )  # measured: at 4, 2 of 12,998 other drawn pictures match a window of 700 drawn views; at 2 none
    min_detail: float = Field(
        0.05, ge=0, description="minimum detail of a perceptual hash, grey levels; below it pictures never match"
    )  # as dedup.min_detail
    min_inliers: int = Field(
        16, ge=MIN_INLIERS, description="least number of places in which the keypoints of two pictures agree"
    )  # below dedup.min_inliers, which charts of one template decide: evaluation pictures are views from above. Of
    # 2,479 pairs with their nearest other pictures, real and drawn, 2,478 agree in no place and one in 7


@dataclass(frozen=True)
class _Queries:
    """The hashes of evaluation pictures to search for, sorted by set, split and path.

    Attributes:
        pictures: the evaluation pictures: evaluation_set, evaluation_split, evaluation_path.
        hashes: uint64 [n].
        picture: int64 [n], the row of each hash's picture.
        group: int64 [n], the set and split of each hash.
        names: string [n], how the picture was changed.
    """

    pictures: pa.Table
    hashes: Hashes
    picture: np.ndarray
    group: np.ndarray
    names: pa.Array


def find_contaminated(inputs: Inputs, context: Context) -> Outcome:
    """Return each sample with each split of an evaluation set that has its picture, and the nearest picture there.

    Equal pixels come before near hashes, these before agreeing keypoints; then the nearest. Pictures without detail
    never match, not even equal ones, since blank pictures are in many sets.
    """
    params: MatchParams = context.params
    found = run_sql("SELECT DISTINCT phash FROM image WHERE phash_detail >= $least", inputs, least=params.min_detail)
    near = _near(found["phash"], inputs["evaluation_image"], params)
    kept = query_rows(_MARKS, {**inputs, "near": near}, least=params.min_detail, inliers=params.min_inliers)
    return Outcome(kept.cast(CONTAMINATED.schema), no_rejects(CONTAMINATED))


def find_overlap(inputs: Inputs, context: Context) -> Outcome:
    """Return each evaluation picture with each other split, of the same or another set, that has the same picture."""
    params: MatchParams = context.params
    query = "SELECT DISTINCT phash FROM evaluation_image WHERE phash_detail >= $least"
    found = run_sql(query, inputs, least=params.min_detail)
    near = _near(found["phash"], inputs["evaluation_image"], params)
    kept = query_rows(_OVERLAP, {**inputs, "near": near}, least=params.min_detail, inliers=params.min_inliers)
    return Outcome(kept.cast(EVALUATION_OVERLAP.schema), no_rejects(EVALUATION_OVERLAP))


def _near(phash: pa.ChunkedArray, evaluation_image: pa.Table, params: MatchParams) -> pa.Table:
    """Return the nearest evaluation picture within the distance, per hash and split.

    Args:
        phash: uint64, distinct.
        evaluation_image: rows of evaluation_image.
        params: the maximum distance and the minimum detail.
    """
    hashes = np.sort(phash.to_numpy())
    queries = _queries(evaluation_image, params.min_detail)
    is_window = pc.starts_with(queries.names, "window").to_numpy(zero_copy_only=False)
    limits = ((~is_window, params.max_distance), (is_window, params.max_window_distance))
    found = [_nearest(hashes, queries, np.flatnonzero(chosen), limit) for chosen, limit in limits]
    return pa.concat_tables(found)


def _nearest(hashes: Hashes, queries: _Queries, chosen: Rows, max_distance: int) -> pa.Table:
    """Return the nearest of some queries to each hash in each split."""
    row, place, bits = nearest_within(hashes, queries.hashes[chosen], max_distance, queries.group[chosen])
    query = chosen[place]
    pictures = queries.pictures.take(pa.array(queries.picture[query], pa.int64()))
    return pa.table(
        {
            "phash": pa.array(hashes[row], pa.uint64()),
            **{name: pictures[name] for name in pictures.column_names},
            "match_variant": queries.names.take(pa.array(query, pa.int64())),
            "match_distance": pa.array(bits, pa.float64()),
        }
    )


def _queries(evaluation_image: pa.Table, min_detail: float) -> _Queries:
    rows = run_sql(
        "SELECT *, dense_rank() OVER (ORDER BY evaluation_set, evaluation_split) - 1 AS split_number"
        " FROM evaluation_image ORDER BY evaluation_set, evaluation_split, evaluation_path",
        {"evaluation_image": evaluation_image},
    ).combine_chunks()
    lengths = rows["variant_hashes"].combine_chunks().value_lengths().to_numpy()
    picture = np.repeat(np.arange(rows.num_rows), lengths)
    columns = {name: rows[name].combine_chunks().flatten() for name in ("variant_hashes", "variant_names")}
    has_detail = rows["variant_details"].combine_chunks().flatten().to_numpy() >= min_detail
    picture = picture[has_detail]
    return _Queries(
        rows.select(["evaluation_set", "evaluation_split", "evaluation_path"]),
        columns["variant_hashes"].to_numpy()[has_detail],
        picture,
        rows["split_number"].to_numpy()[picture],
        columns["variant_names"].filter(pa.array(has_detail)),
    )


_SPLIT = "evaluation_set, evaluation_split"
_ORDER = "array_position(['pixels', 'phash', 'keypoints'], measure), match_distance, n_inliers DESC, match_variant"
_BY_PIXELS = "'pixels' AS measure, 0 AS match_distance, 'upright' AS match_variant, NULL AS n_inliers"
_BY_HASH = "'phash', match_distance, match_variant, NULL"
_BY_KEYPOINTS = """
    'keypoints', NULL, format(
        'turned {:.0f} degrees, {:.2f} times as large{}', pair_turn_deg, pair_scale,
        CASE WHEN is_pair_mirrored THEN ', mirrored' ELSE '' END
    ), n_inliers
"""
_MARKS = f"""
    WITH shown AS (
        SELECT s.sample_id, i.pixel_sha256, i.phash FROM sample s JOIN image i USING (image_id)
        WHERE i.phash_detail >= $least
    ), found AS (
        SELECT sample_id, {_SPLIT}, min(evaluation_path) AS evaluation_path, {_BY_PIXELS}
        FROM shown JOIN evaluation_image USING (pixel_sha256) GROUP BY ALL
        UNION ALL
        SELECT sample_id, {_SPLIT}, evaluation_path, {_BY_HASH} FROM shown JOIN near USING (phash)
        UNION ALL
        SELECT sample_id, {_SPLIT}, evaluation_path, {_BY_KEYPOINTS}
        FROM shown JOIN evaluation_match USING (pixel_sha256)
        JOIN evaluation_image USING (evaluation_set, evaluation_path) WHERE n_inliers >= $inliers
    )
    SELECT {", ".join(CONTAMINATED.schema.names)} FROM found
    QUALIFY row_number() OVER (PARTITION BY sample_id, {_SPLIT} ORDER BY {_ORDER}, evaluation_path) = 1
    ORDER BY sample_id, {_SPLIT}
"""
_OVERLAP = f"""
    WITH shown AS (
        SELECT evaluation_set, evaluation_path, evaluation_split, pixel_sha256, phash FROM evaluation_image
        WHERE phash_detail >= $least
    ), other AS (
        SELECT evaluation_set AS other_set, evaluation_split AS other_split, evaluation_path AS other_path, pixel_sha256
        FROM shown
    ), near_other AS (
        SELECT evaluation_set AS other_set, evaluation_split AS other_split, evaluation_path AS other_path, phash,
               match_distance, match_variant
        FROM near
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
        FROM shown JOIN near_other USING (phash)
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

_HASHED = (
    "evaluation_set", "evaluation_path", "evaluation_split", "pixel_sha256", "phash", "phash_detail",
    "variant_names", "variant_hashes", "variant_details",
)  # fmt: skip
_AGREED = ("n_inliers", "pair_scale", "pair_turn_deg", "is_pair_mirrored")

FIND_CONTAMINATED = Stage(
    name="find_contaminated",
    module="contamination",
    version=3,
    does="Marks samples whose picture is in an evaluation set: by equal pixels, a near hash, or agreeing keypoints.",
    reads=(
        Reads("sample", ("sample_id", "image_id"), is_whole=True),
        Reads("image", ("image_id", "pixel_sha256", "phash", "phash_detail"), is_whole=True),
        Reads("evaluation_image", _HASHED, is_whole=True),
        Reads("evaluation_match", ("evaluation_set", "evaluation_path", "pixel_sha256", *_AGREED), is_whole=True),
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
    version=3,
    does="Finds the pictures that two evaluation sets share, or two splits of one.",
    reads=(
        Reads("evaluation_image", _HASHED, is_whole=True),
        Reads("set_match", (*SET_MATCH.key, *_AGREED), is_whole=True),
    ),
    writes=EVALUATION_OVERLAP,
    grain="observe",
    given=Given(),
    run=find_overlap,
    is_queried=True,
    params=MatchParams,
)
