"""Split groups, a stage of shard: samples with the same picture, scene or place, which must share a split.

A group is a connected component of samples with a common duplicate cluster, image, scene, owner or block of ground, or
whose clusters have pictures that agree by keypoints or show one place at two dates, removed ones included. Not for the
split itself (`plan_shards`, by hash of the group's key).
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from schemas.tables import SPLIT_GROUP
from stages.contract import Context, Given, Inputs, Outcome, Params, Reads, Stage, no_rejects
from stages.rows import query_rows, run_sql

_KM_PER_DEGREE = 111.195  # of latitude, on a sphere with the Earth's mean radius of 6371.0 km


class GroupParams(Params):
    """Sizes of the blocks of ground whose samples share a split."""

    block_deg: float = Field(0.1, gt=0, le=90, description="side of a block, degrees of latitude and longitude")
    patch_block_km: float = Field(
        12.0, gt=0, le=1000, description="side of a block for BigEarthNet, whose patches are 1.2 km wide"
    )


def group_samples(inputs: Inputs, context: Context) -> Outcome:
    """Return the group of each sample to publish, its size, and whether its captions occur in other groups.

    Equal captions do not join groups: generated captions repeat and would merge a corpus into one group. A group with
    a caption that another group has is only for training, so no caption of the validation split is in training.
    """
    # In separate queries: joining wide rows in one query needs several times the memory.
    rows = query_rows(_SAMPLES, _some(inputs, "relevant", "caption", "candidate", "labelled_image"))
    rows = query_rows(_LOCATED, {"rows": rows, **_some(inputs, "geometa", "cluster_member")})
    links = query_rows(_links(context.params), {"rows": rows})
    pairs = query_rows(_PAIRS, _some(inputs, "judged_pair", "image", "cluster_member"))
    paired = query_rows(_PAIRED, {"pairs": pairs}, n_rows=rows.num_rows)
    edges = run_sql(_EDGES, {"links": links, "paired": paired, "pairs": pairs})
    label = _components(edges, rows.num_rows + paired.num_rows)[: rows.num_rows]
    labels = pa.table({"node": np.arange(rows.num_rows), "label": label})
    labelled = query_rows(_LABELLED, {"rows": rows, "labels": labels})
    groups = query_rows(_GROUPS, {"labelled": labelled})
    columns = ", ".join(SPLIT_GROUP.schema.names)
    query = f"SELECT {columns} FROM labelled JOIN groups USING (label) JOIN shared USING (caption_key) ORDER BY 1"
    shared = query_rows(_SHARED, {"labelled": labelled})
    kept = query_rows(query, {"labelled": labelled, "groups": groups, "shared": shared})
    return Outcome(kept.cast(SPLIT_GROUP.schema), no_rejects(SPLIT_GROUP))


def _some(inputs: Inputs, *names: str) -> dict[str, Any]:
    return {name: inputs[name] for name in names}


def _components(edges: pa.Table, n_nodes: int) -> Any:
    """Return one label per node, equal for connected nodes."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components  # importing it takes 0.25 s in every worker

    ends = (edges["node"].to_numpy(), edges["first_node"].to_numpy())
    links = coo_array((np.ones(len(ends[0]), bool), ends), shape=(n_nodes, n_nodes))
    return connected_components(links, directed=False)[1].astype(np.int64)


# A sample's own key is that of its picture or scene; a group's key is the smallest of its samples'.
_SAMPLES = """
    SELECT sample_id, c.corpus, image_id AS own_key, md5(c.caption) AS caption_key, owner_id
    FROM relevant r JOIN candidate c USING (sample_id)
    UNION ALL
    SELECT sample_id, l.corpus, scene_id, md5(c.generated_caption), NULL
    FROM caption c JOIN labelled_image l USING (sample_id)
"""
# Nodes in any order: no result depends on their numbers, and sorting takes a third of the query.
_LOCATED = """
    SELECT row_number() OVER () - 1 AS node, sample_id, corpus, own_key, caption_key, owner_id,
           latitude_deg, longitude_deg, cluster_id
    FROM rows LEFT JOIN geometa USING (sample_id) LEFT JOIN cluster_member USING (sample_id)
"""


def _links(params: GroupParams) -> str:
    """Return SQL for the keys by which each sample is linked to others, a list of them by node."""
    north_km, row_km = f"(latitude_deg + 90) * {_KM_PER_DEGREE}", params.patch_block_km
    # At the middle of its row, a block is as wide as high.
    middle_deg = f"(floor({north_km} / {row_km}) + 0.5) * {row_km} / {_KM_PER_DEGREE} - 90"
    east_km = f"(longitude_deg + 180) * cos(radians({middle_deg})) * {_KM_PER_DEGREE}"
    square = f"'ben ' || floor({north_km} / {row_km})::INT || ' ' || floor({east_km} / {row_km})::INT"
    block = f"floor(latitude_deg / {params.block_deg})::INT || ' ' || floor(longitude_deg / {params.block_deg})::INT"
    return f"""
        SELECT node, list_filter([
            'scene ' || own_key, 'cluster ' || cluster_id, 'owner ' || corpus || ' ' || owner_id,
            'block ' || CASE corpus WHEN 'ben' THEN {square} ELSE {block} END
        ], lambda link: link IS NOT NULL) AS links
        FROM rows
    """


# Each sample is joined to the first one with the same link, which gives one edge per link instead of per pair.
_EDGES = """
    WITH linked AS (
        SELECT node, md5_number(unnest(links)) AS link FROM links
        UNION ALL SELECT node, md5_number('cluster ' || cluster_id) FROM paired
        UNION ALL SELECT node, md5_number('pair ' || pair_id) FROM paired JOIN pairs USING (cluster_id)
    ),
         first AS (SELECT link, min(node) AS first_node FROM linked GROUP BY link HAVING count(*) > 1)
    SELECT node, first_node FROM linked JOIN first USING (link) WHERE node <> first_node ORDER BY ALL
"""
# Copies share a cluster, unless one was taken by another survivor; the same place at another date is in another one.
# A removed picture stands for its cluster.
_PAIRS = """
    WITH pictured AS (SELECT DISTINCT pixel_sha256, cluster_id FROM cluster_member JOIN image USING (image_id))
    SELECT DISTINCT pair_id, cluster_id FROM (
        SELECT pair_id, unnest([first_sha256, second_sha256]) AS pixel_sha256 FROM judged_pair
        WHERE pair_kind IN ('same_place', 'copy')
    ) JOIN pictured USING (pixel_sha256)
    UNION SELECT same_place_id, cluster_id FROM cluster_member WHERE same_place_id IS NOT NULL
"""
# Clusters with pairs are nodes after those of the samples, since none of their samples may be published.
_PAIRED = "SELECT cluster_id, $n_rows - 1 + row_number() OVER () AS node FROM (SELECT DISTINCT cluster_id FROM pairs)"
_LABELLED = "SELECT sample_id, own_key, caption_key, label FROM rows JOIN labels USING (node)"
_SHARED = """
    SELECT caption_key, min(label) <> max(label) AS is_caption_shared FROM labelled GROUP BY caption_key
"""
_GROUPS = f"""
    SELECT label, min(own_key) AS group_key, count(*) AS group_n_samples, bool_or(is_caption_shared) AS is_train_group
    FROM labelled JOIN ({_SHARED}) USING (caption_key) GROUP BY label
"""

GROUP_SAMPLES = Stage(
    name="group_samples",
    module="shard",
    version=4,
    does="Groups samples that must share a split: by cluster, scene, owner, place, and pairs of pictures.",
    reads=(
        Reads("relevant", ("sample_id", "image_id"), is_whole=True),
        Reads("caption", ("sample_id", "generated_caption"), is_whole=True),
        Reads("candidate", ("sample_id", "corpus", "caption", "owner_id"), is_whole=True),
        Reads("labelled_image", ("sample_id", "corpus", "scene_id"), is_whole=True),
        Reads("geometa", ("sample_id", "latitude_deg", "longitude_deg"), is_whole=True),
        Reads("cluster_member", ("sample_id", "image_id", "cluster_id", "same_place_id"), is_whole=True),
        Reads("image", ("image_id", "pixel_sha256"), is_whole=True),
        Reads("judged_pair", ("pair_id", "first_sha256", "second_sha256", "pair_kind"), is_whole=True),
    ),
    writes=SPLIT_GROUP,
    grain="map",
    given=Given(
        query="SELECT sample_id FROM relevant UNION ALL SELECT sample_id FROM caption", inputs=("relevant", "caption")
    ),
    run=group_samples,
    is_queried=True,
    params=GroupParams,
)
