"""Every column once: its type, unit, meaning, and whether it enters the identity of a row.

Not for which table has which column: those are `schemas/tables.py` and `schemas/statistic_tables.py`.
"""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Kind = Literal["value", "measured", "location"]


@dataclass(frozen=True)
class Field:
    """One column.

    Attributes:
        name: the column's name in every table that has it.
        type: its Arrow type.
        unit: the unit, or "" if the quantity has none.
        meaning: one sentence.
        is_nullable: True if a missing value means "not known" and is not a fault.
        kind: "value" columns are the row's identity and enter digests; "measured" ones differ from run to run
            (milliseconds, peer addresses); "location" ones address stored bytes, which depends on the partitioning.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    is_nullable: bool = False
    kind: Kind = "value"


_FUNNEL = ("rows", "keyword", "downloaded", "invalid", "duplicate", "outlier", "remain")
FIELDS: tuple[Field, ...] = (
    # Keys and addresses of rows.
    Field("sample_id", pa.string(), "", "One image with its text: <corpus>_<part>_<row>, or the source's own id."),
    Field("corpus", pa.string(), "", "Corpus code: folder under SOURCES, manifest, prefix of sample_id."),
    Field("fetch_id", pa.string(), "", "First 32 hex digits of the sha256 of the normalised URL."),
    Field("image_id", pa.string(), "", "The image: fetch_id for the web corpora, sample_id for labelled ones."),
    Field("entry_kind", pa.string(), "", "What a withdrawn entry names: sample_id, url, host, sha256 or phash."),
    Field(
        "entry", pa.string(), "", "A withdrawn sample, normalised URL, host, sha256 or perceptual hash (both in hex)."
    ),
    Field(
        "caption_model_licence",
        pa.string(),
        "",
        "Licence of the language model that wrote the published caption; null for captions of people.",
        True,
    ),
    Field("barred_by", pa.string(), "", "Why nothing published names the sample: withdrawn or hash_listed."),
    Field("hash_kind", pa.string(), "", "What the hash is: md5 or sha256, of a whole file."),
    Field("hash", pa.string(), "", "The hash in hex digits, lower case."),
    Field("partition", pa.string(), "", "The unit of work that a row belongs to at the next stage.", kind="location"),
    Field(
        "is_withdrawn",
        pa.bool_(),
        "",
        "True if the URL is withdrawn or led to a listed file: it is in the pass, but not requested.",
    ),
    Field("pass", pa.int32(), "", "Number of the download pass, from 0."),
    # Source files.
    Field("path", pa.string(), "", "Path of the file under SOURCES."),
    Field("part", pa.int32(), "", "Number in the published file name, or of the patch; 0 if missing."),
    Field("size_bytes", pa.int64(), "bytes", "Size of the source file."),
    Field("mtime_ns", pa.int64(), "ns", "Modification time of the source file; a changed file is hashed again."),
    Field("reader_digest", pa.string(), "", "Digest of the manifest keys that affect reading the file."),
    Field("file_sha256", pa.string(), "", "sha256 of the source file."),
    Field("pilot_share", pa.float64(), "", "Share of the corpus in the pilot, by hash of URL or scene, in (0, 1]."),
    Field("n_rows", pa.int64(), "rows", "Rows that a reject covers, from source_row on; one if unknown.", True),
    Field("source_row", pa.int64(), "", "Position of the row in its source file, from 0."),
    # What a corpus publishes.
    Field("url", pa.string(), "", "Image URL as published."),
    Field("source_caption", pa.string(), "", "Caption as published."),
    Field("caption", pa.string(), "", "Caption with entities decoded, control characters and runs of blanks removed."),
    Field("keywords", pa.list_(pa.string()), "", "All keywords in the published caption, URL codes decoded."),
    Field("published_width_px", pa.int32(), "px", "Width the corpus states (swapped columns undone).", True),
    Field("published_height_px", pa.int32(), "px", "Height the corpus states (swapped columns undone).", True),
    Field("native_id", pa.string(), "", "The corpus's own id of the row.", True),
    Field("native_hash", pa.string(), "", "The corpus's own hash of the row; joins its companion files.", True),
    Field("language", pa.string(), "", "Language the corpus states for the row.", True),
    Field("other_texts", pa.list_(pa.string()), "", "The image's other texts, as the corpus publishes them.", True),
    Field("owner_id", pa.string(), "", "The corpus's own id of who published the image.", True),
    Field("strict_keywords", pa.list_(pa.string()), "", "Keywords that pass the strict rules; empty if none does."),
    Field("similarity", pa.float64(), "cosine", "Image-text similarity the corpus states.", True),
    Field("image_licence", pa.string(), "", "Licence the corpus states for this image.", True),
    Field("nsfw", pa.string(), "", "The corpus's own safety tag.", True),
    Field("punsafe", pa.float64(), "probability", "Probability of unsafe content, as the corpus states.", True),
    Field("pwatermark", pa.float64(), "probability", "Probability of a watermark, as the corpus states.", True),
    Field("annotation_licence", pa.string(), "", "Licence of the corpus's metadata and texts, not of its images."),
    Field("stated_latitude_deg", pa.float64(), "degrees", "WGS84 latitude the corpus states, in [-90, 90].", True),
    Field("stated_longitude_deg", pa.float64(), "degrees", "WGS84 longitude the corpus states, in [-180, 180].", True),
    Field("stated_datetime", pa.string(), "ISO 8601", "When the picture was taken, as the corpus states.", True),
    Field("machine_tags", pa.list_(pa.string()), "", "Tags from a classifier, as the corpus states.", True),
    Field("machine_tag_probs", pa.list_(pa.float64()), "probability", "One per machine tag, in its order.", True),
    # What a labelled corpus publishes.
    Field("labels", pa.list_(pa.string()), "", "Class labels as published; empty if the corpus has none."),
    Field("scene_id", pa.string(), "", "The location shown; samples of one scene go to one split."),
    Field("stated_country_code", pa.string(), "", "ISO 3166 alpha-3 code as published, valid or not.", True),
    Field("gsd_m", pa.float64(), "m", "Ground sample distance of the image.", True),
    Field("cloud_cover_percent", pa.float64(), "%", "Cloud cover the corpus states, in [0, 100].", True),
    Field("scan_direction", pa.string(), "", "Scan direction of the sensor, as published.", True),
    Field("target_azimuth_deg", pa.float64(), "degrees", "Azimuth of the target from the sensor.", True),
    Field("off_nadir_angle_deg", pa.float64(), "degrees", "Angle between the view and the nadir.", True),
    Field("box_cells", pa.list_(pa.string()), "", "Cells of a 3 x 3 grid that the labelled box overlaps most.", True),
    Field("v1_patch", pa.string(), "", "Name of the BigEarthNet patch in version 1; samples are numbered by it."),
    Field("v2_patch", pa.string(), "", "Name of the patch in version 2 (reBEN).", True),
    Field("v2_labels", pa.list_(pa.string()), "", "The patch's labels of the 19 classes, as version 2 states.", True),
    Field("v2_split", pa.string(), "", "train, validation or test, as version 2 states.", True),
    Field("v2_country", pa.string(), "", "Country of the patch, by its English name, as version 2 states.", True),
    Field("has_seasonal_snow", pa.bool_(), "", "True if on the snow list; null if SOURCES has no such list.", True),
    Field("has_cloud_or_shadow", pa.bool_(), "", "True if on the cloud list; null if SOURCES has no such list.", True),
    # Download.
    Field("normalised_url", pa.string(), "", "URL with scheme and host in lower case, no default port, no fragment."),
    Field("host", pa.string(), "", "Host of the normalised URL, with its port if not the default."),
    Field("is_fetched", pa.bool_(), "", "True if the whole body arrived."),
    Field("fetch_reason", pa.string(), "", "Reason of the failed attempt; null if it succeeded.", True),
    Field("fetch_detail", pa.string(), "", "Details of the failure.", True, "measured"),
    Field("http_status", pa.int32(), "", "Status of the last response.", True),
    Field("n_bytes", pa.int64(), "bytes", "Length of the body.", True),
    Field("body_sha256", pa.string(), "", "sha256 of the body.", True),
    Field("body_md5", pa.string(), "", "MD5 of the body, to compare with lists that have no sha256.", True),
    Field("body_file", pa.string(), "", "File under the build folder that holds the body.", True, "location"),
    Field("body_offset", pa.int64(), "bytes", "Position of the body's first byte in that file.", True, "location"),
    Field("retry_after_s", pa.float64(), "s", "Delay the server asked for.", True, "measured"),
    Field("fetch_ms", pa.int64(), "ms", "Duration of the attempt.", True, "measured"),
    Field("peer_address", pa.string(), "", "Address that answered.", True, "measured"),
    Field("final_url", pa.string(), "", "URL that answered, after redirects.", True, "measured"),
    # Images.
    Field("width_px", pa.int32(), "px", "Width of the picture as shown, turned by its EXIF orientation."),
    Field("height_px", pa.int32(), "px", "Height of the picture as shown, turned by its EXIF orientation."),
    Field("image_format", pa.string(), "", "Format as Pillow names it."),
    Field("image_mode", pa.string(), "", "Pixel mode as Pillow names it."),
    Field("n_frames", pa.int32(), "", "Frames up to a broken one, at most 10,000; only the first is used."),
    Field("pixel_sha256", pa.string(), "", "sha256 of size and RGB pixels as shown: equal for equal pictures."),
    Field("phash", pa.uint64(), "", "imagehash.phash of the picture as shown, 64 bits; the first bit is the highest."),
    Field(
        "phash_orientations",
        pa.list_(pa.uint64()),
        "",
        "phash of the picture if it were shown by EXIF orientation 1 to 8, in this order; the first is phash.",
    ),
    Field("phash_detail", pa.float64(), "grey levels", "17th smallest distance of the 64 DCT terms to their median."),
    Field("exif_datetime", pa.string(), "ISO 8601", "When the picture was taken, by its EXIF data.", True),
    Field("exif_latitude_deg", pa.float64(), "degrees", "WGS84 latitude by EXIF, in [-90, 90].", True),
    Field("exif_longitude_deg", pa.float64(), "degrees", "WGS84 longitude by EXIF, in [-180, 180].", True),
    Field("exif_orientation", pa.int32(), "", "EXIF orientation, 1 to 8; null for a TIFF, published upright.", True),
    # Duplicates.
    Field("cluster_id", pa.string(), "", "The cluster: sample_id of its survivor."),
    Field("cluster_n_samples", pa.int32(), "", "Samples in the cluster."),
    Field("survivor_id", pa.string(), "", "The kept sample of the cluster."),
    Field("duplicate_reason", pa.string(), "", "Reason why the sample was removed; null for the survivor.", True),
    Field(
        "phash_distance", pa.int32(), "bits", "Least Hamming distance of the hashes, to the survivor's or in a pair."
    ),
    Field("phash_orientation", pa.int32(), "", "EXIF orientation in which the picture is nearest the survivor's."),
    Field("keypoint_summary", pa.list_(pa.float16()), "", "256 numbers of length 1; zeros without enough keypoints."),
    Field(
        "window_hashes",
        pa.list_(pa.uint64()),
        "",
        "phash of the picture without its border, and of the upper and the lower five sixths of that.",
    ),
    Field("window_details", pa.list_(pa.float64()), "grey levels", "phash_detail of each window."),
    Field("window_correlation", pa.float64(), "", "Median correlation of 16 tiles of both pictures without borders."),
    Field("pair_id", pa.string(), "", "pixel_sha256 of the first picture, a dash, that of the second."),
    Field("side", pa.int32(), "", "0 for the first picture of a pair, 1 for the second."),
    Field(
        "pair_source", pa.string(), "", "What found the pair: embedding (features), keypoints (summaries) or windows."
    ),
    Field("feature_cos", pa.float64(), "cosine", "Of the vectors by which the pair was found."),
    Field("first_sha256", pa.string(), "", "pixel_sha256 of the first picture."),
    Field("second_sha256", pa.string(), "", "pixel_sha256 of the second picture."),
    Field("n_inliers", pa.int32(), "", "Distinct places in which the keypoints of both pictures agree."),
    Field("pair_scale", pa.float64(), "", "Length in the second picture per length in the first, both at 320 px."),
    Field("pair_turn_deg", pa.float64(), "degrees", "Clockwise turn from the first to the second picture."),
    Field("is_pair_mirrored", pa.bool_(), "", "True if the first picture agrees mirrored."),
    Field("pair_kind", pa.string(), "", "copy, same_place, unlike, or not_compared if a picture was not decoded."),
    Field(
        "is_other_date", pa.bool_(), "", "Whether the stated dates differ; null unless both have place and date.", True
    ),
    # Evaluation sets, and samples that are in one.
    Field("evaluation_set", pa.string(), "", "The evaluation set: its folder under EVAL, or its name in the manifest."),
    Field("evaluation_path", pa.string(), "", "Path of the picture below the folder of its evaluation set."),
    Field("evaluation_split", pa.string(), "", "train, val or test; all if the evaluation set is not split."),
    Field("evaluation_licence", pa.string(), "", "Licence of the evaluation set's pictures, by its manifest.", True),
    Field("evaluation_file", pa.string(), "", "File that has the picture, or its hashes.", kind="location"),
    Field("evaluation_caption", pa.string(), "", "Its caption in lower case, single blanks, no full stop at the end."),
    Field("variant_names", pa.list_(pa.string()), "", "A turn, or a window: % left out above, below, left and right."),
    Field("variant_hashes", pa.list_(pa.uint64()), "", "Perceptual hash of each variant; the first is phash."),
    Field("variant_details", pa.list_(pa.float64()), "grey levels", "phash_detail of each variant."),
    Field(
        "packed_keypoints", pa.binary(), "", "Keypoints of the picture as bytes; none if they are too few to compare."
    ),
    Field("ground_width_m", pa.float64(), "m", "Length on the ground from west to east that the picture shows.", True),
    Field("ground_height_m", pa.float64(), "m", "Length on the ground from south to north.", True),
    Field("ground_share", pa.float64(), "", "Share of the evaluation picture's ground that the other picture shows."),
    Field("measure", pa.string(), "", "What found the match: pixels (equal), phash (near) or keypoints (agreeing)."),
    Field("match_distance", pa.float64(), "", "Distance of the match: 0 by pixels, bits by phash; null by keypoints."),
    Field(
        "match_variant",
        pa.string(),
        "",
        "How the evaluation picture was changed: one of variant_names; by keypoints turn, scale, and whether mirrored.",
    ),
    Field("other_set", pa.string(), "", "Evaluation set that has the picture too."),
    Field("other_split", pa.string(), "", "Split of other_set that has it."),
    Field("other_path", pa.string(), "", "Path of the nearest picture there."),
    # Pictures and their scores.
    Field("image_feature", pa.list_(pa.float16()), "", "L2-normalised image feature of the scorer."),
    Field("prompt", pa.string(), "", "A text that a remote sensing image should resemble."),
    Field("prompt_feature", pa.list_(pa.float32()), "", "Text feature of the scorer, not normalised."),
    Field("detector_prob", pa.float64(), "probability", "Probability of a remote sensing image, by the detector."),
    Field("vlm_score_cos", pa.float64(), "cosine", "Cosine of the image feature and the mean prompt feature."),
    Field("score", pa.string(), "", "vlm or detector."),
    Field("rule", pa.string(), "", "quantile or absolute; none: no model gives the score, and the other decides."),
    Field("n_scored", pa.int64(), "samples", "Number of survivors with the score."),
    Field("top_share", pa.float64(), "", "Share kept by the quantile rule, in (0, 1].", True),
    Field("threshold", pa.float64(), "", "Smallest score that is kept."),
    Field("n_at_least", pa.int64(), "samples", "Number of survivors whose score is at least the threshold."),
    Field("n_tied", pa.int64(), "samples", "Number of survivors whose score equals the threshold."),
    Field("vlm_rank", pa.int64(), "", "Rank among the survivors by vlm_score_cos, from 1; ties share the lowest."),
    Field("detector_rank", pa.int64(), "", "Rank among the survivors by detector_prob, from 1; ties share the lowest."),
    # The match of an image and its own caption.
    Field("own_caption", pa.string(), "", "The sample's caption, of the web or generated, without its meta caption."),
    Field(
        "caption_cos",
        pa.float64(),
        "cosine",
        "Cosine of image and own caption, as far as the model reads it; null if not compared.",
        True,
    ),
    Field(
        "caption_top_share",
        pa.float64(),
        "",
        "Share of the corpus's samples (or of all: embed.tier_scope) with at least this caption_cos, in (0, 1].",
        True,
    ),
    # Generated captions.
    Field("n", pa.int32(), "", "Number within the sample, from 0."),
    Field("candidate_caption", pa.string(), "", "A caption the captioner drew; may be empty or repeat another."),
    Field("first_score_cos", pa.float64(), "cosine", "Cosine of caption and image by the first scorer.", True),
    Field("first_rank", pa.int32(), "", "Rank of the distinct caption by the first scorer, from 1.", True),
    Field("second_score_cos", pa.float64(), "cosine", "By the second scorer; null if the first dropped it.", True),
    Field("second_rank", pa.int32(), "", "Rank by the second scorer, from 1.", True),
    Field("rotation_mean_cos", pa.float64(), "cosine", "Mean over the rotated views.", True),
    Field("rotation_variance", pa.float64(), "", "Variance of the cosine over the rotated views.", True),
    Field("released_caption", pa.string(), "", "Text released with the image, as in RS5M's tars.", True),
    Field("top_caption", pa.string(), "", "The caption the second scorer ranks first."),
    Field("invariant_caption", pa.string(), "", "The caption whose cosine varies least when the image is rotated."),
    Field("generated_caption", pa.string(), "", "The published one of the two."),
    # Where and when.
    Field("latitude_deg", pa.float64(), "degrees", "WGS84 latitude, in [-90, 90].", True),
    Field("longitude_deg", pa.float64(), "degrees", "WGS84 longitude, in [-180, 180].", True),
    Field("position_source", pa.string(), "", "Origin of the position: corpus or exif.", True),
    Field("utm_zone", pa.int32(), "", "UTM zone number, 1 to 60; null beyond 80 S and 84 N.", True),
    Field("utm_band", pa.string(), "", "UTM latitude band, C to X without I and O.", True),
    Field("utm_hemisphere", pa.string(), "", "N or S; not the band, which also has letters N and S.", True),
    Field("utm_epsg", pa.int32(), "", "EPSG code of the WGS84 UTM zone.", True),
    Field("country_code", pa.string(), "", "ISO 3166 alpha-3 code of the country.", True),
    Field("country_name", pa.string(), "", "English short name of the country.", True),
    Field("city", pa.string(), "", "Nearest populated place within geometa.max_city_km.", True),
    Field("taken_at", pa.string(), "ISO 8601", "When the picture was taken.", True),
    Field("time_source", pa.string(), "", "Origin of the time: corpus or exif.", True),
    Field("month", pa.int32(), "", "Month, 1 to 12.", True),
    Field("season", pa.string(), "", "Meteorological season of the hemisphere; null within the tropics.", True),
    Field("meta_caption", pa.string(), "", "Sentence made from the metadata; null without facts.", True),
    Field("caption_id", pa.string(), "", "First 32 hex digits of the caption's sha256."),
    Field("place", pa.string(), "", "A name tagged as a geopolitical entity; null if none was found.", True),
    Field("original_name", pa.string(), "", "The corpus's own name of the sample: id, file or patch.", True),
    # Shards.
    Field("published_text", pa.string(), "", "Text published with the image."),
    Field("split", pa.string(), "", "train or val."),
    Field("random_split", pa.string(), "", "train or val by the published rule: a share of all samples at random."),
    Field("group_key", pa.string(), "", "Group of samples that share a split: the least image_id or scene_id of it."),
    Field("group_n_samples", pa.int64(), "samples", "Samples to publish in the group."),
    Field("is_caption_shared", pa.bool_(), "", "The caption, without the meta caption, occurs in another group too."),
    Field("is_train_group", pa.bool_(), "", "A caption of the group occurs in another group: for training alone."),
    Field("shard", pa.string(), "", "Name of the tar without its extension."),
    Field("half", pa.string(), "", "pub11 or rs3."),
    Field(
        "caption_sources",
        pa.list_(pa.string()),
        "",
        "What the published text consists of, in order: meta, web, generated.",
    ),
    Field(
        "places", pa.list_(pa.string()), "", "Place names in the caption, in their order; empty for labelled images."
    ),
    Field("image_rights", pa.string(), "", "Rights in the corpus's images, as its manifest states them.", True),
    Field("img_name", pa.string(), "", "Image name in the tar."),
    Field("published_n_bytes", pa.int64(), "bytes", "Length of the published image file."),
    Field("published_sha256", pa.string(), "", "sha256 of the published image file, without its metadata."),
    Field("published_format", pa.string(), "", "File extension of the published image."),
    Field("generated_captions", pa.list_(pa.string()), "", "The drawn captions without repetition, best ranked first."),
    Field("generated_scores_cos", pa.list_(pa.float64()), "cosine", "Of these, in their order, by the first scorer."),
    Field("image_offset", pa.int64(), "bytes", "Position of the image's first byte in the tar.", True, "location"),
    Field("text_offset", pa.int64(), "bytes", "Position of the text's first byte in the tar.", True, "location"),
    Field("text_n_bytes", pa.int64(), "bytes", "Length of the text in the tar, in UTF-8.", True),
    Field("extra_offset", pa.int64(), "bytes", "Position of img_name or json in the tar.", True, "location"),
    Field("extra_n_bytes", pa.int64(), "bytes", "Length of img_name or json in the tar.", True),
    Field("pair_format", pa.string(), "", "jpg, png or webp: extension of the image in the layout pairs."),
    Field("pair_n_bytes", pa.int64(), "bytes", "Length of the image file in the layout pairs."),
    Field("pair_sha256", pa.string(), "", "sha256 of that file: the published one, or a PNG of a GIF or BMP."),
    # Statistics: counts of samples; the published figures of RS5M beside ours.
    Field("source", pa.string(), "", "Corpus code, or Total."),
    Field("rows", pa.int64(), "rows", "Rows read from the source files."),
    Field("keyword", pa.int64(), "samples", "Rows whose caption has a keyword and that have a URL."),
    Field("downloaded", pa.int64(), "samples", "Samples whose URL was fetched."),
    Field("invalid", pa.int64(), "samples", "Downloaded samples with a refused image."),
    Field("duplicate", pa.int64(), "samples", "Valid samples removed as duplicates."),
    Field("outlier", pa.int64(), "samples", "Samples removed by a score."),
    Field("remain", pa.int64(), "samples", "Samples left: downloaded - invalid - duplicate - outlier."),
    Field("listed", pa.int64(), "samples", "Images named by the labelled corpus's files."),
    Field("unreadable", pa.int64(), "samples", "Listed images whose files or metadata could not be read."),
    Field("unselected", pa.int64(), "samples", "Images left out by labelled.ben_selection, readable or not."),
    Field("uncaptioned", pa.int64(), "samples", "Valid images without a generated caption."),
    Field("samples", pa.int64(), "samples", "Published samples."),
    Field("caption_source", pa.string(), "", "Origin of the caption after the meta caption: web or generated."),
    Field("with_meta_caption", pa.int64(), "samples", "Number of these with a meta caption."),
    Field("with_position", pa.int64(), "samples", "Number of these with coordinates."),
    Field("with_time", pa.int64(), "samples", "Number of these with the time the picture was taken."),
    Field("with_place", pa.int64(), "samples", "Number of these with a place name in the caption."),
    Field("pattern", pa.string(), "", "Keyword pattern, as in manifests/keywords.toml."),
    Field("n_captions", pa.int64(), "samples", "Candidates with the keyword in the caption."),
    Field("n_strict", pa.int64(), "samples", "Number of these whose keyword passes the strict rules."),
    Field("partition_name", pa.string(), "", "Name of a partition as part of the row's identity, unlike `partition`."),
    Field("n_source_files", pa.int64(), "files", "Source files of the partition."),
    Field("n_rows_given", pa.int64(), "rows", "Rows of the source files, counted independently of reading."),
    Field("n_rows_kept", pa.int64(), "rows", "Rows kept."),
    Field("n_rows_no_caption", pa.int64(), "rows", "Rows without a caption."),
    Field("n_rows_no_keyword", pa.int64(), "rows", "Rows without a keyword."),
    Field("n_rows_left_aside", pa.int64(), "rows", "Rows in other languages, outside the pilot, or listed twice."),
    Field("n_rows_malformed", pa.int64(), "rows", "Rows rejected one by one."),
    Field("n_rows_damaged", pa.int64(), "rows", "Rows in unreadable stretches; one per stretch if unknown."),
    Field("n_pub11", pa.int64(), "samples", "Published samples of PUB11."),
    Field("n_rs3", pa.int64(), "samples", "Published samples of RS3."),
    Field("n_groups", pa.int64(), "", "Groups of published samples that share a split."),
    Field("largest_group_samples", pa.int64(), "samples", "Samples of the corpus in its largest group."),
    Field("largest_group_share", pa.float64(), "", "largest_group_samples by the corpus's published samples."),
    Field("n_shared_caption", pa.int64(), "samples", "Samples whose caption occurs in another group too."),
    Field("n_in_train_groups", pa.int64(), "samples", "Samples of groups with such a caption."),
    Field("n_val", pa.int64(), "samples", "Samples of the validation split."),
    Field("val_share", pa.float64(), "", "Share of the validation split in the corpus's published samples."),
    Field("n_val_leaked", pa.int64(), "samples", "Validation samples whose group has a training sample."),
    Field("n_random_val", pa.int64(), "samples", "Validation samples by the published rule, at random."),
    Field("n_random_val_leaked", pa.int64(), "samples", "Those of n_random_val whose group has a training sample."),
    Field(
        "n_random_val_shared_caption",
        pa.int64(),
        "samples",
        "Those of n_random_val whose caption occurs in another group too.",
    ),
    Field("unpublished", pa.int64(), "samples", "Remaining samples refused by the shard stages."),
    Field("opted_out", pa.int64(), "samples", "Samples not downloaded because of robots.txt or noai, noimageai, noml."),
    Field("unsafe", pa.int64(), "samples", "Number of `unpublished` whose picture a corpus marks as unsafe."),
    Field("n_with_email", pa.int64(), "samples", "Number of these with an e-mail address in the caption."),
    Field("n_emails", pa.int64(), "", "E-mail addresses in these captions; one may occur in several."),
    Field("source_kind", pa.string(), "", "corpus or evaluation set."),
    Field("n_pictures", pa.int64(), "pictures", "Hashed pictures of the evaluation set."),
    Field("n_contaminated", pa.int64(), "samples", "Samples, or pictures of the source, that are in the set."),
    Field("n_by_pixels", pa.int64(), "samples", "Number of these with equal pixels."),
    Field("n_by_phash", pa.int64(), "samples", "Number of the others with a near hash."),
    Field("n_by_keypoints", pa.int64(), "samples", "Number of these that only keypoints found."),
    Field(
        "n_in_train", pa.int64(), "samples", "Number of these that are in the training split; one may be in several."
    ),
    Field("n_in_val", pa.int64(), "samples", "Number of these that are in the validation split."),
    Field("n_in_test", pa.int64(), "samples", "Number of these that are in the test split."),
    Field("n_in_unsplit", pa.int64(), "samples", "Number of these in a set, or a share of it, that is not split."),
    Field("n_on_same_ground", pa.int64(), "samples", "Samples, or pictures of the source, on ground of the set."),
    Field("n_equal_captions", pa.int64(), "samples", "Web samples with a valid image and a caption of the set."),
    *(
        Field(f"published_{name}", pa.int64(), "samples", f"{name} as the RS5M paper states it.", True)
        for name in (*_FUNNEL, "with_meta_caption", "with_position", "with_place")
    ),
    Field("downloaded_share", pa.float64(), "", "downloaded by keyword, in [0, 1]; null if there are none.", True),
    Field("invalid_share", pa.float64(), "", "invalid by downloaded; null if there are none.", True),
    Field("duplicate_share", pa.float64(), "", "duplicate by valid samples; null if there are none.", True),
    Field("outlier_share", pa.float64(), "", "outlier by samples after duplicates; null if there are none.", True),
    *(
        Field(f"published_{name}_share", pa.float64(), "", f"{name}_share by the figures of the RS5M paper.", True)
        for name in ("downloaded", "invalid", "duplicate", "outlier")
    ),
    Field("top_vlm", pa.int32(), "%", "Share of the survivors that vlm_score_cos keeps."),
    Field("top_detector", pa.int32(), "%", "Share of the survivors that detector_prob keeps."),
    Field("n_left", pa.int64(), "samples", "Survivors that both scores keep; one without a score is kept by neither."),
    Field("left_share", pa.float64(), "", "n_left by that of the whole shares, in [0, 1].", True),
    Field("published_n_left", pa.int64(), "samples", "n_left as the RS5M paper's figure 13 prints it.", True),
    Field("published_left_share", pa.float64(), "", "left_share by the figures of the RS5M paper.", True),
    Field("n_judged", pa.int64(), "samples", "Survivors that outlier filtering judged."),
    Field("n_low_vlm_alone", pa.int64(), "samples", "Number of these below the threshold of vlm_score_cos alone."),
    Field("n_low_detector_alone", pa.int64(), "samples", "Number of these below that of detector_prob alone."),
    Field("n_low_both", pa.int64(), "samples", "Number of these below both thresholds."),
    Field("low_both_share", pa.float64(), "", "n_low_both by the samples below either; null if there are none.", True),
    Field("n_unscored", pa.int64(), "samples", "Judged survivors that lack a score."),
    Field("least_cos", pa.float64(), "cosine", "Lower end of the bin of caption_cos, which belongs to it."),
    Field("top_percent", pa.int32(), "%", "The tier: samples whose caption_top_share is at most this."),
    Field("least_caption_cos", pa.float64(), "cosine", "Least caption_cos in the tier; null if it is empty.", True),
    Field("mean_caption_cos", pa.float64(), "cosine", "Mean caption_cos in the tier; null if it is empty.", True),
    Field("n_matched", pa.int64(), "samples", "Samples whose image was compared with its caption."),
    Field("dimension", pa.string(), "", "width or height of the image as shown."),
    Field("least_px", pa.int32(), "px", "Lower end of the bin, which belongs to it."),
    Field("size_share", pa.float64(), "", "Share of the bin in both halves, in [0, 1]; null if there are none.", True),
    Field("published_size_share", pa.float64(), "", "The share that RS5M's page states.", True),
    Field("mean_words", pa.float64(), "words", "Mean length of the published text, split at white space.", True),
    Field("median_words", pa.float64(), "words", "Median length of the published text.", True),
    Field("max_words", pa.int32(), "words", "Greatest length of the published text.", True),
    Field("published_mean_words", pa.float64(), "words", "The mean that RS5M's page states.", True),
    Field("published_max_words", pa.int32(), "words", "The maximum that RS5M's page states.", True),
    # Rejects.
    Field("reason", pa.string(), "", "Code of the fault, one of schemas/reasons.py."),
    Field("detail", pa.string(), "", "Details of the fault, at most 200 characters."),
)

FIELD: dict[str, Field] = {field.name: field for field in FIELDS}
