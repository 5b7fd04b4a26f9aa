"""Origin, a stage of shard: what all tables record of each sample to publish, sorted by tar.

One query over whole tables sorts them; whatever is written for each tar then reads the rows of its own tar.
"""

from schemas.tables import ORIGIN
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage
from stages.shard.collecting import collect

_WHERE_AND_WHEN = ("meta_caption", "latitude_deg", "longitude_deg", "utm_epsg", "country_code", "taken_at", "month")


def list_origins(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per sample to publish: its place in its corpus, its rights, its position and time."""
    return collect(inputs, ORIGIN, _SPINE, _STEPS)


_SPINE = "SELECT sample_id, shard, half, corpus, image_id FROM shard_plan JOIN sample USING (sample_id)"
# Each adds the columns of some tables to the rows of the one before.
_STEPS = (
    (
        """
        SELECT rows.*, url, '' AS path, keywords, native_id, annotation_licence, image_licence
        FROM rows JOIN candidate USING (sample_id)
        UNION ALL
        SELECT rows.*, '', path, [], NULL, annotation_licence, NULL FROM rows JOIN labelled_image USING (sample_id)
        """,
        ("candidate", "labelled_image"),
    ),
    ("SELECT rows.*, width_px, height_px FROM rows JOIN image USING (image_id)", ("image",)),
    (f"SELECT rows.*, {', '.join(_WHERE_AND_WHEN)} FROM rows JOIN geometa USING (sample_id)", ("geometa",)),
)

LIST_ORIGINS = Stage(
    name="list_origins",
    module="shard",
    version=1,
    does="Collects, tar by tar, what all tables record of each sample to publish.",
    reads=(
        Reads("shard_plan", ("sample_id", "shard"), is_whole=True),
        Reads("sample", ("sample_id", "corpus", "half", "image_id"), is_whole=True),
        Reads(
            "candidate",
            ("sample_id", "url", "keywords", "native_id", "annotation_licence", "image_licence"),
            is_whole=True,
        ),
        Reads("labelled_image", ("sample_id", "path", "annotation_licence"), is_whole=True),
        Reads("image", ("image_id", "width_px", "height_px"), is_whole=True),
        Reads("geometa", ("sample_id", *_WHERE_AND_WHEN), is_whole=True),
    ),
    writes=ORIGIN,
    grain="map",
    given=Given("shard_plan", ("sample_id",)),
    run=list_origins,
    is_queried=True,
    split_by="shard",
)
