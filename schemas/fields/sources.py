"""Columns of source files, candidates, labelled images, downloads and reject rows."""

import pyarrow as pa

from schemas.fields.field import Field

REJECT_FIELDS: tuple[Field, ...] = (
    Field("reason", pa.string(), "", "Code of the fault, one of schemas/reasons.py."),
    Field("detail", pa.string(), "", "Details of the fault, at most 200 characters."),
)
SOURCE_FIELDS: tuple[Field, ...] = (
    # Keys and addresses of rows.
    Field("sample_id", pa.string(), "", "One image with its text: <corpus>_<part>_<row>, or the source's own id."),
    Field("corpus", pa.string(), "", "Corpus code: folder under SOURCES, manifest, prefix of sample_id."),
    Field("fetch_id", pa.string(), "", "First 32 hex digits of the sha256 of the normalised URL."),
    Field("image_id", pa.string(), "", "The image: fetch_id for the web corpora, sample_id for labelled ones."),
    Field("entry_kind", pa.string(), "", "Kind of the withdrawn entry: sample_id, url, host, sha256 or phash."),
    Field(
        "entry", pa.string(), "", "A withdrawn sample, normalised URL, host, sha256 or perceptual hash (both in hex)."
    ),
    Field(
        "caption_model_licence",
        pa.string(),
        "",
        "Licence of the language model that wrote the published caption; null for captions written by people.",
        True,
    ),
    Field("text_id", pa.string(), "", "A further text: its source, file, row, and number in the row."),
    Field("text_source", pa.string(), "", "Name of the source in the manifest of further texts."),
    Field("text_key", pa.string(), "", "The source's name for the image, as published."),
    Field("further_text", pa.string(), "", "A text that others published for the image."),
    Field("text_licence", pa.string(), "", "Licence of the further text, as its manifest states it."),
    Field("further_texts", pa.list_(pa.string()), "", "Texts that others published for the image."),
    Field("further_sources", pa.list_(pa.string()), "", "Source of each further text."),
    Field("further_licences", pa.list_(pa.string()), "", "Licence of each further text."),
    Field("barred_by", pa.string(), "", "Reason why nothing published names the sample: withdrawn or hash_listed."),
    Field("hash_kind", pa.string(), "", "Kind of the hash: md5 or sha256, of a whole file."),
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
    # Published by a corpus.
    Field("url", pa.string(), "", "Image URL as published."),
    Field("source_caption", pa.string(), "", "Caption as published."),
    Field("caption", pa.string(), "", "Caption with entities decoded, control characters and runs of blanks removed."),
    Field("keywords", pa.list_(pa.string()), "", "All keywords in the published caption, URL codes decoded."),
    Field(
        "published_width_px", pa.int32(), "px", "Width as the corpus states it; swapped columns are corrected.", True
    ),
    Field(
        "published_height_px", pa.int32(), "px", "Height as the corpus states it; swapped columns are corrected.", True
    ),
    Field("native_id", pa.string(), "", "The corpus's own id of the row.", True),
    Field("native_hash", pa.string(), "", "The corpus's own hash of the row; joins its companion files.", True),
    Field("language", pa.string(), "", "Language the corpus states for the row.", True),
    Field("other_texts", pa.list_(pa.string()), "", "The image's other texts, as the corpus publishes them.", True),
    Field("owner_id", pa.string(), "", "The corpus's own id of the image's publisher.", True),
    Field("strict_keywords", pa.list_(pa.string()), "", "Keywords that pass the strict rules; empty if none does."),
    Field("similarity", pa.float64(), "cosine", "Image-text similarity the corpus states.", True),
    Field("image_licence", pa.string(), "", "Licence the corpus states for this image.", True),
    Field("nsfw", pa.string(), "", "The corpus's own safety tag.", True),
    Field("punsafe", pa.float64(), "probability", "Probability of unsafe content, as the corpus states.", True),
    Field("pwatermark", pa.float64(), "probability", "Probability of a watermark, as the corpus states.", True),
    Field("annotation_licence", pa.string(), "", "Licence of the corpus's metadata and texts, not of its images."),
    Field("stated_latitude_deg", pa.float64(), "degrees", "WGS84 latitude the corpus states, in [-90, 90].", True),
    Field("stated_longitude_deg", pa.float64(), "degrees", "WGS84 longitude the corpus states, in [-180, 180].", True),
    Field("stated_datetime", pa.string(), "ISO 8601", "Time the picture was taken, as the corpus states it.", True),
    Field("machine_tags", pa.list_(pa.string()), "", "Tags from a classifier, as the corpus states.", True),
    Field(
        "machine_tag_probs",
        pa.list_(pa.float64()),
        "probability",
        "Probability of each machine tag, in the same order.",
        True,
    ),
    # Published by a labelled corpus.
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
)
