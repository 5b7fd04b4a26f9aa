"""Tables of source files, candidates and downloads."""

from schemas.tables.table import Table

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
    "A sample, URL, host or hash that is no longer requested or published.",
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
