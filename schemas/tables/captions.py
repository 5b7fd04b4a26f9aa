"""Tables of captions, further texts, places and meta captions."""

from schemas.tables.table import Table

CAPTION_CANDIDATE = Table(
    "caption_candidate", ("sample_id", "n"), ("candidate_caption",), "A caption drawn for a labelled image."
)
CAPTION_SCORE = Table(
    "caption_score",
    ("sample_id", "n"),
    (
        "first_score_cos", "first_rank", "second_score_cos", "second_rank", "rotation_mean_cos", "rotation_variance",
    ),
    "A drawn caption with its scores; scores are null after the caption was dropped.",
)  # fmt: skip
CAPTION = Table(
    "caption",
    ("sample_id",),
    ("top_caption", "invariant_caption", "generated_caption", "caption_model_licence"),
    "A labelled image with its chosen captions.",
)
OWN_CAPTION = Table(
    "own_caption",
    ("sample_id",),
    ("pixel_sha256", "own_caption", "partition"),
    "A remaining sample with its picture and its caption.",
    leads_to=("pixel_sha256",),
)
CAPTION_MATCH = Table(
    "caption_match", ("sample_id",), ("caption_cos",), "A remaining sample and the match of its image and caption."
)
CAPTION_RANK = Table(
    "caption_rank",
    ("sample_id",),
    ("caption_cos", "caption_top_share"),
    "A remaining sample and its rank by the match of image and caption.",
)
FURTHER_TEXT = Table(
    "further_text",
    ("text_id", "sample_id"),
    ("text_source", "text_key", "further_text", "text_licence"),
    "A text that others published for an image, and the sample that its key names.",
    reject_columns=("text_source", "text_key"),
    found_by=(("sample_id", "sample_id"),),
)
GEOMETA = Table(
    "geometa",
    ("sample_id",),
    (
        "latitude_deg", "longitude_deg", "position_source", "utm_zone", "utm_band", "utm_hemisphere", "utm_epsg",
        "country_code", "country_name", "city", "taken_at", "time_source", "month", "season", "meta_caption",
    ),
    "Place and time of a sample, and the sentence made from them.",
)  # fmt: skip
PLACE_TEXT = Table("place_text", ("caption_id",), ("caption", "partition"), "A distinct caption to search for places.")
NAMED_PLACE = Table("named_place", ("caption_id", "n"), ("place",), "A place name in a distinct caption.")
PLACE = Table(
    "place",
    ("sample_id", "n"),
    ("place", "caption_id"),
    "A place name in a sample's caption.",
    leads_to=("caption_id",),
)
