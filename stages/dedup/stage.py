"""Dedup: cluster samples with equal URLs or equal or similar pictures; keep one of each cluster, by priority.

Clusters are described first and decided on later: another priority needs no new search for neighbours.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from schemas.corpora import known_codes
from schemas.tables import CLUSTER_MEMBER, SURVIVOR
from stages.checks import run_sql
from stages.contract import Context, Given, Inputs, Outcome, Params, Reads, Stage, no_rejects, rejects_table


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
    tables = {**inputs, "tiers": tier_table}
    last = len(params.priority)
    options = {"seed": params.seed, "other": tiers.get("*", last), "labelled": last}
    ranked = run_sql(_RANKED_IMAGES, tables, **options)
    tables |= {"labels": pa.table({"image_id": ranked["image_id"], "label": label_images(ranked, params)})}
    kept = run_sql(_CLUSTERS, tables, **options)
    return Outcome(kept.cast(CLUSTER_MEMBER.schema), no_rejects(CLUSTER_MEMBER))


# The order (tier, digest) is total and depends only on the sample, not on partitions, files or time.
# No labelled sample outranks a web sample: duplicates in RS3 are marked, and PUB11 loses nothing to it.
_RANKED = """
    SELECT s.sample_id, s.image_id,
           CASE WHEN s.half = 'rs3' THEN $labelled ELSE coalesce(t.tier, $other) END AS tier,
           sha256($seed || ':' || s.sample_id) AS tie
    FROM sample s LEFT JOIN tiers t ON t.corpus = s.corpus
"""
# Images in order of survival, which is that of their first sample.
_RANKED_IMAGES = f"""
    SELECT image_id, pixel_sha256, phash, phash_detail
    FROM (SELECT image_id, min((tier, tie)) AS first FROM ({_RANKED}) GROUP BY image_id)
    JOIN image USING (image_id) ORDER BY first, image_id
"""
_CLUSTERS = f"""
    WITH member AS (
        SELECT r.*, i.pixel_sha256, i.phash, l.label
        FROM ({_RANKED}) r JOIN image i USING (image_id) JOIN labels l USING (image_id)
    ), ranked AS (
        SELECT *, count(*) OVER (PARTITION BY label) AS n_samples,
               first_value(sample_id) OVER in_cluster AS survivor_id,
               first_value(pixel_sha256) OVER in_cluster AS survivor_pixels,
               first_value(phash) OVER in_cluster AS survivor_phash,
               row_number() OVER (PARTITION BY image_id ORDER BY tier, tie) AS url_rank
        FROM member WINDOW in_cluster AS (PARTITION BY label ORDER BY tier, tie)
    )
    SELECT sample_id, image_id, survivor_id AS cluster_id, n_samples AS cluster_n_samples, survivor_id,
           CASE WHEN sample_id = survivor_id THEN NULL
                WHEN url_rank > 1 THEN 'url_duplicate'
                WHEN pixel_sha256 = survivor_pixels THEN 'pixel_duplicate'
                ELSE 'near_duplicate' END AS duplicate_reason,
           bit_count(xor(phash, survivor_phash)) AS phash_distance
    FROM ranked ORDER BY sample_id
"""


def label_images(images: pa.Table, params: ClusterParams) -> pa.Array:
    """Return a cluster label per image.

    Args:
        images: pixel_sha256, phash and phash_detail of each image, in order of survival.
        params: the limits of similarity.
    """
    from stages.dedup.clusters import label_clusters  # scipy takes a quarter of a second to import, in every worker

    pixels = pc.dictionary_encode(images["pixel_sha256"].combine_chunks()).indices.to_numpy(zero_copy_only=False)
    labels = label_clusters(
        pixels.astype(np.int64), images["phash"].to_numpy(), images["phash_detail"].to_numpy(), params.max_distance,
        params.min_detail, is_chained=params.is_chained,
    )  # fmt: skip
    return pa.array(labels, pa.int64())


_OF_WEB = "FROM cluster_member SEMI JOIN (FROM sample WHERE half = 'pub11') USING (sample_id)"


def drop_duplicates(inputs: Inputs, context: Context) -> Outcome:
    """Return the survivors of PUB11; reject its other samples by kind of duplicate, and name their survivor.

    Labelled samples are marked in `cluster_member`, are never removed, and have no row here.
    """
    duplicates = run_sql(f"SELECT * {_OF_WEB} ORDER BY sample_id", inputs)
    is_survivor = pc.is_null(duplicates["duplicate_reason"])
    kept = duplicates.filter(is_survivor).select(SURVIVOR.schema.names).cast(SURVIVOR.schema)
    others = duplicates.filter(pc.invert(is_survivor))
    detail = pc.binary_join_element_wise("kept: ", others["survivor_id"], "")
    return Outcome(
        kept, rejects_table(SURVIVOR, {"sample_id": others["sample_id"]}, others["duplicate_reason"], detail)
    )


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
    reasons=("url_duplicate", "pixel_duplicate", "near_duplicate"),
)
