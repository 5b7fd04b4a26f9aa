"""Every table a stage writes: its key and its columns.

The meanings of columns are in `schemas/fields.py`.
"""

from dataclasses import dataclass

import pyarrow as pa

from schemas.fields import FIELD, Field


@dataclass(frozen=True)
class Table:
    """One table: rows kept by a stage, and beside them the reject rows.

    Attributes:
        name: a singular noun; the folder under the build folder.
        key: columns that name a row, unique over the table.
        columns: the other columns.
        meaning: what one row is.
        reject_columns: further columns of the reject rows, null where they do not apply.
        leads_to: columns that are keys of other tables: by them a sample's rows are found there.
        found_by: columns with values of a key that samples lead to, and that key: by them `explain` finds a sample's
            rows of this table, and of others with the same first key column.
        nullable: columns that may be null in this table, although their field does not allow it.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    meaning: str
    reject_columns: tuple[str, ...] = ()
    leads_to: tuple[str, ...] = ()
    found_by: tuple[tuple[str, str], ...] = ()
    nullable: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[Field, ...]:
        """The declared fields, key first."""
        return tuple(FIELD[name] for name in (*self.key, *self.columns))

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the kept rows; columns that may hold nulls are nullable, never those of the key."""
        may_lack = {f.name for f in self.fields if f.is_nullable} | set(self.nullable)
        return pa.schema([pa.field(f.name, f.type, nullable=f.name in may_lack - set(self.key)) for f in self.fields])

    @property
    def reject_schema(self) -> pa.Schema:
        """The Arrow schema of the reject rows: the key, the reason, the detail, and the table's own reject columns."""
        fixed = [pa.field(n, FIELD[n].type, nullable=False) for n in (*self.key, "reason", "detail")]
        return pa.schema([*fixed, *(pa.field(n, FIELD[n].type) for n in self.reject_columns)])


SOURCE_LISTING = Table(
    "source_listing",
    ("corpus", "path"),
    ("part", "size_bytes", "mtime_ns", "reader_digest", "partition", "sample_id", "pilot_share"),
    "A source file found under SOURCES; sample_id is null unless the file belongs to one sample.",
    nullable=("sample_id",),
)
SOURCE_FILE = Table(
    "source_file",
    ("corpus", "path"),
    ("size_bytes", "file_sha256", "sample_id"),
    "A source file, hashed.",
    nullable=("sample_id",),
)
CANDIDATE = Table(
    "candidate",
    ("sample_id",),
    (
        "corpus", "part", "source_row", "url", "source_caption", "caption", "keywords",
        "published_width_px", "published_height_px", "native_id", "similarity", "image_licence", "nsfw", "punsafe",
        "pwatermark", "stated_latitude_deg", "stated_longitude_deg", "stated_datetime", "machine_tags",
        "machine_tag_probs", "native_hash", "language", "other_texts", "strict_keywords", "annotation_licence",
        "owner_id",
    ),
    "A source row whose caption has a keyword.",
    reject_columns=("corpus", "path", "source_row", "n_rows"),
)  # fmt: skip
PATCH = Table(
    "patch",
    ("sample_id",),
    (
        "v1_patch", "v2_patch", "v2_labels", "v2_split", "v2_country", "has_seasonal_snow", "has_cloud_or_shadow",
        "partition",
    ),
    "A BigEarthNet patch with its entries in the published lists and tables.",
)  # fmt: skip
LABELLED_IMAGE = Table(
    "labelled_image",
    ("sample_id",),
    (
        "corpus", "path", "labels", "scene_id", "stated_latitude_deg", "stated_longitude_deg", "stated_datetime",
        "stated_country_code", "gsd_m", "cloud_cover_percent", "scan_direction", "target_azimuth_deg",
        "off_nadir_angle_deg", "box_cells", "annotation_licence", "n_bytes", "body_sha256", "body_file", "body_offset",
        "partition", "released_caption",
    ),
    "An image of a labelled corpus with its metadata.",
    reject_columns=("corpus",),
)  # fmt: skip
PLANNED = Table(
    "planned",
    ("sample_id",),
    ("fetch_id", "normalised_url", "host"),
    "A candidate with a valid URL.",
    leads_to=("fetch_id",),
)
SAMPLE = Table(
    "sample",
    ("sample_id",),
    ("corpus", "half", "image_id"),
    "A candidate or a labelled image; image_id is null if plan or labelled refused it.",
    leads_to=("image_id",),
    nullable=("image_id",),
)
WITHDRAWAL = Table(
    "withdrawal",
    ("entry_kind", "entry"),
    (),
    "What is no longer requested or published.",
)
BARRED_SAMPLE = Table(
    "barred_sample", ("sample_id",), ("barred_by",), "A sample whose picture or URL is withdrawn or on a hash list."
)
LISTED_HASH = Table(
    "listed_hash",
    ("hash_kind", "hash"),
    (),
    "The hash of a known illegal picture.",
)
FETCH_PASS = Table(
    "fetch_pass",
    ("fetch_id", "pass"),
    ("normalised_url", "host", "is_withdrawn", "partition"),
    "A URL to fetch in a pass.",
)
FETCH_ATTEMPT = Table(
    "fetch_attempt",
    ("fetch_id", "pass"),
    (
        "is_fetched", "fetch_reason", "fetch_detail", "http_status", "n_bytes", "body_sha256", "body_md5", "body_file",
        "body_offset", "retry_after_s", "fetch_ms", "peer_address", "final_url",
    ),
    "One attempt to fetch a URL, successful or not.",
)  # fmt: skip
FETCHED = Table(
    "fetched",
    ("fetch_id",),
    ("pass", "http_status", "n_bytes", "body_sha256", "body_file", "body_offset", "partition"),
    "A URL whose body was fetched, over all passes.",
)
IMAGE = Table(
    "image",
    ("image_id",),
    (
        "body_sha256", "body_md5", "n_bytes", "width_px", "height_px", "image_format", "image_mode", "n_frames",
        "pixel_sha256", "phash", "phash_orientations", "phash_detail", "exif_datetime", "exif_latitude_deg",
        "exif_longitude_deg", "exif_orientation", "published_sha256", "published_n_bytes", "published_format",
    ),
    "A valid image that can be published.",
    leads_to=("pixel_sha256",),
)  # fmt: skip
CLUSTER_MEMBER = Table(
    "cluster_member",
    ("sample_id",),
    (
        "image_id",
        "cluster_id",
        "cluster_n_samples",
        "survivor_id",
        "duplicate_reason",
        "phash_distance",
        "phash_orientation",
    ),
    "A sample with a valid image and the cluster it belongs to.",
)
SURVIVOR = Table("survivor", ("sample_id",), ("image_id", "cluster_id"), "The kept sample of a cluster of duplicates.")
PICTURE = Table(
    "picture",
    ("pixel_sha256",),
    (
        "image_id", "image_format", "width_px", "height_px", "n_bytes", "body_sha256", "body_file", "body_offset",
        "partition",
    ),
    "A distinct picture of either half, and the image to read it from.",
)  # fmt: skip
EMBEDDING = Table("embedding", ("pixel_sha256",), ("image_feature",), "The image feature of a picture.")
KEYPOINT_SUMMARY = Table(
    "keypoint_summary",
    ("pixel_sha256",),
    ("keypoint_summary", "window_hashes", "window_details"),
    "The summary of a picture's keypoints, and the hashes of its inside.",
)
PAIR_SIDE = Table(
    "pair_side",
    ("pair_id", "side"),
    (
        "pixel_sha256", "image_format", "width_px", "height_px", "n_bytes", "body_sha256", "body_file", "body_offset",
        "pair_source", "feature_cos", "phash_distance", "partition",
    ),
    "One of two pictures that may be copies, and the image to read it from.",
    found_by=(("pixel_sha256", "pixel_sha256"),),
)  # fmt: skip
PICTURE_PAIR = Table(
    "picture_pair",
    ("pair_id",),
    (
        "first_sha256",
        "second_sha256",
        "n_inliers",
        "pair_scale",
        "pair_turn_deg",
        "is_pair_mirrored",
        "pair_correlation",
        "window_correlation",
    ),
    "Two pictures whose keypoints were compared.",
    found_by=(("first_sha256", "pixel_sha256"), ("second_sha256", "pixel_sha256")),
)
JUDGED_PAIR = Table(
    "judged_pair",
    ("pair_id",),
    (
        "first_sha256", "second_sha256", "pair_kind", "pair_source", "feature_cos", "phash_distance", "n_inliers",
        "is_other_date",
    ),
    "Two pictures that may be copies, and what they were found to be.",
    found_by=(("first_sha256", "pixel_sha256"), ("second_sha256", "pixel_sha256")),
    nullable=("n_inliers",),
)  # fmt: skip
PROMPT = Table("prompt", ("prompt",), ("prompt_feature",), "The text feature of a prompt.")
DETECTOR_SCORE = Table("detector_score", ("pixel_sha256",), ("detector_prob",), "The detector's score of a picture.")
VLM_SCORE = Table("vlm_score", ("pixel_sha256",), ("vlm_score_cos",), "The similarity of a picture to the prompts.")
OUTLIER_RULE = Table(
    "outlier_rule",
    ("score",),
    ("rule", "n_scored", "top_share", "threshold", "n_at_least", "n_tied"),
    "One of the two scores and its threshold.",
    nullable=("threshold",),
)
RELEVANT = Table(
    "relevant",
    ("sample_id",),
    ("image_id", "vlm_score_cos", "detector_prob", "vlm_rank", "detector_rank"),
    "A survivor that both scores accept, or the one that decides alone.",
    nullable=("vlm_score_cos", "detector_prob", "vlm_rank", "detector_rank"),
)
CAPTION_CANDIDATE = Table(
    "caption_candidate", ("sample_id", "n"), ("candidate_caption",), "A caption drawn for a labelled image."
)
CAPTION_SCORE = Table(
    "caption_score",
    ("sample_id", "n"),
    (
        "first_score_cos", "first_rank", "second_score_cos", "second_rank", "rotation_mean_cos", "rotation_variance",
    ),
    "A drawn caption with its scores; scores are null after the caption was dropped.",
)  # fmt: skip
CAPTION = Table(
    "caption",
    ("sample_id",),
    ("top_caption", "invariant_caption", "generated_caption", "caption_model_licence"),
    "A labelled image with its chosen captions.",
)
OWN_CAPTION = Table(
    "own_caption",
    ("sample_id",),
    ("pixel_sha256", "own_caption", "partition"),
    "A remaining sample with its picture and its caption.",
    leads_to=("pixel_sha256",),
)
CAPTION_MATCH = Table(
    "caption_match", ("sample_id",), ("caption_cos",), "A remaining sample and the match of its image and caption."
)
CAPTION_RANK = Table(
    "caption_rank",
    ("sample_id",),
    ("caption_cos", "caption_top_share"),
    "A remaining sample and its rank by the match of image and caption.",
)
FURTHER_TEXT = Table(
    "further_text",
    ("text_id", "sample_id"),
    ("text_source", "text_key", "further_text", "text_licence"),
    "A text that others published for an image, and the sample that its key names.",
    reject_columns=("text_source", "text_key"),
    found_by=(("sample_id", "sample_id"),),
)
GEOMETA = Table(
    "geometa",
    ("sample_id",),
    (
        "latitude_deg", "longitude_deg", "position_source", "utm_zone", "utm_band", "utm_hemisphere", "utm_epsg",
        "country_code", "country_name", "city", "taken_at", "time_source", "month", "season", "meta_caption",
    ),
    "Place and time of a sample, and the sentence made from them.",
)  # fmt: skip
PLACE_TEXT = Table("place_text", ("caption_id",), ("caption", "partition"), "A distinct caption to search for places.")
NAMED_PLACE = Table("named_place", ("caption_id", "n"), ("place",), "A place name in a distinct caption.")
PLACE = Table(
    "place",
    ("sample_id", "n"),
    ("place", "caption_id"),
    "A place name in a sample's caption.",
    leads_to=("caption_id",),
)
EVALUATION_FILE = Table(
    "evaluation_file",
    ("evaluation_set", "evaluation_path"),
    ("evaluation_split", "evaluation_licence", "size_bytes", "mtime_ns", "evaluation_file", "partition"),
    "A picture of an evaluation set, found under EVAL.",
)
EVALUATION_CAPTION = Table(
    "evaluation_caption",
    ("evaluation_set", "evaluation_split", "evaluation_caption"),
    (),
    "A distinct caption of an evaluation set.",
)
EVALUATION_IMAGE = Table(
    "evaluation_image",
    ("evaluation_set", "evaluation_path"),
    (
        "evaluation_split", "evaluation_licence", "image_format", "width_px", "height_px", "pixel_sha256", "phash",
        "phash_detail", "variant_names", "variant_hashes", "variant_details", "evaluation_file",
    ),
    "A picture of an evaluation set with the hashes under which it is looked for.",
)  # fmt: skip
EVALUATION_KEYPOINTS = Table(
    "evaluation_keypoints",
    ("evaluation_set", "evaluation_path"),
    ("keypoint_summary", "packed_keypoints"),
    "The keypoints of a picture of an evaluation set.",
)
GALLERY_PICTURE = Table(
    "gallery_picture",
    ("pixel_sha256",),
    (
        "image_format", "width_px", "height_px", "n_bytes", "body_sha256", "body_file", "body_offset", "partition",
    ),
    "A distinct picture to compare with those of evaluation sets; none without EVAL.",
)  # fmt: skip
GALLERY_SUMMARY = Table(
    "gallery_summary", ("pixel_sha256",), ("keypoint_summary",), "The summary of the keypoints of such a picture."
)
EVALUATION_PAIR = Table(
    "evaluation_pair",
    ("evaluation_set", "evaluation_path", "pixel_sha256"),
    (
        "image_format", "width_px", "height_px", "n_bytes", "body_sha256", "body_file", "body_offset", "feature_cos",
        "partition",
    ),
    "A picture of an evaluation set and one of the corpora that may be a copy, and where to read the latter.",
)  # fmt: skip
EVALUATION_MATCH = Table(
    "evaluation_match",
    ("evaluation_set", "evaluation_path", "pixel_sha256"),
    ("n_inliers", "pair_scale", "pair_turn_deg", "is_pair_mirrored"),
    "A picture of an evaluation set and one of the corpora whose keypoints were compared.",
)
SET_MATCH = Table(
    "set_match",
    ("evaluation_set", "evaluation_path", "other_set", "other_path"),
    ("feature_cos", "n_inliers", "pair_scale", "pair_turn_deg", "is_pair_mirrored"),
    "Pictures of two evaluation sets, or of two splits of one, whose keypoints were compared.",
)
EVALUATION_PLACE = Table(
    "evaluation_place",
    ("evaluation_set", "evaluation_path"),
    ("latitude_deg", "longitude_deg", "ground_width_m", "ground_height_m"),
    "The ground that a picture of an evaluation set shows: its centre and size; null if its files do not state it.",
)
SAME_GROUND = Table(
    "same_ground",
    ("sample_id", "evaluation_set", "evaluation_split"),
    ("evaluation_path", "ground_share"),
    "A sample that shows the ground of a picture of an evaluation set, at whatever date.",
)
GROUND_OVERLAP = Table(
    "ground_overlap",
    ("evaluation_set", "evaluation_path", "other_set", "other_split"),
    ("evaluation_split", "other_path", "ground_share"),
    "A picture of an evaluation set that shows the ground of a picture of another set or split.",
)
CONTAMINATED = Table(
    "contaminated",
    ("sample_id", "evaluation_set", "evaluation_split"),
    ("evaluation_path", "measure", "match_distance", "match_variant", "n_inliers"),
    "A sample whose picture is in a split of an evaluation set, with the nearest picture there.",
    nullable=("match_distance", "n_inliers"),
)
EVALUATION_OVERLAP = Table(
    "evaluation_overlap",
    ("evaluation_set", "evaluation_path", "other_set", "other_split"),
    ("evaluation_split", "other_path", "measure", "match_distance", "match_variant", "n_inliers"),
    "A picture of an evaluation set that another set, or another split of it, has too.",
    nullable=("match_distance", "n_inliers"),
)
CONTAMINATED_CAPTION = Table(
    "contaminated_caption",
    ("sample_id", "evaluation_set", "evaluation_split"),
    ("evaluation_caption",),
    "A web sample whose caption is one of an evaluation set.",
)
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
    "A sample in a tar; positions are null without the layout rs5m, whose tar is then not written.",
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
    "A sample to publish with all its captions; web and labelled samples lack the others'.",
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
