"""Tables of pictures: screening, duplicates, models and outliers."""

from schemas.tables.table import Table

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
        "same_place_id",
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
    ("keypoint_summary", "keypoint_codes", "window_hashes", "window_details"),
    "The summary and the codes of a picture's keypoints, and the hashes of its inside.",
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
        "pair_colour_distance",
        "window_correlation",
        "window_colour_distance",
    ),
    "Two pictures whose keypoints, insides and colours were compared.",
    nullable=("pair_colour_distance",),
    found_by=(("first_sha256", "pixel_sha256"), ("second_sha256", "pixel_sha256")),
)
JUDGED_PAIR = Table(
    "judged_pair",
    ("pair_id",),
    (
        "first_sha256", "second_sha256", "pair_kind", "pair_source", "feature_cos", "phash_distance", "n_inliers",
        "is_other_date",
    ),
    "Two pictures that may be copies, and the result of their comparison.",
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
    "A survivor that both scores accept, or the only score that decides.",
    nullable=("vlm_score_cos", "detector_prob", "vlm_rank", "detector_rank"),
)
