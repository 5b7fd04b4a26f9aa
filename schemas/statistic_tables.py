"""Every statistic table: its key and its columns.

The other tables are in `schemas/tables`, the meanings of columns in `schemas/fields`.
"""

from schemas.tables import Table

SOURCE_COUNT = Table(
    "source_count",
    ("partition_name",),
    (
        "corpus", "path", "n_source_files", "n_rows_given", "n_rows_kept", "n_rows_no_caption",
        "n_rows_no_keyword", "n_rows_left_aside", "n_rows_malformed", "n_rows_damaged",
    ),
    "One or several source files read together, with row counts by result of the filter; path is the first file's.",
)  # fmt: skip
KEYWORD_COUNT = Table(
    "keyword_count",
    ("pattern", "source"),
    ("n_captions", "n_strict"),
    "A keyword pattern with its counts in the candidates of a corpus.",
)
_FIGURES = ("rows", "keyword", "downloaded", "invalid", "duplicate", "outlier", "remain")
PUB11_FUNNEL = Table(
    "pub11_funnel",
    ("source",),
    (*_FIGURES, "unpublished", "opted_out", "unsafe", *(f"published_{name}" for name in _FIGURES)),
    "Counts of a web corpus after each step, beside the published figures.",
)
_RATES = ("downloaded_share", "invalid_share", "duplicate_share", "outlier_share")
PUB11_RATE = Table(
    "pub11_rate",
    ("source",),
    (*_RATES, *(f"published_{name}" for name in _RATES)),
    "Losses of a web corpus at each step as shares of the step before, beside the published rates.",
)
OUTLIER_CELL = Table(
    "outlier_cell",
    ("top_vlm", "top_detector"),
    ("n_left", "left_share", "published_n_left", "published_left_share"),
    "A pair of shares kept by both scores with the survivors in both, beside the published cell.",
)
OUTLIER_OVERLAP = Table(
    "outlier_overlap",
    ("source",),
    ("n_judged", "n_low_vlm_alone", "n_low_detector_alone", "n_low_both", "low_both_share", "n_unscored"),
    "Counts of a web corpus's survivors that one score or both scores remove.",
)
CAPTION_COS_BIN = Table(
    "caption_cos_bin",
    ("source", "least_cos"),
    ("n_matched",),
    "A bin of width 0.02 of the cosine of image and caption, with the number of a corpus's remaining samples in it.",
)
CAPTION_TIER = Table(
    "caption_tier",
    ("source", "top_percent"),
    ("n_matched", "least_caption_cos", "mean_caption_cos"),
    "A tier of the match of image and caption, with the number of a corpus's remaining samples in it.",
)
IMAGE_SIZE = Table(
    "image_size",
    ("dimension", "least_px"),
    ("n_pub11", "n_rs3", "size_share", "published_size_share"),
    "A bin of the published images' width or height, up to the next bin's lower end.",
)
CAPTION_LENGTH = Table(
    "caption_length",
    ("source",),
    ("samples", "mean_words", "median_words", "max_words", "published_mean_words", "published_max_words"),
    "Word counts of a corpus's published texts, beside the published figures.",
)
RS3 = Table(
    "rs3",
    ("source",),
    ("listed", "unreadable", "unselected", "invalid", "uncaptioned", "remain", "unpublished", "published_remain"),
    "Counts of a labelled corpus after each step, beside the published figure.",
)
_METADATA = ("with_meta_caption", "with_position", "with_place")
TEXT_COUNT = Table(
    "text_count",
    ("source",),
    ("samples", "caption_source", "with_time", *_METADATA, *(f"published_{name}" for name in _METADATA)),
    "Counts of a corpus's published samples with metadata, beside the published figures.",
)
FURTHER_COUNT = Table(
    "further_count",
    ("text_source", "text_licence"),
    ("n_texts", "n_samples", "n_texts_published", "n_samples_published", "n_samples_instead"),
    "A source of further texts and its licence, with the numbers of texts and samples, joined and published.",
)
CONTAMINATION = Table(
    "contamination",
    ("evaluation_set", "source_kind", "source"),
    (
        "n_pictures", "n_contaminated", "n_by_pixels", "n_by_phash", "n_by_keypoints", "n_in_train", "n_in_val",
        "n_in_test", "n_in_unsplit", "n_on_same_ground", "n_equal_captions",
    ),
    "An evaluation set and a corpus, or another evaluation set, with the number of pictures that both have.",
    nullable=("n_on_same_ground", "n_equal_captions"),
)  # fmt: skip
SPLIT_COUNT = Table(
    "split_count",
    ("source",),
    (
        "samples", "n_groups", "largest_group_samples", "largest_group_share", "n_shared_caption", "n_in_train_groups",
        "n_val", "val_share", "n_val_leaked", "n_random_val", "n_random_val_leaked",
        "n_random_val_shared_caption",
    ),
    "Groups and splits of a corpus's published samples, and the leaks of a split at random.",
)  # fmt: skip
EMAIL_COUNT = Table(
    "email_count",
    ("source",),
    ("samples", "n_with_email", "n_emails"),
    "E-mail addresses in the captions of a web corpus's published samples, masked or not.",
)
COUNTRY_COUNT = Table("country_count", ("country_code",), ("country_name", "n_pub11", "n_rs3"), "A country.")
MONTH_COUNT = Table("month_count", ("month",), ("n_pub11", "n_rs3"), "A month of the year.")
UTM_COUNT = Table("utm_count", ("utm_epsg",), ("utm_zone", "utm_hemisphere", "n_pub11", "n_rs3"), "A UTM zone.")
