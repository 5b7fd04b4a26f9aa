"""Columns of pictures: screening, duplicates, evaluation sets, scores and the match with a caption."""

import pyarrow as pa

from schemas.fields.field import Field

PICTURE_FIELDS: tuple[Field, ...] = (
    # Images.
    Field("width_px", pa.int32(), "px", "Width of the picture as shown, turned by its EXIF orientation."),
    Field("height_px", pa.int32(), "px", "Height of the picture as shown, turned by its EXIF orientation."),
    Field("image_format", pa.string(), "", "Format as Pillow names it."),
    Field("image_mode", pa.string(), "", "Pixel mode as Pillow names it."),
    Field("n_frames", pa.int32(), "", "Number of frames before a broken one, at most 10,000; only the first is used."),
    Field("pixel_sha256", pa.string(), "", "sha256 of size and RGB pixels as shown: equal for equal pictures."),
    Field("phash", pa.uint64(), "", "imagehash.phash of the picture as shown, 64 bits, most significant bit first."),
    Field(
        "phash_orientations",
        pa.list_(pa.uint64()),
        "",
        "phash of the picture in each EXIF orientation, 1 to 8; the first is phash.",
    ),
    Field("phash_detail", pa.float64(), "grey levels", "17th smallest distance of the 64 DCT terms to their median."),
    Field("exif_datetime", pa.string(), "ISO 8601", "Time the picture was taken, from EXIF.", True),
    Field("exif_latitude_deg", pa.float64(), "degrees", "WGS84 latitude from EXIF, in [-90, 90].", True),
    Field("exif_longitude_deg", pa.float64(), "degrees", "WGS84 longitude from EXIF, in [-180, 180].", True),
    Field("exif_orientation", pa.int32(), "", "EXIF orientation, 1 to 8; null for a TIFF, published upright.", True),
    # Duplicates.
    Field("cluster_id", pa.string(), "", "The cluster: sample_id of its survivor."),
    Field("cluster_n_samples", pa.int32(), "", "Samples in the cluster."),
    Field(
        "same_place_id",
        pa.string(),
        "",
        "The place that near pictures show at several stated dates, in a cluster each: sample_id of the first one.",
        True,
    ),
    Field("survivor_id", pa.string(), "", "The kept sample of the cluster."),
    Field("duplicate_reason", pa.string(), "", "Reason why the sample was removed; null for the survivor.", True),
    Field(
        "phash_distance",
        pa.int32(),
        "bits",
        "Hamming distance of the nearest hashes: to the survivor's hashes, or within a pair.",
    ),
    Field("phash_orientation", pa.int32(), "", "EXIF orientation in which the picture is nearest to the survivor."),
    Field(
        "keypoint_summary",
        pa.list_(pa.float16()),
        "",
        "Unit vector of 256 numbers; zeros if there are too few keypoints.",
    ),
    Field(
        "keypoint_codes",
        pa.list_(pa.uint64()),
        "",
        "Codes of the strongest keypoints, at most 300: a bit per sum of two descriptor values, set above the median.",
    ),
    Field(
        "window_hashes",
        pa.list_(pa.uint64()),
        "",
        "phash of the picture without its border, and of the upper and lower five sixths of that picture.",
    ),
    Field("window_details", pa.list_(pa.float64()), "grey levels", "phash_detail of each window."),
    Field(
        "pair_correlation",
        pa.float64(),
        "",
        "Correlation of the aligned pictures, or the lower quartile over their tiles if smaller.",
    ),
    Field(
        "window_correlation", pa.float64(), "", "Median correlation over 16 tiles of the two pictures, borders removed."
    ),
    Field(
        "pair_colour_distance",
        pa.float64(),
        "levels",
        "Mean distance of the aligned pictures' colours: how far red, green and blue are from their mean, as shares of"
        " their sum, times 255; 0 if one picture is grey, null if they agree nowhere.",
    ),
    Field("window_colour_distance", pa.float64(), "levels", "pair_colour_distance of the insides of the two pictures."),
    Field("pair_id", pa.string(), "", "pixel_sha256 of both pictures, joined by a dash."),
    Field("side", pa.int32(), "", "0 for the first picture of a pair, 1 for the second."),
    Field(
        "pair_source",
        pa.string(),
        "",
        "Method that found the pair: embedding (features), keypoints (summaries) or windows.",
    ),
    Field("feature_cos", pa.float64(), "cosine", "Cosine of the two vectors by which the pair was found."),
    Field("first_sha256", pa.string(), "", "pixel_sha256 of the first picture."),
    Field("second_sha256", pa.string(), "", "pixel_sha256 of the second picture."),
    Field("n_inliers", pa.int32(), "", "Number of distinct places where the keypoints of both pictures agree."),
    Field("pair_scale", pa.float64(), "", "Scale of the second picture relative to the first, both at 320 px."),
    Field("pair_turn_deg", pa.float64(), "degrees", "Clockwise turn from the first to the second picture."),
    Field("is_pair_mirrored", pa.bool_(), "", "True if the keypoints agree with the first picture mirrored."),
    Field("pair_kind", pa.string(), "", "copy, same_place, unlike, or not_compared if a picture was not decoded."),
    Field(
        "is_other_date", pa.bool_(), "", "True if the stated dates differ; null unless both have place and date.", True
    ),
    # Evaluation sets, and samples that are in one.
    Field("evaluation_set", pa.string(), "", "The evaluation set: its folder under EVAL, or its name in the manifest."),
    Field("evaluation_path", pa.string(), "", "Path of the picture below the folder of its evaluation set."),
    Field("evaluation_split", pa.string(), "", "train, val or test; all if the evaluation set is not split."),
    Field(
        "evaluation_licence",
        pa.string(),
        "",
        "Licence of the evaluation set's pictures, as its manifest states it.",
        True,
    ),
    Field("evaluation_file", pa.string(), "", "File that contains the picture, or its hashes.", kind="location"),
    Field(
        "evaluation_caption",
        pa.string(),
        "",
        "Caption of the set in lower case, with single blanks and no final full stop.",
    ),
    Field("variant_names", pa.list_(pa.string()), "", "A turn, or a window: % left out above, below, left and right."),
    Field("variant_hashes", pa.list_(pa.uint64()), "", "Perceptual hash of each variant; the first is phash."),
    Field("variant_details", pa.list_(pa.float64()), "grey levels", "phash_detail of each variant."),
    Field("grey_square", pa.binary(), "", "Grey levels of the picture, reduced to a square of 64 px, row by row."),
    Field("colour_square", pa.binary(), "", "Red, green and blue of the picture, reduced to a square of 16 px."),
    Field(
        "packed_keypoints", pa.binary(), "", "Keypoints of the picture as bytes; none if they are too few to compare."
    ),
    Field("ground_width_m", pa.float64(), "m", "Width of the ground that the picture shows, from west to east.", True),
    Field(
        "ground_height_m", pa.float64(), "m", "Height of the ground that the picture shows, from south to north.", True
    ),
    Field("ground_share", pa.float64(), "", "Share of the evaluation picture's ground that the other picture shows."),
    Field(
        "measure",
        pa.string(),
        "",
        "Measure that found the match: pixels (equal), phash (near) or keypoints (agreeing).",
    ),
    Field(
        "match_distance", pa.float64(), "", "Distance of the match: 0 for pixels, bits for phash, null for keypoints."
    ),
    Field(
        "match_variant",
        pa.string(),
        "",
        "Matching change of the evaluation picture: one of variant_names; for keypoints turn, scale and mirroring.",
    ),
    Field(
        "match_correlation",
        pa.float64(),
        "",
        "Correlation of both pictures' grey levels, at frequencies that the hash lacks; null by pixels or keypoints.",
    ),
    Field(
        "match_colour_distance",
        pa.float64(),
        "levels",
        "pair_colour_distance of an evaluation picture, turned or cut, and the other picture; null by keypoints alone.",
    ),
    Field("other_set", pa.string(), "", "Other evaluation set that has the picture."),
    Field("other_split", pa.string(), "", "Split of other_set that has it."),
    Field("other_path", pa.string(), "", "Path of the nearest picture in other_set."),
    # Pictures and their scores.
    Field("image_feature", pa.list_(pa.float16()), "", "L2-normalised image feature of the scorer."),
    Field("prompt", pa.string(), "", "A text that a remote sensing image should resemble."),
    Field("prompt_feature", pa.list_(pa.float32()), "", "Text feature of the scorer, not normalised."),
    Field(
        "detector_prob",
        pa.float64(),
        "probability",
        "The detector's probability that the picture is a remote sensing image.",
    ),
    Field("vlm_score_cos", pa.float64(), "cosine", "Cosine of the image feature and the mean prompt feature."),
    Field("score", pa.string(), "", "vlm or detector."),
    Field(
        "rule", pa.string(), "", "quantile or absolute; none if no model gives the score and the other score decides."
    ),
    Field("n_scored", pa.int64(), "samples", "Number of survivors with the score."),
    Field("top_share", pa.float64(), "", "Share kept by the quantile rule, in (0, 1].", True),
    Field("threshold", pa.float64(), "", "Smallest score that is kept."),
    Field("n_at_least", pa.int64(), "samples", "Number of survivors whose score is at least the threshold."),
    Field("n_tied", pa.int64(), "samples", "Number of survivors whose score equals the threshold."),
    Field("vlm_rank", pa.int64(), "", "Rank among the survivors by vlm_score_cos, from 1; ties share the lowest."),
    Field("detector_rank", pa.int64(), "", "Rank among the survivors by detector_prob, from 1; ties share the lowest."),
    # The match of an image and its own caption.
    Field("own_caption", pa.string(), "", "The sample's web or generated caption, without its meta caption."),
    Field(
        "caption_cos",
        pa.float64(),
        "cosine",
        "Cosine of the image and its caption, cut at the model's text length; null if not compared.",
        True,
    ),
    Field(
        "caption_top_share",
        pa.float64(),
        "",
        "Share of the corpus's samples (or of all: embed.tier_scope) with at least this caption_cos, in (0, 1].",
        True,
    ),
)
