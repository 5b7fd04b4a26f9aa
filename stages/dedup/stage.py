"""Dedup: cluster samples with equal URLs or equal or similar pictures; keep one of each cluster, by priority.

Clusters are described first and decided on later: another priority needs no new search for neighbours.
"""

import numpy as np
import pyarrow as pa

from schemas.reasons import DETAIL_MAX_CHARACTERS
from schemas.tables import CLUSTER_MEMBER, SURVIVOR
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.dedup.acquisitions import STATED_READS
from stages.dedup.labelling import IMAGE_COLUMNS, label_members, rank_members
from stages.dedup.settings import FEATURES, ClusterParams
from stages.rows import query_rows, run_sql


def cluster(inputs: Inputs, context: Context) -> Outcome:
    """Return each sample with a valid image, its cluster, the survivor, and why the sample is not the survivor.

    Clusters by hash, or by equal pixels alone with the method features, are joined where their pictures are a pair of
    copies. No cluster has pictures of one place at two stated dates; clusters that these dates alone keep apart have a
    same_place_id.
    """
    params: ClusterParams = context.params
    member = rank_members(inputs, params)
    ranked, labels = label_members(inputs, member, params)
    pairs = run_sql(_COPIES, {"ranked": ranked, "image": inputs["image"], "judged_pair": inputs["judged_pair"]})
    is_chained = params.is_chained or params.method == FEATURES
    clustered = {"member": member, "ranked": ranked, "labels": _join_labels(labels, pairs, is_chained=is_chained)}
    joined = "feature_duplicate" if params.method == FEATURES else "edited_duplicate"
    kept = query_rows(_CLUSTERS, clustered, max_distance=params.max_distance, joined=joined)
    return Outcome(kept.cast(CLUSTER_MEMBER.schema), no_rejects(CLUSTER_MEMBER))


def _join_labels(labels: pa.Table, pairs: pa.Table, *, is_chained: bool) -> pa.Table:
    """Return the labels as hash_label, and as label after the clusters of copies are joined.

    Args:
        labels: first_rank, label, place and date.
        pairs: two values of first_rank each.
        is_chained: whether clusters are connected components of pairs.
    """
    from stages.dedup.clusters import join_pairs

    found = labels["label"].to_numpy().astype(np.int64)
    places = np.full((pairs.num_rows, 2), -1, np.int64)
    order = np.argsort(labels["first_rank"].to_numpy())
    ranks = labels["first_rank"].to_numpy()[order]
    for n, name in enumerate(("first_rank", "second_rank")):
        places[:, n] = found[order[np.searchsorted(ranks, pairs[name].to_numpy())]]
    joined = pa.array(join_pairs(found, places, labels["date"].to_numpy(), is_chained=is_chained), pa.int64())
    return (
        labels.select(["first_rank", "place"])
        .append_column("hash_label", labels["label"])
        .append_column("label", joined)
    )


# The first image of each of the two pictures.
_COPIES = """
    WITH pair AS (FROM judged_pair WHERE pair_kind = 'copy'),
    paired AS (SELECT unnest([first_sha256, second_sha256]) AS pixel_sha256 FROM pair),
    first AS (
        SELECT pixel_sha256, min(first_rank) AS rank FROM ranked JOIN image USING (image_id)
        SEMI JOIN paired USING (pixel_sha256) GROUP BY pixel_sha256
    )
    SELECT a.rank AS first_rank, b.rank AS second_rank
    FROM pair JOIN first a ON a.pixel_sha256 = first_sha256 JOIN first b ON b.pixel_sha256 = second_sha256 ORDER BY ALL
"""
_CLUSTERS = """
    WITH picture AS (FROM ranked JOIN labels USING (first_rank)),
    placed AS (
        SELECT m.sample_id, m.image_id, m.rank, p.first_rank, p.pixels, p.phash, p.hashes, p.label,
               p.hash_label, p.place
        FROM member m JOIN picture p USING (image_id)
    ), place AS (SELECT place, min_by(sample_id, rank) AS same_place_id FROM placed WHERE place >= 0 GROUP BY place),
    cluster AS (SELECT label, count(*) AS n_samples, min(rank) AS rank FROM placed GROUP BY label),
    survivor AS (
        SELECT cluster.label, n_samples, sample_id, pixels, phash, hashes, hash_label
        FROM cluster JOIN placed USING (rank)
    ),
    compared AS (
        SELECT p.sample_id, p.image_id, p.rank, p.first_rank, s.sample_id AS survivor_id, s.n_samples,
               p.pixels = s.pixels AS is_same, p.hash_label <> s.hash_label AS is_joined, p.place,
               bit_count(xor(p.phash, s.phash)) AS shown_distance,
               -- One sample turned against the other as shown, and the reverse: bits near the median may differ.
               CASE WHEN NOT is_same THEN list_transform(p.hashes, lambda h: bit_count(xor(h, s.phash))) END AS turned,
               CASE WHEN NOT is_same THEN list_min(list_transform(s.hashes, lambda h: bit_count(xor(h, p.phash))))
                    END AS back_distance
        FROM placed p JOIN survivor s USING (label)
    ), described AS (
        SELECT *,
               CASE WHEN is_same THEN shown_distance ELSE least(list_min(turned), back_distance) END AS phash_distance,
               CASE WHEN is_same THEN 1 ELSE list_position(turned, list_min(turned)) END AS phash_orientation
        FROM compared
    )
    SELECT sample_id, image_id, survivor_id AS cluster_id, n_samples AS cluster_n_samples, survivor_id,
           CASE WHEN sample_id = survivor_id THEN NULL
                WHEN rank > first_rank THEN 'url_duplicate'
                WHEN is_same THEN 'pixel_duplicate'
                WHEN is_joined THEN $joined
                WHEN shown_distance > $max_distance AND phash_distance <= $max_distance THEN 'turned_duplicate'
                ELSE 'near_duplicate' END AS duplicate_reason,
           phash_distance, phash_orientation, same_place_id
    FROM described LEFT JOIN place USING (place) ORDER BY sample_id
"""


_OF_WEB = "FROM cluster_member SEMI JOIN (FROM sample WHERE half = 'pub11') USING (sample_id)"


def drop_duplicates(inputs: Inputs, context: Context) -> Outcome:
    """Return the survivors of PUB11; reject its other samples by kind of duplicate, and name their survivor.

    Labelled samples are marked in `cluster_member`, are never removed, and have no row here.
    """
    duplicates = {"of_web": query_rows(f"SELECT * {_OF_WEB} ORDER BY sample_id", inputs)}
    names = ", ".join(SURVIVOR.schema.names)
    kept = query_rows(f"SELECT {names} FROM of_web WHERE duplicate_reason IS NULL", duplicates)
    rejects = query_rows(_DUPLICATES, duplicates)
    return Outcome(kept.cast(SURVIVOR.schema), rejects.cast(SURVIVOR.reject_schema))


_DUPLICATES = f"""
    SELECT sample_id, duplicate_reason AS reason, left('kept: ' || survivor_id, {DETAIL_MAX_CHARACTERS}) AS detail
    FROM of_web WHERE duplicate_reason IS NOT NULL
"""


CLUSTER = Stage(
    name="cluster",
    module="dedup",
    version=6,
    does="Finds clusters of samples with equal URLs, or equal or similar pictures, over all corpora.",
    reads=(
        Reads("sample", ("sample_id", "corpus", "half", "image_id"), is_whole=True),
        Reads("image", IMAGE_COLUMNS, is_whole=True),
        Reads("judged_pair", ("first_sha256", "second_sha256", "pair_kind"), is_whole=True),
        *STATED_READS,
    ),
    writes=CLUSTER_MEMBER,
    grain="map",
    given=Given(query="SELECT sample_id FROM sample SEMI JOIN image USING (image_id)", inputs=("sample", "image")),
    run=cluster,
    is_queried=True,
    params=ClusterParams,
)

DROP_DUPLICATES = Stage(
    name="drop_duplicates",
    module="dedup",
    version=2,
    does="Keeps one web sample of each cluster.",
    reads=(
        Reads(
            "cluster_member", ("sample_id", "image_id", "cluster_id", "survivor_id", "duplicate_reason"), is_whole=True
        ),
        Reads("sample", ("sample_id", "half"), is_whole=True),
    ),
    writes=SURVIVOR,
    grain="map",
    given=Given(query=f"SELECT sample_id {_OF_WEB}", inputs=("cluster_member", "sample")),
    run=drop_duplicates,
    is_queried=True,
    reasons=(
        "url_duplicate",
        "pixel_duplicate",
        "near_duplicate",
        "turned_duplicate",
        "edited_duplicate",
        "feature_duplicate",
    ),
)
