"""Dedup: cluster samples with equal URLs or equal or similar pictures; keep one of each cluster, by priority.

Clusters are described first and decided on later: another priority needs no new search for neighbours.
"""

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from schemas.corpora import known_codes
from schemas.tables import CLUSTER_MEMBER, SURVIVOR
from stages.checks import DETAIL_MAX_CHARACTERS
from stages.contract import Context, Given, Inputs, Outcome, Params, Reads, Stage, no_rejects
from stages.rows import query_rows, run_sql


class ClusterParams(Params):
    """When pictures are duplicates, and which sample of a cluster is kept."""

    max_distance: int = Field(
        4, ge=0, le=10, description="maximum Hamming distance of near-duplicate perceptual hashes, bits"
    )  # speed.md: chance pairs appear by the hundred thousand at 10; 4 to 6 is safe for 5 million images
    min_detail: float = Field(
        0.05, ge=0, description="minimum detail of a perceptual hash, grey levels; below it only equal pixels match"
    )  # measured: plain bands, gradients and faint noise have less, 1,690 of 1,699 real pictures have more
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
    ranked = query_rows(_RANKED_IMAGES, {"image": inputs["image"], "member": member})
    images = run_sql("SELECT first_rank, pixels, phash, phash_detail FROM ranked", {"ranked": ranked})
    labels = pa.table({"first_rank": images["first_rank"], "label": label_images(images, params)})
    kept = query_rows(_CLUSTERS, {"member": member, "ranked": ranked, "labels": labels})
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
    SELECT image_id, first_rank, min(first_rank) OVER (PARTITION BY pixel_sha256) AS pixels, phash, phash_detail
    FROM (SELECT image_id, min(rank) AS first_rank FROM member GROUP BY image_id) JOIN image USING (image_id)
    ORDER BY first_rank
"""
_CLUSTERS = """
    WITH picture AS (FROM ranked JOIN labels USING (first_rank)),
    placed AS (
        SELECT m.sample_id, m.image_id, m.rank, p.first_rank, p.pixels, p.phash, p.label
        FROM member m JOIN picture p USING (image_id)
    ), cluster AS (SELECT label, count(*) AS n_samples, min(rank) AS rank FROM placed GROUP BY label),
    survivor AS (SELECT cluster.label, n_samples, sample_id, pixels, phash FROM cluster JOIN placed USING (rank))
    SELECT p.sample_id, p.image_id, s.sample_id AS cluster_id, s.n_samples AS cluster_n_samples,
           s.sample_id AS survivor_id,
           CASE WHEN p.sample_id = s.sample_id THEN NULL
                WHEN p.rank > p.first_rank THEN 'url_duplicate'
                WHEN p.pixels = s.pixels THEN 'pixel_duplicate'
                ELSE 'near_duplicate' END AS duplicate_reason,
           bit_count(xor(p.phash, s.phash)) AS phash_distance
    FROM placed p JOIN survivor s USING (label) ORDER BY p.sample_id
"""


def label_images(images: pa.Table, params: ClusterParams) -> pa.Array:
    """Return a cluster label per image.

    Args:
        images: pixels, phash and phash_detail of each image, in order of survival.
        params: the limits of similarity.
    """
    from stages.dedup.clusters import label_clusters  # scipy takes a quarter of a second to import, in every worker

    labels = label_clusters(
        images["pixels"].to_numpy().astype(np.int64),
        images["phash"].to_numpy(),
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
    version=3,
    does="Finds clusters of samples with equal URLs, or equal or similar pictures, over all corpora.",
    reads=(
        Reads("sample", ("sample_id", "corpus", "half", "image_id"), is_whole=True),
        Reads("image", ("image_id", "pixel_sha256", "phash", "phash_detail"), is_whole=True),
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
    reasons=("url_duplicate", "pixel_duplicate", "near_duplicate"),
)
