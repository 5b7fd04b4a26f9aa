"""Handmade inputs of embed, outliers and the statistics of both halves."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.contract.handmade import BODIES, FORMATS, FUNNEL, samples_of, tables

_DECODED = (0, 1, 2, 7)  # numbers of bodies that are images; 0 and 7 are the same picture
_PICTURES = [
    {
        "pixel_sha256": f"pixels {body % 7}",
        "image_id": f"image {body}",
        "image_format": FORMATS[body],
        "width_px": 32,
        "height_px": 24,
        "n_bytes": len(BODIES[body]),
        "body_sha256": hashlib.sha256(BODIES[body]).hexdigest(),
        "body_file": "tar",
        "body_offset": body,
        "partition": "000-00000",
    }
    for body in _DECODED
]
_NOT_DECODED = {**_PICTURES[0], "pixel_sha256": "pixels not decoded", "image_format": "WEBP"}
_FOUND = ("image_id", "pixel_sha256", "image_format", "width_px", "height_px")
_IMAGES = [{name: row[name] for name in _FOUND} for row in _PICTURES]
_FETCHED = [{**row, "fetch_id": row["image_id"], "pass": 0} for row in _PICTURES[:3]]
_LABELLED = [{**_PICTURES[3], "sample_id": "image 7", "partition": "millionaid-P0000"}]
_FEATURES = [
    {"pixel_sha256": f"pixels {n}", "image_feature": feature}
    for n, feature in enumerate(([0.6, 0.8, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [np.nan, 0.0, 0.0]))
]
_PROMPTS = [{"prompt": "one", "prompt_feature": [3.0, 0.0, 0.0]}, {"prompt": "two", "prompt_feature": [0.0, 0.5, 0.0]}]
_UNIQUE = [{"sample_id": f"cc3m_0_{n}", "image_id": f"image {n}"} for n in range(6)]
_SCORED = {
    "survivor": _UNIQUE,
    "image": [{"image_id": f"image {n}", "pixel_sha256": f"pixels {n}"} for n in range(6)],
    "vlm_score": [{"pixel_sha256": f"pixels {n}", "vlm_score_cos": v} for n, v in enumerate((0.3, 0.2, 0.2, 0.1, 0.4))],
    "detector_score": [{"pixel_sha256": f"pixels {n}", "detector_prob": n / 8 + 0.125} for n in range(6)],
}
_RULES = [
    {"score": "vlm", "rule": "absolute", "threshold": 0.2},
    {"score": "detector", "rule": "absolute", "threshold": 0.25},
]
_JUDGED = [{**row, "corpus": "cc3m" if n < 3 else "laion2b"} for n, row in enumerate(_UNIQUE)]
_FUNNEL = [
    {"source": source, **figures, **{f"published_{name}": n for name, n in FUNNEL.items()}}
    for source, figures in (("cc3m", FUNNEL), ("Total", dict.fromkeys(FUNNEL, 0)))
]
_OWN_CAPTIONS = [
    {"sample_id": f"cc3m_0_{n}", "pixel_sha256": f"pixels {picture}", "own_caption": text}
    for n, (picture, text) in enumerate(((0, "a"), (1, "eee"), (3, "a"), (9, "a"), (2, "one a")))
]
_MATCHES = [
    {"sample_id": row["sample_id"], "caption_cos": cosine}
    for row, cosine in zip(_UNIQUE, (0.3, 0.3, None, 0.1, -0.05, 0.25), strict=True)
]
_MATCHED = [
    {**row, "caption_top_share": share} for row, share in zip(_MATCHES, (1.0, 1.0, None, 1.0, 1.0, 0.5), strict=True)
]
_PUBLISHED_TEXTS = [
    {"sample_id": f"cc3m_0_{n}", "half": "pub11" if n else "rs3", "corpus": "cc3m" if n else "ben", "width_px": 127 + n,
     "height_px": 1023 + n, "published_text": text}
    for n, text in enumerate(("one", " two  words\n", "and three words", "\t"))
]  # fmt: skip
_SAMPLES = ("cc3m_0_0", "cc3m_0_1", "fmow_airport_1_0_rgb", "millionaid_P0000001")
_SPINE = samples_of({sample_id: sample_id for sample_id in _SAMPLES})
_SHARD = [{"sample_id": sample_id} for sample_id in _SAMPLES]
_GEOMETA = [
    {
        "sample_id": sample_id,
        "meta_caption": "Seen in Chile." if n == 2 else None,
        "latitude_deg": -33.0 if n in (0, 2) else None,
        "taken_at": "2012-04-02T10:32:22Z" if n else None,
        "country_code": "CHL" if n in (0, 2) else None,
        "country_name": "Chile" if n in (0, 2) else None,
        "month": 4 if n else None,
        "utm_epsg": 32719 if n in (0, 2) else None,
        "utm_zone": 19 if n in (0, 2) else None,
        "utm_hemisphere": "S" if n in (0, 2) else None,
    }
    for n, sample_id in enumerate(_SAMPLES)
]
_PLACES = [{"sample_id": "cc3m_0_0", "place": "Chile"}, {"sample_id": "cc3m_0_1", "place": None}]

HANDMADE: dict[str, Callable[[Path], Any]] = {
    "plan_pictures": tables(image=_IMAGES, fetched=_FETCHED, labelled_image=_LABELLED),
    "embed_prompts": tables(),
    "embed": tables(picture=[*_PICTURES[:3], _NOT_DECODED]),
    "score_detector": tables(picture=[*_PICTURES[:3], _NOT_DECODED]),
    "score_vlm": tables(embedding=_FEATURES, prompt=_PROMPTS),
    "set_thresholds": tables(**_SCORED, prompt=_PROMPTS),
    "drop_outliers": tables(**_SCORED, outlier_rule=_RULES),
    "count_outlier_cells": tables(**_SCORED, sample=_JUDGED, outlier_rule=_RULES),
    "count_outlier_overlap": tables(**_SCORED, sample=_JUDGED, outlier_rule=_RULES),
    "list_own_captions": tables(
        relevant=_UNIQUE[:2],
        candidate=[
            {"sample_id": "cc3m_0_0", "caption": "an  aerial view"},
            {"sample_id": "cc3m_0_1", "caption": "a map"},
        ],
        caption=[{"sample_id": "image 7", "generated_caption": "a lake"}],
        image=[{"image_id": f"image {n}", "pixel_sha256": f"pixels {n % 7}"} for n in (0, 1, 7)],
        picture=[{"pixel_sha256": f"pixels {n}", "partition": "000-00000"} for n in range(2)],
    ),
    "match_captions": tables(own_caption=_OWN_CAPTIONS, embedding=_FEATURES),
    "rank_matches": tables(caption_match=_MATCHES, sample=_JUDGED),
    "count_caption_cosines": tables(caption_rank=_MATCHED, sample=_JUDGED),
    "count_caption_tiers": tables(caption_rank=_MATCHED, sample=_JUDGED),
    "count_rates": tables(pub11_funnel=_FUNNEL),
    "count_image_sizes": tables(metafile=_PUBLISHED_TEXTS),
    "count_caption_lengths": tables(metafile=_PUBLISHED_TEXTS),
    "count_rs3": tables(
        sample=samples_of(
            {
                **{name: name for name in ("ben_1", "ben_2", "ben_3")},
                **dict.fromkeys(("fmow_airport_1_0_rgb", "ben_4")),
                "cc3m_0_0": "of the web",
            }
        ),
        labelled_image_rejects=[
            {"sample_id": "fmow_airport_1_0_rgb", "reason": "missing_metadata"},
            {"sample_id": "ben_4", "reason": "seasonal_snow"},
        ],
        image_rejects=[{"image_id": "ben_1"}, {"image_id": "of the web"}],
        caption_rejects=[{"sample_id": "ben_2"}],
        caption=[{"sample_id": "ben_3"}],
        shard_rejects=[{"sample_id": "ben_3"}, {"sample_id": "cc3m_0_0"}],
    ),
    "count_texts": tables(shard=_SHARD, sample=_SPINE, geometa=_GEOMETA, place=_PLACES),
    "count_countries": tables(shard=_SHARD, sample=_SPINE, geometa=_GEOMETA),
    "count_months": tables(shard=_SHARD, sample=_SPINE, geometa=_GEOMETA),
    "count_utm_zones": tables(shard=_SHARD, sample=_SPINE, geometa=_GEOMETA),
}
