"""Tables of the published dataset: splits, shards, metafiles."""

from schemas.tables.table import Table

SPLIT_GROUP = Table(
    "split_group",
    ("sample_id",),
    ("group_key", "group_n_samples", "is_caption_shared", "is_train_group"),
    "A sample to publish and the group that it shares a split with.",
)
SHARD_PLAN = Table(
    "shard_plan",
    ("sample_id",),
    (
        "published_text", "caption_sources", "split", "random_split", "shard", "img_name", "image_format",
        "exif_orientation", "published_sha256", "published_n_bytes", "n_bytes", "body_sha256", "body_file",
        "body_offset",
    ),
    "A sample to publish, and its tar.",
)  # fmt: skip
_IN_TAR = ("image_offset", "text_offset", "text_n_bytes", "extra_offset", "extra_n_bytes")
SHARD = Table(
    "shard",
    ("sample_id",),
    ("shard", "body_sha256", "published_sha256", "published_n_bytes", "published_format", *_IN_TAR),
    "A sample in a tar; positions are null if the layout rs5m is not written.",
)
_FOR_SOME = ("vlm_score_cos", "detector_prob", "cluster_id", "cluster_n_samples")
ORIGIN = Table(
    "origin",
    ("sample_id",),
    (
        "shard", "half", "corpus", "url", "path", "keywords", "native_id", "width_px", "height_px", "meta_caption",
        "latitude_deg", "longitude_deg", "utm_epsg", "country_code", "taken_at", "month", "annotation_licence",
        "caption_model_licence", "image_licence", "nsfw", "punsafe", "pwatermark", "published_width_px",
        "published_height_px", "vlm_score_cos", "detector_prob", "cluster_id", "cluster_n_samples", "places",
        "group_key", "caption_cos", "caption_top_share",
    ),
    "A sample to publish with its origin, scores, cluster and group; url is empty for labelled samples, path for web"
    " samples; only web samples have scores.",
    nullable=_FOR_SOME,
)  # fmt: skip
DESCRIPTION = Table(
    "description",
    ("sample_id",),
    (
        "shard", "caption", "generated_caption", "invariant_caption", "generated_captions", "generated_scores_cos",
        "country_name", "city", "further_texts", "further_sources", "further_licences",
    ),
    "A sample to publish with all its captions; each half lacks the other's kinds.",
    nullable=("caption", "generated_caption", "invariant_caption"),
)  # fmt: skip
PAIR = Table(
    "pair",
    ("sample_id",),
    ("shard", "pair_format", "pair_n_bytes", "pair_sha256", *_IN_TAR),
    "A sample in a tar of the layout pairs.",
)
METAFILE = Table(
    "metafile",
    ("sample_id",),
    (
        "half", "img_name", "published_text", "url", "path", "corpus", "split", "shard", "keywords", "native_id",
        "width_px", "height_px", "body_sha256", "published_sha256", "meta_caption", "latitude_deg", "longitude_deg",
        "utm_epsg", "country_code", "taken_at", "month", "annotation_licence", "caption_model_licence",
        "image_licence", "image_rights", "published_n_bytes", "published_format", "caption_sources", "places",
        "vlm_score_cos", "detector_prob",
        "cluster_id", "cluster_n_samples", "group_key", "nsfw", "punsafe", "pwatermark", "published_width_px",
        "published_height_px", "caption_cos", "caption_top_share",
    ),
    "A published sample with its origin; url is empty for labelled samples, path for web samples; only web samples have"
    " scores.",
    nullable=_FOR_SOME,
)  # fmt: skip
LEFT_OUT = Table(
    "left_out",
    ("sample_id",),
    ("half", "corpus", "url", "path", "caption", "body_sha256", "annotation_licence", "image_licence", "detail"),
    "A sample left out for its rights; url is empty for labelled samples, path for web samples; the caption is null if"
    " the corpus's texts may not be redistributed.",
    nullable=("caption",),
)
CROSSWALK = Table(
    "crosswalk",
    ("sample_id",),
    ("corpus", "original_name", "native_hash", "part", "source_row", "url", "path", "v2_patch"),
    "A candidate or a labelled image under its corpus's own names.",
    nullable=("part", "source_row"),
)
