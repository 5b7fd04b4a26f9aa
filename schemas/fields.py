"""Every column once: its type, unit, meaning, and whether it takes part in the identity of a row.

Not for saying which table has which column: that is `schemas/tables.py`.
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
        unit: the unit, or "" where the quantity has none.
        meaning: one sentence.
        is_nullable: True where a missing value is a statement ("not known"), not a fault.
        kind: "value" columns are the row's identity and enter digests; "measured" ones differ from run to run
            (milliseconds, peer addresses); "location" ones say where bytes lie, which depends on the partitioning.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    is_nullable: bool = False
    kind: Kind = "value"


FIELDS: tuple[Field, ...] = (
    # Keys and addresses of rows.
    Field("sample_id", pa.string(), "", "One image with its text: <corpus>_<part>_<row>, or the source's own id."),
    Field("corpus", pa.string(), "", "Corpus code: folder under SOURCES, manifest, prefix of sample_id."),
    Field("fetch_id", pa.string(), "", "First 32 hex digits of the sha256 of the normalised URL."),
    Field("image_id", pa.string(), "", "The image: fetch_id for the web corpora, sample_id for labelled ones."),
    Field("partition", pa.string(), "", "The unit of work that a row belongs to at the next stage.", kind="location"),
    Field("pass", pa.int32(), "", "Number of the download pass, from 0."),
    # Source files.
    Field("path", pa.string(), "", "Path of the file under SOURCES."),
    Field("part", pa.int32(), "", "Number in the published file name; 0 where a corpus is one file."),
    Field("size_bytes", pa.int64(), "bytes", "Size of the source file."),
    Field("mtime_ns", pa.int64(), "ns", "Modification time of the source file: a changed one is hashed again."),
    Field("reader_digest", pa.string(), "", "Digest of what the corpus manifest says on reading the file."),
    Field("file_sha256", pa.string(), "", "sha256 of the source file."),
    Field("source_row", pa.int64(), "", "Position of the row in its source file, from 0."),
    # What a corpus publishes.
    Field("url", pa.string(), "", "Image URL as published."),
    Field("source_caption", pa.string(), "", "Caption as published."),
    Field("caption", pa.string(), "", "Caption with entities decoded, control characters and runs of blanks removed."),
    Field("keywords", pa.list_(pa.string()), "", "All keywords that occur in the published caption."),
    Field("published_width_px", pa.int32(), "px", "Width the corpus states (swapped columns undone).", True),
    Field("published_height_px", pa.int32(), "px", "Height the corpus states (swapped columns undone).", True),
    Field("native_id", pa.string(), "", "The corpus's own id of the row.", True),
    Field("similarity", pa.float64(), "cosine", "Image-text similarity the corpus states.", True),
    Field("image_licence", pa.string(), "", "Licence the corpus states for this image.", True),
    Field("nsfw", pa.string(), "", "The corpus's own safety tag.", True),
    Field("punsafe", pa.float64(), "probability", "Unsafe content, as the corpus states.", True),
    Field("pwatermark", pa.float64(), "probability", "Watermark, as the corpus states.", True),
    Field("annotation_licence", pa.string(), "", "Licence of the corpus's metadata and texts, not of its images."),
    # Download.
    Field("normalised_url", pa.string(), "", "URL with scheme and host in lower case, no default port, no fragment."),
    Field("host", pa.string(), "", "Host of the normalised URL, with its port where that is not the default."),
    Field("is_fetched", pa.bool_(), "", "The whole body arrived."),
    Field("fetch_reason", pa.string(), "", "Why the attempt failed; null where it succeeded.", True),
    Field("fetch_detail", pa.string(), "", "What exactly was seen.", True, "measured"),
    Field("http_status", pa.int32(), "", "Status of the last response.", True),
    Field("n_bytes", pa.int64(), "bytes", "Length of the body.", True),
    Field("body_sha256", pa.string(), "", "sha256 of the body.", True),
    Field("body_file", pa.string(), "", "File under the build folder that holds the body.", True, "location"),
    Field("body_offset", pa.int64(), "bytes", "Where the body begins in that file.", True, "location"),
    Field("retry_after_s", pa.float64(), "s", "Delay the server asked for.", True, "measured"),
    Field("fetch_ms", pa.int64(), "ms", "Duration of the attempt.", True, "measured"),
    Field("peer_address", pa.string(), "", "Address that answered.", True, "measured"),
    Field("final_url", pa.string(), "", "URL that answered, after redirects.", True, "measured"),
    # Images.
    Field("width_px", pa.int32(), "px", "Width of the decoded image."),
    Field("height_px", pa.int32(), "px", "Height of the decoded image."),
    Field("image_format", pa.string(), "", "Format as Pillow names it."),
    Field("image_mode", pa.string(), "", "Pixel mode as Pillow names it."),
    Field("n_frames", pa.int32(), "", "Frames in the file; the first one counts."),
    Field("pixel_sha256", pa.string(), "", "sha256 of size and decoded pixels: equal for equal pictures."),
    Field("phash", pa.uint64(), "", "64-bit perceptual hash, as imagehash.phash; the first bit is the highest."),
    Field("exif_datetime", pa.string(), "ISO 8601", "When the picture was taken, by its EXIF data.", True),
    Field("exif_latitude_deg", pa.float64(), "degrees", "WGS84 latitude by EXIF, in [-90, 90].", True),
    Field("exif_longitude_deg", pa.float64(), "degrees", "WGS84 longitude by EXIF, in [-180, 180].", True),
    Field("exif_orientation", pa.int32(), "", "EXIF orientation, 1 to 8.", True),
    # Duplicates.
    Field("cluster_id", pa.string(), "", "The cluster: sample_id of its survivor."),
    Field("cluster_n_samples", pa.int32(), "", "Samples in the cluster."),
    Field("survivor_id", pa.string(), "", "The sample of the cluster that is kept."),
    Field("duplicate_reason", pa.string(), "", "Why the sample is not the survivor; null for the survivor.", True),
    Field("phash_distance", pa.int32(), "bits", "Hamming distance of the perceptual hash to the survivor's."),
    # Shards.
    Field("published_text", pa.string(), "", "The text that is published with the image."),
    Field("split", pa.string(), "", "train or val."),
    Field("shard", pa.string(), "", "Name of the tar without its ending."),
    Field("img_name", pa.string(), "", "Image name in the tar."),
    Field("published_n_bytes", pa.int64(), "bytes", "Length of the published image file."),
    Field("published_sha256", pa.string(), "", "sha256 of the published image file, its metadata removed."),
    Field("published_format", pa.string(), "", "Ending of the published image file's format."),
    # Statistics: counts of samples; the published figures of RS5M beside ours.
    Field("source", pa.string(), "", "Corpus code, or Total."),
    Field("rows", pa.int64(), "rows", "Rows read from the source files."),
    Field("keyword", pa.int64(), "samples", "Rows whose caption has a keyword and that have a URL."),
    Field("downloaded", pa.int64(), "samples", "Samples whose URL was fetched."),
    Field("invalid", pa.int64(), "samples", "Downloaded samples whose image was refused."),
    Field("duplicate", pa.int64(), "samples", "Valid samples removed as duplicates."),
    Field("outlier", pa.int64(), "samples", "Samples removed by a score; 0 while no stage scores."),
    Field("remain", pa.int64(), "samples", "Samples left: downloaded - invalid - duplicate - outlier."),
    Field("unpublished", pa.int64(), "samples", "Remaining samples that the shard stages refused."),
    *(
        Field(f"published_{name}", pa.int64(), "samples", f"{name} as the RS5M paper states it.", True)
        for name in ("rows", "keyword", "downloaded", "invalid", "duplicate", "outlier", "remain")
    ),
    # Rejects.
    Field("reason", pa.string(), "", "Code of the fault, one of schemas/reasons.py."),
    Field("detail", pa.string(), "", "What exactly was found, at most 200 characters."),
)

FIELD: dict[str, Field] = {field.name: field for field in FIELDS}
