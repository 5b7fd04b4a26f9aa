"""Tables of evaluation sets and of their overlap with the corpora."""

from schemas.tables.table import Table

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
        "phash_detail", "variant_names", "variant_hashes", "variant_details", "grey_square", "colour_square",
        "evaluation_file",
    ),
    "A picture of an evaluation set with the hashes used to find it.",
)  # fmt: skip
EVALUATION_KEYPOINTS = Table(
    "evaluation_keypoints",
    ("evaluation_set", "evaluation_path"),
    ("keypoint_summary", "packed_keypoints", "window_hashes", "window_details"),
    "The keypoints of a picture of an evaluation set, and hashes of its inside.",
)
GALLERY_PICTURE = Table(
    "gallery_picture",
    ("pixel_sha256",),
    (
        "image_format", "width_px", "height_px", "n_bytes", "body_sha256", "body_file", "body_offset", "partition",
    ),
    "A distinct picture to compare with those of evaluation sets; no rows without EVAL.",
)  # fmt: skip
GALLERY_SUMMARY = Table(
    "gallery_summary",
    ("pixel_sha256",),
    ("keypoint_summary", "window_hashes", "window_details"),
    "The keypoint summary of a picture to compare with those of evaluation sets, and hashes of its inside.",
)
EVALUATION_PAIR = Table(
    "evaluation_pair",
    ("evaluation_set", "evaluation_path", "pixel_sha256"),
    (
        "image_format", "width_px", "height_px", "n_bytes", "body_sha256", "body_file", "body_offset", "feature_cos",
        "match_variant", "match_distance", "partition",
    ),
    "A picture of an evaluation set and one of the corpora that may be a copy, and where the latter is stored.",
    nullable=("feature_cos", "match_variant", "match_distance"),
)  # fmt: skip
EVALUATION_MATCH = Table(
    "evaluation_match",
    ("evaluation_set", "evaluation_path", "pixel_sha256"),
    (
        "match_variant",
        "match_distance",
        "match_correlation",
        "match_colour_distance",
        "n_inliers",
        "pair_scale",
        "pair_turn_deg",
        "is_pair_mirrored",
    ),
    "A picture of an evaluation set and one of the corpora that were compared: by grey levels and colours, by"
    " keypoints, or by all.",
    nullable=("match_variant", "match_distance", "match_correlation", "match_colour_distance"),
)
SET_PAIR = Table(
    "set_pair",
    ("evaluation_set", "evaluation_path", "other_set", "other_path"),
    ("feature_cos", "partition"),
    "Pictures of two evaluation sets, or of two splits of one, that may be copies.",
    nullable=("feature_cos",),
)
SET_MATCH = Table(
    "set_match",
    ("evaluation_set", "evaluation_path", "other_set", "other_path"),
    ("feature_cos", "n_inliers", "pair_scale", "pair_turn_deg", "is_pair_mirrored"),
    "Pictures of two evaluation sets, or of two splits of one, whose keypoints were compared.",
    nullable=("feature_cos",),
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
    "A sample that shows the ground of a picture of an evaluation set, at any date.",
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
    ("evaluation_path", "measure", "match_distance", "match_variant", "match_correlation", "n_inliers"),
    "A sample whose picture is in a split of an evaluation set, with the nearest picture there.",
    nullable=("match_distance", "match_correlation", "n_inliers"),
)
EVALUATION_OVERLAP = Table(
    "evaluation_overlap",
    ("evaluation_set", "evaluation_path", "other_set", "other_split"),
    ("evaluation_split", "other_path", "measure", "match_distance", "match_variant", "match_correlation", "n_inliers"),
    "A picture of an evaluation set that another set or split also has.",
    nullable=("match_distance", "match_correlation", "n_inliers"),
)
CONTAMINATED_CAPTION = Table(
    "contaminated_caption",
    ("sample_id", "evaluation_set", "evaluation_split"),
    ("evaluation_caption",),
    "A web sample whose caption is also in an evaluation set.",
)
