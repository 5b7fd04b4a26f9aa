"""Every table a stage writes: its key and its columns.

Not for saying what a column means: that is `schemas/fields.py`.
"""

from dataclasses import dataclass

import pyarrow as pa

from schemas.fields import FIELD, Field


@dataclass(frozen=True)
class Table:
    """One table: rows kept by a stage, and beside them the reject rows (key columns, reason, detail).

    Attributes:
        name: a singular noun; the folder under the build folder.
        key: columns that name a row, unique over the table.
        columns: the other columns.
        meaning: what one row is.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    meaning: str

    @property
    def fields(self) -> tuple[Field, ...]:
        """The declared fields, key first."""
        return tuple(FIELD[name] for name in (*self.key, *self.columns))

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the kept rows; columns that may hold nulls are nullable."""
        return pa.schema([pa.field(f.name, f.type, nullable=f.is_nullable) for f in self.fields])

    @property
    def reject_schema(self) -> pa.Schema:
        """The Arrow schema of the reject rows: the key, the reason and the detail."""
        names = (*self.key, "reason", "detail")
        return pa.schema([pa.field(n, FIELD[n].type, nullable=False) for n in names])


SOURCE_LISTING = Table(
    "source_listing",
    ("corpus", "path"),
    ("part", "size_bytes", "mtime_ns", "reader_digest", "partition"),
    "A source file as it was seen under SOURCES.",
)
SOURCE_FILE = Table("source_file", ("corpus", "path"), ("size_bytes", "file_sha256"), "A source file, hashed.")
CANDIDATE = Table(
    "candidate",
    ("sample_id",),
    (
        "corpus", "part", "source_row", "url", "source_caption", "caption", "keywords",
        "published_width_px", "published_height_px", "native_id", "similarity", "image_licence", "nsfw", "punsafe",
        "pwatermark", "annotation_licence",
    ),
    "A source row whose caption has a keyword.",
)  # fmt: skip
PLANNED = Table(
    "planned", ("sample_id",), ("fetch_id", "normalised_url", "host"), "A candidate whose image can be asked for."
)
FETCH_PASS = Table(
    "fetch_pass",
    ("fetch_id", "pass"),
    ("normalised_url", "host", "partition"),
    "A URL that is to be fetched in a pass.",
)
FETCH_ATTEMPT = Table(
    "fetch_attempt",
    ("fetch_id", "pass"),
    (
        "is_fetched", "fetch_reason", "fetch_detail", "http_status", "n_bytes", "body_sha256", "body_file",
        "body_offset", "retry_after_s", "fetch_ms", "peer_address", "final_url",
    ),
    "One attempt to fetch a URL, whatever came of it.",
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
        "body_sha256", "n_bytes", "width_px", "height_px", "image_format", "image_mode", "n_frames", "pixel_sha256",
        "phash", "exif_datetime", "exif_latitude_deg", "exif_longitude_deg", "exif_orientation",
    ),
    "A valid image, decoded once.",
)  # fmt: skip
DUPLICATE = Table(
    "duplicate",
    ("sample_id",),
    ("image_id", "cluster_id", "cluster_n_samples", "survivor_id", "duplicate_reason", "phash_distance"),
    "A sample with a valid image and the cluster it belongs to.",
)
UNIQUE = Table("unique", ("sample_id",), ("image_id", "cluster_id"), "A sample that no duplicate of it outranks.")
SHARD_PLAN = Table(
    "shard_plan",
    ("sample_id",),
    (
        "published_text", "split", "shard", "img_name", "image_format", "exif_orientation", "n_bytes", "body_sha256",
        "body_file", "body_offset",
    ),
    "A sample that is to be published, and in which tar.",
)  # fmt: skip
SHARD = Table(
    "shard",
    ("sample_id",),
    ("shard", "body_sha256", "published_sha256", "published_n_bytes", "published_format"),
    "A sample in a tar.",
)
METAFILE = Table(
    "metafile",
    ("sample_id",),
    (
        "img_name", "published_text", "url", "corpus", "split", "shard", "keywords", "native_id", "width_px",
        "height_px", "body_sha256", "published_sha256", "annotation_licence", "image_licence",
    ),
    "A published sample, with where it comes from.",
)  # fmt: skip
_FIGURES = ("rows", "keyword", "downloaded", "invalid", "duplicate", "outlier", "remain")
PUB11_FUNNEL = Table(
    "pub11_funnel",
    ("source",),
    (*_FIGURES, "unpublished", *(f"published_{name}" for name in _FIGURES)),
    "What became of a corpus, beside the published figures.",
)
