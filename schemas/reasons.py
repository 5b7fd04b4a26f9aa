"""The closed list of reject reasons, each final or transient; a stage may only use the ones it declares.

Counts and prints are queries over the reject rows.
"""

from dataclasses import dataclass

DETAIL_MAX_CHARACTERS = 200  # a reject's detail is a line for people, not a log


@dataclass(frozen=True)
class Reason:
    """Why a row was refused.

    Attributes:
        code: the fault, as written in the reject rows.
        meaning: one sentence for users.
        is_transient: True if a later attempt may succeed (the network failed, not the row).
        is_counted_only: True if the row is counted per source file and not written (only in the keyword filter,
            which reads billions of rows; `explain` finds such a row by reading its source again).
        is_stretch: True if one reject row covers several source rows and counts them all; such a reject marks its
            partition as damaged.
    """

    code: str
    meaning: str
    is_transient: bool = False
    is_counted_only: bool = False
    is_stretch: bool = False


REASONS: tuple[Reason, ...] = (
    # inventory
    Reason("no_reader", "No corpus with a reader has the folder's name; nothing in it was read."),
    Reason("faulty_manifest", "The corpus's manifest has a mistake; nothing new in its folder was read."),
    Reason("left_out", "A setting leaves the corpus out (inventory.corpora, inventory.halves); it was not read."),
    Reason("loose_file", "The file is outside the folders of the corpora; it was not read."),
    Reason("unexpected_file", "The file's name does not match the corpus's published file names."),
    Reason("unreadable", "The file or folder cannot be read; its rows are missing from the build."),
    Reason("partial_download", "The file is an unfinished download."),
    Reason("reached_twice", "The folder is already listed under another path, or links back to its own parent."),
    Reason("hidden_file", "The name of the file or folder begins with a dot; it was not read."),
    Reason("not_needed", "The file or folder belongs to the published corpus, but is not used."),
    Reason("checksum_list", "The file lists checksums of source files; it is not a source file."),
    Reason("archive_not_unpacked", "The file is an archive of the corpus; unpack it to have its content read."),
    Reason("scenes_outside_pilot", "The files belong to scenes outside the slice of inventory.pilot."),
    # filter
    Reason("no_caption", "The source row has no caption.", is_counted_only=True),
    Reason("no_keyword", "No keyword occurs in the caption.", is_counted_only=True),
    Reason("no_url", "The source row has no URL."),
    Reason("invalid_utf8", "The source line is not UTF-8."),
    Reason("wrong_field_count", "The source line has too few or too many fields."),
    Reason("no_metadata_row", "The corpus lists the sample, but no source file has its row.", is_counted_only=True),
    Reason("listed_again", "The corpus lists the sample more than once; one row counts.", is_counted_only=True),
    Reason("other_language", "The row's language is not among those read.", is_counted_only=True),
    Reason("outside_pilot", "The row is outside the slice of inventory.pilot.", is_counted_only=True),
    Reason("shifted_row", "The row's fields are in the wrong columns."),
    Reason("bad_record", "The record does not have the published form, or lacks the sample's name."),
    Reason("field_too_large", "A field of the row exceeds the size limit for the corpus."),
    Reason("unknown_corpus", "The list names a sample of an unknown corpus."),
    Reason("labelled_sample", "The list names a labelled image, which has no URL; it is read from its own corpus."),
    Reason("false_keyword", "The strict rules refuse every keyword of the caption: the words have another meaning."),
    Reason(
        "damaged_source",
        "A stretch of the source file cannot be read; its rows are counted if known, else as one.",
        is_stretch=True,
    ),
    Reason("wrong_columns", "The source file does not have the published columns or types.", is_stretch=True),
    # caption (join_texts)
    Reason("unknown_text_key", "No sample of the corpus has the name given with the further text."),
    Reason("no_text", "The row of further texts has a blank text, or none."),
    # plan
    Reason("not_a_url", "The published URL cannot be parsed or names no host."),
    Reason("unsupported_scheme", "The published URL is neither http nor https."),
    # download (reduce_attempts)
    Reason("http_not_found", "The server answered 404 or 410."),
    Reason("http_forbidden", "The server answered 401, 403 or 451."),
    Reason("http_client_error", "The server answered with another 4xx status."),
    Reason("http_throttled", "The server answered 429.", is_transient=True),
    Reason("http_server_error", "The server answered 5xx.", is_transient=True),
    Reason("timeout", "The server did not deliver the whole body in time, or answered 408.", is_transient=True),
    Reason("connection_failed", "The connection was refused or broke.", is_transient=True),
    Reason("truncated_body", "The body ended before its declared length.", is_transient=True),
    Reason("host_not_found", "The host name does not exist."),
    Reason("resolver_failed", "The host name could not be resolved at the time.", is_transient=True),
    Reason("tls_failed", "The server's certificate or TLS version is not acceptable."),
    Reason("private_address", "The URL or a redirect leads to a private, loopback or reserved address."),
    Reason("bad_redirect", "Too many redirects, a loop, or a redirect to a scheme other than http or https."),
    Reason("robots_disallows", "The host's robots.txt disallows the URL."),
    Reason("robots_unreachable", "The host's robots.txt could not be read at the time.", is_transient=True),
    Reason("opted_out", "The server opts the image out of use for AI (X-Robots-Tag: noai, noimageai or noml)."),
    Reason("disallowed_by_header", "The server forbids indexing the image (X-Robots-Tag)."),
    Reason("body_too_large", "The body exceeds the byte limit."),
    Reason("invalid_response", "The answer is not valid HTTP, or its status is not that of a whole body."),
    Reason("broken_encoding", "The body cannot be decoded by the Content-Encoding of its headers.", is_transient=True),
    Reason("unknown_encoding", "The body has an unsupported Content-Encoding.", is_transient=True),
    Reason("placeholder", "Many URLs with different captions lead to one address or body, or the image is known."),
    Reason("deferred", "The partition's time ended before the URL was requested.", is_transient=True),
    Reason("host_refuses", "The host refused many requests in a row and was sent no more.", is_transient=True),
    Reason("host_silent", "The host left many requests in a row unanswered and was sent no more.", is_transient=True),
    Reason("host_busy", "The host answered 429 or 503 many times in a row and was sent no more.", is_transient=True),
    Reason("no_result", "The downloader gave no result for the URL.", is_transient=True),
    # screen
    Reason("empty_file", "The file has no bytes."),
    Reason("not_an_image", "The file's first bytes match no known image format."),
    Reason("format_not_allowed", "The image's format is not on the allow list."),
    Reason("unsupported_variant", "This variant of the format (bands, sample type or compression) is not supported."),
    Reason("truncated_image", "The image file ends before its last pixel."),
    Reason("corrupt_image", "The image file cannot be decoded."),
    Reason("too_many_pixels", "The image exceeds the pixel limit."),
    Reason("decode_timeout", "Decoding used more CPU time than allowed."),
    Reason("decoder_died", "Decoding crashed or exceeded its memory."),
    Reason("purged", "The bytes were destroyed after a withdrawal, or because a hash list names them."),
    Reason("unpublishable_image", "The file's metadata could not be removed without touching its pixels."),
    Reason("changed_body", "The fetched body is not the one that the release metadata states."),
    # dedup
    Reason("url_duplicate", "Another sample with the same normalised URL is kept."),
    Reason("pixel_duplicate", "Another sample with the same decoded pixels is kept."),
    Reason("near_duplicate", "Another sample with a similar perceptual hash is kept."),
    Reason("turned_duplicate", "A kept sample is similar to this one mirrored or rotated by quarter turns."),
    Reason(
        "edited_duplicate",
        "Keypoints or the inside match a kept picture: a cut, framed, marked or slightly turned copy.",
    ),
    Reason(
        "feature_duplicate", "The image feature is near that of a kept picture, directly or through other pictures."
    ),
    # labelled
    Reason("file_too_large", "A file of the sample exceeds the byte limit."),
    Reason("missing_image", "The image of the metadata record is missing."),
    Reason("missing_metadata", "The metadata record of the image is missing."),
    Reason("bad_metadata", "The metadata record cannot be read, or lacks the sample's name."),
    Reason("named_again", "Another sample of the released tars has the same name; the first one counts."),
    Reason("not_stated", "The release metadata of the rebuilt dataset has no such sample."),
    Reason("missing_band", "A band of the patch that rendering needs is missing."),
    Reason("bad_band", "A band of the patch cannot be read, or has another size or type than published."),
    Reason("seasonal_snow", "RS5M's selection: the patch is on the published list of patches with seasonal snow."),
    Reason("cloud_or_shadow", "RS5M's selection: the patch is on the published list of cloud and shadow."),
    Reason("outside_selection", "RS5M's selection: the patch is in a country that it leaves out (Finland)."),
    # models
    Reason("decoding_failed", "The image could not be decoded for a model, although screen decoded it."),
    # embed, outliers
    Reason("model_not_finite", "The model gave NaN or infinity for the image."),
    Reason("no_score", "The model gave the image no score."),
    Reason("low_vlm_score", "The image is too dissimilar to the prompts for remote sensing images."),
    Reason("low_detector_prob", "The detector's probability of a remote sensing image is too low."),
    # caption
    Reason("no_caption_generated", "The captioner drew only empty captions, or the released text is empty."),
    # download and shard
    Reason("withdrawn", "A list given to `make withdraw` names the sample, its URL, its host or its image."),
    # shard
    Reason("nsfw", "A corpus marks the picture as unsafe, by its own tag or score."),
    # download (reduce_attempts) and shard
    Reason("hash_listed", "The file is on a list of known illegal material (`safety.hash_lists`)."),
    # contamination
    Reason(
        "not_an_evaluation_image", "The file's name is not that of an image, or does not match the manifest's pattern."
    ),
    Reason("caption_list", "The file has the captions of an evaluation set; these are read apart."),
    Reason("split_list", "The file lists the images of a split of an evaluation set; it is read only for that."),
    Reason("no_keypoints", "The file of hashes has no keypoints of the picture, since it was written without them."),
    Reason("empty_set", "The evaluation set has no image."),
    # shard
    Reason("contaminated", "The sample's picture is in an evaluation set."),
    Reason("licence", "The image or its texts may not be redistributed; `left_out` has its metadata."),
    Reason("low_caption_match", "Image and caption match worse than the published tier requires."),
    Reason(
        "publication_changed",
        "The file without its metadata differs from the one that screen approved, or that the release metadata states.",
    ),
)

REASON: dict[str, Reason] = {reason.code: reason for reason in REASONS}
