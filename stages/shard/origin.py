"""Origin, a stage of shard: the columns of all tables for each sample to publish, sorted by tar.

One query over whole tables sorts them; the stages that write a tar's files then read only that tar's rows.
"""

import pyarrow as pa

from schemas.tables import ORIGIN
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage
from stages.shard.collecting import collect
from stages.stated import CARRIED, SCORES, STATED, StatedResources

_WHERE_AND_WHEN = ("meta_caption", "latitude_deg", "longitude_deg", "utm_epsg", "country_code", "taken_at", "month")
_STATED = (
    "annotation_licence", "image_licence", "nsfw", "punsafe", "pwatermark", "published_width_px", "published_height_px",
)  # fmt: skip


def list_origins(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per sample to publish: source row, rights, position, time, scores, cluster, group.

    A dataset that is made again has the rights, scores, corpus and groups that its release metadata states.
    """
    stated = context.tools.get("stated")
    if stated is None:
        return collect(inputs, ORIGIN, _SPINE, _STEPS)
    return collect({**inputs, "stated": stated}, ORIGIN, _SPINE, (*_STEPS, _as_stated(stated)))


_SPINE = "SELECT sample_id, shard, half, corpus, image_id FROM shard_plan JOIN sample USING (sample_id)"
# Each query adds columns of two tables to the rows of the query before, so that memory holds the keys of two at most;
# wide columns come last, to be copied seldom.
_STEPS = (
    (
        """
        SELECT rows.*, width_px, height_px, vlm_score_cos, detector_prob
        FROM rows JOIN image USING (image_id) LEFT JOIN relevant USING (sample_id)
        """,
        ("image", "relevant"),
    ),
    (
        """
        SELECT rows.*, caption_cos, caption_top_share, cluster_id, cluster_n_samples
        FROM rows LEFT JOIN caption_rank USING (sample_id) LEFT JOIN cluster_member USING (sample_id)
        """,
        ("caption_rank", "cluster_member"),
    ),
    (
        """
        WITH named AS (
            SELECT sample_id, list(place ORDER BY n) AS places FROM place WHERE place IS NOT NULL GROUP BY sample_id
        )
        SELECT rows.*, group_key, coalesce(places, []) AS places
        FROM rows JOIN split_group USING (sample_id) LEFT JOIN named USING (sample_id)
        """,
        ("split_group", "place"),
    ),
    (
        f"""
        SELECT rows.*, caption_model_licence, {", ".join(_WHERE_AND_WHEN)}
        FROM rows LEFT JOIN caption USING (sample_id) JOIN geometa USING (sample_id)
        """,
        ("caption", "geometa"),
    ),
    (
        f"""
        SELECT rows.*, url, '' AS path, keywords, native_id, {", ".join(_STATED)}
        FROM rows JOIN candidate USING (sample_id)
        UNION ALL
        SELECT rows.*, '', path, [], NULL, annotation_licence, NULL, NULL, NULL, NULL, NULL, NULL
        FROM rows JOIN labelled_image USING (sample_id)
        """,
        ("candidate", "labelled_image"),
    ),
)


def _as_stated(stated: pa.Table) -> tuple[str, tuple[str, ...]]:
    """Return a step that replaces columns by stated values, also by null if a column may have nulls."""
    carried: list[str] = []
    for name in CARRIED:
        if name not in stated.column_names or name not in ORIGIN.schema.names:
            continue
        if name in SCORES:  # release metadata has those of labelled images too, which nothing judges by them
            value = f"CASE half WHEN 'pub11' THEN coalesce(stated.{name}, rows.{name}) END"
        elif ORIGIN.schema.field(name).nullable:
            value = f"CASE WHEN stated.sample_id IS NULL THEN rows.{name} ELSE stated.{name} END"
        else:
            value = f"coalesce(stated.{name}, rows.{name})"
        carried.append(f"{value} AS {name}")
    replaced = f"REPLACE ({', '.join(carried)})" if carried else ""
    return f"SELECT rows.* {replaced} FROM rows LEFT JOIN stated USING (sample_id)", ("stated",)


LIST_ORIGINS = Stage(
    name="list_origins",
    module="shard",
    version=5,
    does="Collects the facts that all tables record of each sample to publish, tar by tar.",
    reads=(
        Reads("shard_plan", ("sample_id", "shard"), is_whole=True),
        Reads("sample", ("sample_id", "corpus", "half", "image_id"), is_whole=True),
        Reads(
            "candidate",
            ("sample_id", "url", "keywords", "native_id", *_STATED),
            is_whole=True,
        ),
        Reads("labelled_image", ("sample_id", "path", "annotation_licence"), is_whole=True),
        Reads("image", ("image_id", "width_px", "height_px"), is_whole=True),
        Reads("caption", ("sample_id", "caption_model_licence"), is_whole=True),
        Reads("geometa", ("sample_id", *_WHERE_AND_WHEN), is_whole=True),
        Reads("relevant", ("sample_id", "vlm_score_cos", "detector_prob"), is_whole=True),
        Reads("caption_rank", ("sample_id", "caption_cos", "caption_top_share"), is_whole=True),
        Reads("cluster_member", ("sample_id", "cluster_id", "cluster_n_samples"), is_whole=True),
        Reads("place", ("sample_id", "n", "place"), is_whole=True),
        Reads("split_group", ("sample_id", "group_key"), is_whole=True),
    ),
    writes=ORIGIN,
    grain="map",
    given=Given("shard_plan", ("sample_id",)),
    run=list_origins,
    is_queried=True,
    resources=StatedResources,
    tools=(STATED,),
    split_by="shard",
)
