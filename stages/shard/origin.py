"""Origin, a stage of shard: the columns of all tables for each sample to publish, sorted by tar.

One query over whole tables sorts them; the stages that write a tar's files then read only that tar's rows.
"""

from schemas.tables import ORIGIN
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage
from stages.shard.collecting import collect

_WHERE_AND_WHEN = ("meta_caption", "latitude_deg", "longitude_deg", "utm_epsg", "country_code", "taken_at", "month")
_STATED = (
    "annotation_licence", "image_licence", "nsfw", "punsafe", "pwatermark", "published_width_px", "published_height_px",
)  # fmt: skip


def list_origins(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per sample to publish: source row, rights, position, time, scores, cluster, group."""
    return collect(inputs, ORIGIN, _SPINE, _STEPS)


_SPINE = "SELECT sample_id, shard, half, corpus, image_id FROM shard_plan JOIN sample USING (sample_id)"
# Each query adds columns of some tables to the rows of the query before; wide columns come last, to be copied seldom.
_STEPS = (
    ("SELECT rows.*, width_px, height_px FROM rows JOIN image USING (image_id)", ("image",)),
    (
        "SELECT rows.*, vlm_score_cos, detector_prob FROM rows LEFT JOIN relevant USING (sample_id)",
        ("relevant",),
    ),
    (
        "SELECT rows.*, caption_cos, caption_top_share FROM rows LEFT JOIN caption_rank USING (sample_id)",
        ("caption_rank",),
    ),
    (
        "SELECT rows.*, cluster_id, cluster_n_samples FROM rows LEFT JOIN cluster_member USING (sample_id)",
        ("cluster_member",),
    ),
    ("SELECT rows.*, group_key FROM rows JOIN split_group USING (sample_id)", ("split_group",)),
    (
        """
        WITH named AS (
            SELECT sample_id, list(place ORDER BY n) AS places FROM place WHERE place IS NOT NULL GROUP BY sample_id
        )
        SELECT rows.*, coalesce(places, []) AS places FROM rows LEFT JOIN named USING (sample_id)
        """,
        ("place",),
    ),
    (
        "SELECT rows.*, caption_model_licence FROM rows LEFT JOIN caption USING (sample_id)",
        ("caption",),
    ),
    (f"SELECT rows.*, {', '.join(_WHERE_AND_WHEN)} FROM rows JOIN geometa USING (sample_id)", ("geometa",)),
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

LIST_ORIGINS = Stage(
    name="list_origins",
    module="shard",
    version=4,
    does="Collects, tar by tar, what all tables record of each sample to publish.",
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
    split_by="shard",
)
