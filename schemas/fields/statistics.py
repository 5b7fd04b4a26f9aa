"""Columns of the statistics."""

import pyarrow as pa

from schemas.fields.field import Field

_FUNNEL = ("rows", "keyword", "downloaded", "invalid", "duplicate", "outlier", "remain")
STATISTIC_FIELDS: tuple[Field, ...] = (
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
    Field(
        "unselected",
        pa.int64(),
        "samples",
        "Images left out by labelled.ben_selection or by a rebuild, readable or not.",
    ),
    Field("uncaptioned", pa.int64(), "samples", "Valid images without a generated caption."),
    Field("samples", pa.int64(), "samples", "Published samples."),
    Field("caption_source", pa.string(), "", "Origin of the caption after the meta caption: web or generated."),
    Field("with_meta_caption", pa.int64(), "samples", "Published samples with a meta caption."),
    Field("with_position", pa.int64(), "samples", "Published samples with coordinates."),
    Field("with_time", pa.int64(), "samples", "Published samples with the time the picture was taken."),
    Field("with_place", pa.int64(), "samples", "Published samples with a place name in the caption."),
    Field("pattern", pa.string(), "", "Keyword pattern, as in manifests/keywords.toml."),
    Field("n_captions", pa.int64(), "samples", "Candidates with the keyword in the caption."),
    Field("n_strict", pa.int64(), "samples", "Those of n_captions whose keyword passes the strict rules."),
    Field("partition_name", pa.string(), "", "Name of a partition as part of the row's identity, unlike `partition`."),
    Field("n_source_files", pa.int64(), "files", "Source files of the partition."),
    Field("n_rows_given", pa.int64(), "rows", "Rows of the source files, counted independently of reading."),
    Field("n_rows_kept", pa.int64(), "rows", "Rows kept."),
    Field("n_rows_no_caption", pa.int64(), "rows", "Rows without a caption."),
    Field("n_rows_no_keyword", pa.int64(), "rows", "Rows without a keyword."),
    Field(
        "n_rows_left_aside",
        pa.int64(),
        "rows",
        "Rows in other languages, outside the pilot, listed twice, or of labelled images.",
    ),
    Field("n_rows_malformed", pa.int64(), "rows", "Rows rejected one by one."),
    Field("n_rows_damaged", pa.int64(), "rows", "Rows in unreadable stretches; one per stretch if unknown."),
    Field("n_pub11", pa.int64(), "samples", "Published samples of PUB11."),
    Field("n_rs3", pa.int64(), "samples", "Published samples of RS3."),
    Field("n_groups", pa.int64(), "", "Groups of published samples that share a split."),
    Field("largest_group_samples", pa.int64(), "samples", "Samples of the corpus in its largest group."),
    Field("largest_group_share", pa.float64(), "", "largest_group_samples divided by the corpus's published samples."),
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
    Field("unsafe", pa.int64(), "samples", "Samples of `unpublished` whose picture a corpus marks as unsafe."),
    Field("n_texts", pa.int64(), "", "Further texts joined with samples; one text of two samples counts twice."),
    Field("n_samples", pa.int64(), "samples", "Samples with such a text, published or not."),
    Field("n_texts_published", pa.int64(), "", "Texts of n_texts that are published beside a caption."),
    Field("n_samples_published", pa.int64(), "samples", "Published samples with such a text beside the caption."),
    Field("n_samples_instead", pa.int64(), "samples", "Published samples with such a text instead of their own."),
    Field("n_with_email", pa.int64(), "samples", "Those with an e-mail address in the caption."),
    Field("n_emails", pa.int64(), "", "E-mail addresses in these captions; one may occur in several."),
    Field("source_kind", pa.string(), "", "corpus or evaluation set."),
    Field("n_pictures", pa.int64(), "pictures", "Hashed pictures of the evaluation set."),
    Field("n_contaminated", pa.int64(), "samples", "Samples, or pictures of the source, that are in the set."),
    Field("n_by_pixels", pa.int64(), "samples", "Those of n_contaminated with equal pixels."),
    Field("n_by_phash", pa.int64(), "samples", "Those of n_contaminated with a near hash and other pixels."),
    Field("n_by_keypoints", pa.int64(), "samples", "Those of n_contaminated that only keypoints found."),
    Field("n_in_train", pa.int64(), "samples", "Those of n_contaminated in the training split; one may be in several."),
    Field("n_in_val", pa.int64(), "samples", "Those of n_contaminated in the validation split."),
    Field("n_in_test", pa.int64(), "samples", "Those of n_contaminated in the test split."),
    Field(
        "n_in_unsplit", pa.int64(), "samples", "Those of n_contaminated in a set, or a share of it, that is not split."
    ),
    Field(
        "n_on_same_ground",
        pa.int64(),
        "samples",
        "Samples, or pictures of the source, on ground of the set; null: it states no place.",
    ),
    Field(
        "n_equal_captions",
        pa.int64(),
        "samples",
        "Web samples with a valid image and a caption of the set; null: it has none here.",
    ),
    *(
        Field(f"published_{name}", pa.int64(), "samples", f"{name} as the RS5M paper states it.", True)
        for name in (*_FUNNEL, "with_meta_caption", "with_position", "with_place")
    ),
    Field(
        "downloaded_share", pa.float64(), "", "downloaded divided by keyword, in [0, 1]; null if there are none.", True
    ),
    Field("invalid_share", pa.float64(), "", "invalid divided by downloaded; null if there are none.", True),
    Field("duplicate_share", pa.float64(), "", "duplicate divided by valid samples; null if there are none.", True),
    Field(
        "outlier_share", pa.float64(), "", "outlier divided by samples after duplicates; null if there are none.", True
    ),
    *(
        Field(f"published_{name}_share", pa.float64(), "", f"{name}_share from the figures of the RS5M paper.", True)
        for name in ("downloaded", "invalid", "duplicate", "outlier")
    ),
    Field("top_vlm", pa.int32(), "%", "Share of the survivors that vlm_score_cos keeps."),
    Field("top_detector", pa.int32(), "%", "Share of the survivors that detector_prob keeps."),
    Field("n_left", pa.int64(), "samples", "Survivors that both scores keep; a survivor without a score is not kept."),
    Field("left_share", pa.float64(), "", "n_left divided by n_left at full shares, in [0, 1].", True),
    Field("published_n_left", pa.int64(), "samples", "n_left as the RS5M paper's figure 13 prints it.", True),
    Field("published_left_share", pa.float64(), "", "left_share from the figures of the RS5M paper.", True),
    Field("n_judged", pa.int64(), "samples", "Survivors that outlier filtering judged."),
    Field("n_low_vlm_alone", pa.int64(), "samples", "Those of n_judged below the threshold of vlm_score_cos alone."),
    Field(
        "n_low_detector_alone", pa.int64(), "samples", "Those of n_judged below the threshold of detector_prob alone."
    ),
    Field("n_low_both", pa.int64(), "samples", "Those of n_judged below both thresholds."),
    Field(
        "low_both_share",
        pa.float64(),
        "",
        "n_low_both divided by the samples below either threshold; null if there are none.",
        True,
    ),
    Field("n_unscored", pa.int64(), "samples", "Judged survivors that lack a score."),
    Field("least_cos", pa.float64(), "cosine", "Lower limit of the bin of caption_cos, inclusive."),
    Field("top_percent", pa.int32(), "%", "Largest caption_top_share of the tier's samples."),
    Field("least_caption_cos", pa.float64(), "cosine", "Smallest caption_cos in the tier; null if it is empty.", True),
    Field("mean_caption_cos", pa.float64(), "cosine", "Mean caption_cos in the tier; null if it is empty.", True),
    Field("n_matched", pa.int64(), "samples", "Samples whose image was compared with its caption."),
    Field("dimension", pa.string(), "", "width or height of the image as shown."),
    Field("least_px", pa.int32(), "px", "Lower limit of the bin, inclusive."),
    Field("size_share", pa.float64(), "", "Share of the bin in both halves, in [0, 1]; null if there are none.", True),
    Field("published_size_share", pa.float64(), "", "The share that RS5M's page states.", True),
    Field("mean_words", pa.float64(), "words", "Mean length of the published text, split at white space.", True),
    Field("median_words", pa.float64(), "words", "Median length of the published text.", True),
    Field("max_words", pa.int32(), "words", "Greatest length of the published text.", True),
    Field("published_mean_words", pa.float64(), "words", "The mean that RS5M's page states.", True),
    Field("published_max_words", pa.int32(), "words", "The maximum that RS5M's page states.", True),
)
