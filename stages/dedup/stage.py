"""Dedup: cluster samples with equal URLs or equal or similar pictures; keep one of each cluster, by priority.

Clusters are described first and decided on later: another priority needs no new search for neighbours.
"""

from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from schemas.corpora import known_codes
from schemas.tables import CLUSTER_MEMBER, SURVIVOR
from stages.checks import DETAIL_MAX_CHARACTERS
from stages.contract import Context, Given, InputError, Inputs, Outcome, Params, Reads, Stage, no_rejects
from stages.images.orientations import N_ORIENTATIONS
from stages.rows import query_rows, run_sql


class ClusterParams(Params):
    """When pictures are duplicates, and which sample of a cluster is kept."""

    max_distance: int = Field(
        4, ge=0, le=10, description="maximum Hamming distance of near-duplicate perceptual hashes, bits"
    )  # speed.md: chance pairs appear by the hundred thousand at 10; 4 to 6 is safe for 5 million images
    min_detail: float = Field(
        0.05, ge=0, description="minimum detail of a perceptual hash, grey levels; below it only equal pixels match"
    )  # measured: plain bands, gradients and faint noise have less, 1,690 of 1,699 real pictures have more
    orientations: Literal["upright", "all"] = Field(
        "all", description="upright: compare pictures as shown; all: also mirrored and turned by quarters"
    )  # RS5M compared them as shown
    max_minutes: float = Field(
        5.0,
        gt=0,
        description="longest search for near hashes, by its estimate, minutes of one core; beyond, it is refused",
    )  # 5 million images: 1 at 4 bits, 3 at 6; from 10 on the cost grows faster than the square
    is_chained: bool = Field(
        False, description="join near images in chains, as RS5M did; if false, each duplicate is near the kept image"
    )
    priority: tuple[tuple[str, ...], ...] = Field(
        (("laion2b", "laion400m", "coyo700m"), ("*",), ("laioncoco",)),
        description="corpora in tiers, from the most to the least preferred; * means all others",
    )  # RS5M, appendix B5: never LAION-COCO if another exists; LAION-2B, LAION-400M or COYO first

    @field_validator("priority")
    @classmethod
    def _check_codes(cls, tiers: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        named = [code for tier in tiers for code in tier]
        known = known_codes()
        unknown = [code for code in named if code not in (*known, "*")]
        if unknown or len(set(named)) != len(named):
            raise ValueError(f"each of {', '.join(known)} or * at most once, found {unknown or named}")
        return tiers

    seed: str = Field("dedup", description="with the sample_id, orders samples of one tier")


def cluster(inputs: Inputs, context: Context) -> Outcome:
    """Return each sample with a valid image, its cluster, the survivor, and why the sample is not the survivor."""
    params: ClusterParams = context.params
    tiers = {code: tier for tier, codes in enumerate(params.priority) for code in codes}
    tier_table = pa.table({"corpus": list(tiers), "tier": pa.array(tiers.values(), pa.int32())})
    last = len(params.priority)
    options = {"seed": params.seed, "other": tiers.get("*", last), "labelled": last}
    member = query_rows(_MEMBERS, {**inputs, "tiers": tier_table}, **options)
    n_ways = 1 if params.orientations == "upright" else N_ORIENTATIONS
    ranked = query_rows(_RANKED_IMAGES, {"image": inputs["image"], "member": member}, n_ways=n_ways)
    images = run_sql("SELECT first_rank, pixels, hashes, phash_detail FROM ranked", {"ranked": ranked})
    labels = pa.table({"first_rank": images["first_rank"], "label": label_images(images, params)})
    clustered = {"member": member, "ranked": ranked, "labels": labels}
    kept = query_rows(_CLUSTERS, clustered, max_distance=params.max_distance)
    return Outcome(kept.cast(CLUSTER_MEMBER.schema), no_rejects(CLUSTER_MEMBER))


# The order (tier, digest) is total and depends only on the sample, not on partitions, files or time.
# No labelled sample outranks a web sample: duplicates in RS3 are marked, and PUB11 loses nothing to it.
_MEMBERS = """
    WITH tiered AS (
        SELECT s.sample_id, s.image_id,
               CASE WHEN s.half = 'rs3' THEN $labelled ELSE coalesce(t.tier, $other) END AS tier
        FROM sample s SEMI JOIN image USING (image_id) LEFT JOIN tiers t ON t.corpus = s.corpus
    )
    SELECT sample_id, image_id, row_number() OVER (ORDER BY tier, sha256($seed || ':' || sample_id)) AS rank
    FROM tiered
"""
# Images in order of survival, which is that of their first sample. Equal numbers in `pixels` are equal pixels.
_RANKED_IMAGES = """
    SELECT image_id, first_rank, min(first_rank) OVER (PARTITION BY pixel_sha256) AS pixels, phash, phash_detail,
           phash_orientations[:$n_ways] AS hashes
    FROM (SELECT image_id, min(rank) AS first_rank FROM member GROUP BY image_id) JOIN image USING (image_id)
    ORDER BY first_rank
"""
_CLUSTERS = """
    WITH picture AS (FROM ranked JOIN labels USING (first_rank)),
    placed AS (
        SELECT m.sample_id, m.image_id, m.rank, p.first_rank, p.pixels, p.phash, p.hashes, p.label
        FROM member m JOIN picture p USING (image_id)
    ), cluster AS (SELECT label, count(*) AS n_samples, min(rank) AS rank FROM placed GROUP BY label),
    survivor AS (
        SELECT cluster.label, n_samples, sample_id, pixels, phash, hashes FROM cluster JOIN placed USING (rank)
    ),
    compared AS (
        SELECT p.sample_id, p.image_id, p.rank, p.first_rank, s.sample_id AS survivor_id, s.n_samples,
               p.pixels = s.pixels AS is_same, bit_count(xor(p.phash, s.phash)) AS shown_distance,
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
                WHEN shown_distance > $max_distance AND phash_distance <= $max_distance THEN 'turned_duplicate'
                ELSE 'near_duplicate' END AS duplicate_reason,
           phash_distance, phash_orientation
    FROM described ORDER BY sample_id
"""


def label_images(images: pa.Table, params: ClusterParams) -> pa.Array:
    """Return a cluster label per image.

    Args:
        images: pixels, hashes (the picture as shown, then turned) and phash_detail of each image, in order of survival.
        params: the limits of similarity.

    Raises:
        InputError: the distance is so large that the search would take longer than max_minutes.
    """
    from stages.dedup.clusters import label_clusters  # numba takes half a second to import, in every worker
    from stages.dedup.neighbours import estimate_seconds

    hashes = images["hashes"].combine_chunks()
    ways = hashes.flatten().to_numpy().reshape(len(images), -1) if len(images) else np.empty((0, 1), np.uint64)
    minutes = estimate_seconds(len(images), params.max_distance, ways.shape[1] - 1) / 60
    if minutes > params.max_minutes:
        raise InputError(
            f"dedup.max_distance = {params.max_distance} would take about {minutes:.1f} minutes of a core for "
            f"{len(images):,} images: expected at most {params.max_minutes:g}; lower it, or raise dedup.max_minutes"
        )
    labels = label_clusters(
        images["pixels"].to_numpy().astype(np.int64),
        ways,
        images["phash_detail"].to_numpy(),
        params.max_distance,
        params.min_detail,
        is_chained=params.is_chained,
    )
    return pa.array(labels, pa.int64())


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
    version=4,
    does="Finds clusters of samples with equal URLs, or equal or similar pictures, over all corpora.",
    reads=(
        Reads("sample", ("sample_id", "corpus", "half", "image_id"), is_whole=True),
        Reads("image", ("image_id", "pixel_sha256", "phash", "phash_orientations", "phash_detail"), is_whole=True),
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
    reasons=("url_duplicate", "pixel_duplicate", "near_duplicate", "turned_duplicate"),
)
