"""The closed list of reject reasons, each final or transient; a stage may only use the ones it declares.

Not for counting or printing: those are queries over the reject rows.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Why a row was refused.

    Attributes:
        code: the fault, as it stands in the reject rows.
        meaning: one sentence for people.
        is_transient: True where the same row may pass at a later attempt (the world failed, not the row).
        is_counted_only: True where the row is counted per source file and not written (the keyword filter alone:
            it reads billions of rows; `explain` finds such a row by reading its source again).
        is_stretch: True where one reject row speaks for a stretch of source rows, and the count is of those rows; such
            a reject marks its partition as damaged.
    """

    code: str
    meaning: str
    is_transient: bool = False
    is_counted_only: bool = False
    is_stretch: bool = False


REASONS: tuple[Reason, ...] = (
    # inventory
    Reason("no_reader", "The folder is named like no corpus that has a reader; nothing in it was read."),
    Reason("faulty_manifest", "The corpus's manifest has a fault; nothing new in its folder was read."),
    Reason("left_out", "The corpus is not among inventory.corpora; nothing in it was read."),
    Reason("loose_file", "The file is not in the folder of a corpus; it was not read."),
    Reason("unexpected_file", "The file's name does not fit the corpus's published file names."),
    Reason("unreadable", "The file or folder cannot be read, so what it holds is missing from the build."),
    Reason("partial_download", "The file is an unfinished download."),
    Reason("reached_twice", "The folder is listed under another path, or leads back to one that it is in."),
    Reason("hidden_file", "The name of the file or folder begins with a dot; it was not read."),
    Reason("not_needed", "The file or folder belongs to the corpus as published, and nothing of it is read."),
    Reason("checksum_list", "The file lists checksums of source files; it is no source file itself."),
    Reason("archive_not_unpacked", "The file is an archive of the corpus: its content is read once it is unpacked."),
    Reason("scenes_outside_pilot", "Files of scenes that are not in the slice that inventory.pilot takes."),
    # filter
    Reason("no_caption", "The source row has no caption.", is_counted_only=True),
    Reason("no_keyword", "No keyword occurs in the caption.", is_counted_only=True),
    Reason("no_url", "The source row has no URL."),
    Reason("invalid_utf8", "The source line is not UTF-8."),
    Reason("wrong_field_count", "The source line has too few or too many fields."),
    Reason("no_metadata_row", "The corpus lists the sample, but no source file has its row.", is_counted_only=True),
    Reason("listed_again", "The corpus lists the sample more than once; one row counts.", is_counted_only=True),
    Reason("other_language", "The row is in none of the languages that are read.", is_counted_only=True),
    Reason("outside_pilot", "The row is not in the slice that inventory.pilot takes.", is_counted_only=True),
    Reason("shifted_row", "Fields of the row lie in each other's columns."),
    Reason("bad_record", "The record of the row is not what the corpus publishes, or lacks what names the sample."),
    Reason("field_too_large", "A field of the row is larger than any text of the corpus can be."),
    Reason("unknown_corpus", "The list names a sample of no corpus that is known."),
    Reason("false_keyword", "Strict rules refuse every keyword of the caption: the words mean something else."),
    Reason(
        "damaged_source",
        "A stretch of the source file cannot be read; rows are counted where known, else one.",
        is_stretch=True,
    ),
    Reason("wrong_columns", "The source file has not the columns or types that the corpus publishes.", is_stretch=True),
    # plan
    Reason("not_a_url", "The published URL cannot be parsed or names no host."),
    Reason("unsupported_scheme", "The published URL is neither http nor https."),
    # download (settle)
    Reason("http_not_found", "The server answered 404 or 410."),
    Reason("http_forbidden", "The server answered 401, 403 or 451."),
    Reason("http_client_error", "The server answered another 4xx."),
    Reason("http_throttled", "The server answered 429.", is_transient=True),
    Reason("http_server_error", "The server answered 5xx.", is_transient=True),
    Reason("timeout", "The server did not deliver the whole body in time.", is_transient=True),
    Reason("connection_failed", "The connection was refused or broke.", is_transient=True),
    Reason("truncated_body", "The body ended before its announced length.", is_transient=True),
    Reason("host_not_found", "The host name does not exist."),
    Reason("resolver_failed", "The host name could not be looked up just now.", is_transient=True),
    Reason("tls_failed", "The server's certificate or TLS is not acceptable."),
    Reason("private_address", "The URL or a redirect leads to a private, loopback or reserved address."),
    Reason("bad_redirect", "Too many redirects, a loop, or a redirect to something that is not http or https."),
    Reason("disallowed_by_header", "The server forbids the use of the image (X-Robots-Tag)."),
    Reason("body_too_large", "The body exceeds the byte limit."),
    Reason("invalid_response", "The answer is not valid HTTP."),
    Reason("broken_encoding", "The body cannot be unpacked by the coding that its headers name.", is_transient=True),
    Reason("unknown_encoding", "The body is packed by a coding that is not read.", is_transient=True),
    Reason("placeholder", "Many URLs with different captions lead to one address or to a known picture for 'gone'."),
    Reason("no_result", "The downloader gave no result for the URL.", is_transient=True),
    # screen
    Reason("empty_file", "The file has no bytes."),
    Reason("not_an_image", "No image decoder recognises the file."),
    Reason("format_not_allowed", "The file is an image of a format that is not on the allow list."),
    Reason("truncated_image", "The image file ends before its pixels do."),
    Reason("corrupt_image", "The image file cannot be decoded."),
    Reason("too_many_pixels", "The image exceeds the pixel limit."),
    Reason("decode_timeout", "Decoding used more CPU time than allowed."),
    Reason("decoder_died", "Decoding crashed or exceeded its memory."),
    Reason("unpublishable_image", "The file's metadata could not be removed without touching its pixels."),
    # dedup
    Reason("url_duplicate", "Another sample with the same normalised URL is kept."),
    Reason("pixel_duplicate", "Another sample with the same decoded pixels is kept."),
    Reason("near_duplicate", "Another sample whose perceptual hash is near is kept."),
    # labelled
    Reason("missing_image", "There is a metadata record, but no image."),
    Reason("missing_metadata", "The image has no metadata record beside it."),
    Reason("bad_metadata", "The metadata record cannot be read, or lacks what names the sample."),
    Reason("missing_band", "A band of the patch that the picture needs is missing."),
    Reason("bad_band", "A band of the patch cannot be read, or has another size or type than published."),
    Reason("seasonal_snow", "RS5M's selection: the patch is on the published list of patches with seasonal snow."),
    Reason("cloud_or_shadow", "RS5M's selection: the patch is on the published list of cloud and shadow."),
    Reason("outside_selection", "RS5M's selection: the patch lies in a country that it leaves out (Finland)."),
    # embed, outliers
    Reason("model_not_finite", "The model gave NaN or infinity for the image."),
    Reason("no_score", "The image has no score: the model could not judge it."),
    Reason("low_vlm_score", "The image resembles the prompts for remote sensing images too little."),
    Reason("low_detector_prob", "The detector takes the image for something else."),
    # caption
    Reason("no_caption_generated", "The captioner drew nothing but empty captions."),
    # shard
    Reason("publication_changed", "The file without its metadata is not the one that screen decided on."),
)

REASON: dict[str, Reason] = {reason.code: reason for reason in REASONS}
