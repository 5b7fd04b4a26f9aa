"""Order images by survival, and label them by their clusters of near hashes or equal pixels.

Not for joining clusters by pairs or for writing them: stage.py does that.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from stages.contract import InputError, Inputs
from stages.dedup.acquisitions import DATED, EXIF_COLUMNS
from stages.dedup.settings import FEATURES, ClusterParams
from stages.images.orientations import N_ORIENTATIONS
from stages.rows import query_rows, run_sql

IMAGE_COLUMNS = ("image_id", "pixel_sha256", "phash", "phash_orientations", "phash_detail", *EXIF_COLUMNS)


def label_pictures(inputs: Inputs, params: ClusterParams) -> tuple[Any, pa.Table]:
    """Return the images in order of survival (first_rank), and each one's cluster by its hashes or equal pixels.

    Args:
        inputs: the tables sample, image, candidate and labelled_image.
        params: the limits of similarity, and the order of samples.
    """
    return label_members(inputs, rank_members(inputs, params), params)


def rank_members(inputs: Inputs, params: ClusterParams) -> Any:
    """Return sample_id, image_id and rank of each sample with a valid image; the first by rank survives."""
    tiers = {code: tier for tier, codes in enumerate(params.priority) for code in codes}
    tier_table = pa.table({"corpus": list(tiers), "tier": pa.array(tiers.values(), pa.int32())})
    last = len(params.priority)
    options = {"seed": params.seed, "other": tiers.get("*", last), "labelled": last}
    tables = {"sample": inputs["sample"], "image": inputs["image"], "tiers": tier_table}
    return query_rows(_MEMBERS, tables, **options)


def label_members(inputs: Inputs, member: Any, params: ClusterParams) -> tuple[Any, pa.Table]:
    """Return the same as label_pictures, for samples that are ranked already."""
    n_ways = 1 if params.orientations == "upright" else N_ORIENTATIONS
    tables = {name: inputs[name] for name in ("sample", "image", "candidate", "labelled_image")}
    ranked = query_rows(_RANKED_IMAGES, {**tables, "member": member}, n_ways=n_ways)
    images = run_sql("SELECT first_rank, pixels, hashes, phash_detail, date FROM ranked", {"ranked": ranked})
    is_hashed = params.method != FEATURES
    labels, places = label_images(images, params) if is_hashed else _label_pixels(images["pixels"].to_numpy())
    columns = {"label": labels, "place": places, "date": images["date"]}
    return ranked, pa.table({"first_rank": images["first_rank"], **columns})


def _label_pixels(pixels: Any) -> tuple[Any, Any]:
    """Return one number per image, equal for equal pixels, in the order of their first images; and no places."""
    _, first, group = np.unique(pixels, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(first.size)
    return rank[group], np.full(group.size, -1)


def label_images(images: pa.Table, params: ClusterParams) -> tuple[Any, Any]:
    """Return label and place of each image's cluster, as label_clusters.

    Args:
        images: pixels, hashes (the picture as shown, then turned), phash_detail and date of each image, in order of
            survival.
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
    return label_clusters(
        images["pixels"].to_numpy().astype(np.int64),
        ways,
        images["phash_detail"].to_numpy(),
        images["date"].to_numpy().astype(np.int64),
        params.max_distance,
        params.min_detail,
        is_chained=params.is_chained,
    )


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
# Images in order of survival, which is that of their first sample. Equal numbers in `pixels` are equal pixels. The date
# is 0 if place or time is not stated.
_RANKED_IMAGES = f"""
    WITH {DATED}
    SELECT image_id, first_rank, min(first_rank) OVER (PARTITION BY pixel_sha256) AS pixels, phash, phash_detail,
           phash_orientations[:$n_ways] AS hashes, coalesce(date, 0) AS date
    FROM (SELECT image_id, min(rank) AS first_rank FROM member GROUP BY image_id) JOIN image USING (image_id)
    LEFT JOIN dated USING (pixel_sha256)
    ORDER BY first_rank
"""
