"""Format the facts on a sample for the templates: units, signs and names; unknown facts are omitted."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_HEMISPHERES = {"N": "north", "S": "south"}


def word_facts(row: Mapping[str, Any], min_tag_prob: float, max_tags: int) -> dict[str, str]:
    """Return the facts on a sample by template field.

    Args:
        row: columns of the sample; missing values are None or absent.
        min_tag_prob: minimum probability of a machine tag, unless no tag reaches it.
        max_tags: maximum number of tags in a sentence.
    """
    taken_at = row.get("taken_at")
    facts = {
        "label": label_words(row.get("labels"), row["corpus"]),
        "cells": listed(row.get("box_cells")),
        "city": row.get("city"),
        "country": row.get("country_name"),
        "season": row.get("season"),
        "date": date_words(taken_at),
        "time_utc": taken_at[11:16] if taken_at and taken_at.endswith("Z") else None,
        "gsd": decimal(row.get("gsd_m"), 2),
        "utm_zone": zone_words(row.get("utm_zone"), row.get("utm_hemisphere")),
        "cloud_cover": decimal(row.get("cloud_cover_percent"), 0),
        "scan_direction": (row.get("scan_direction") or "").lower(),
        "target_azimuth": decimal(row.get("target_azimuth_deg"), 1),
        "off_nadir": decimal(row.get("off_nadir_angle_deg"), 1),
        "tags": tag_words(row.get("machine_tags"), row.get("machine_tag_probs"), min_tag_prob, max_tags),
    }
    worded = {field: " ".join(words.split()) for field, words in facts.items() if words}
    return {field: words for field, words in worded.items() if words}


def label_words(labels: Sequence[str | None] | None, corpus: str) -> str:
    """Return class labels as words.

    BigEarthNet's are listed in lower case; two of them contain commas, so semicolons separate them.
    """
    words = [(label or "").replace("_", " ").strip() for label in labels or ()]
    joined = "; ".join(filter(None, words))
    return joined.lower() if corpus == "ben" else joined


def listed(words: Sequence[str] | None) -> str:
    """Return words as "a", "a and b" or "a, b and c"."""
    known = [word for word in words or () if word]
    return " and ".join(filter(None, (", ".join(known[:-1]), *known[-1:])))


def date_words(taken_at: str | None) -> str | None:
    """Return the date of a time in ISO 8601 as "2 April 2012"."""
    if not taken_at:
        return None
    return f"{int(taken_at[8:10])} {MONTHS[int(taken_at[5:7]) - 1]} {taken_at[:4]}"


def zone_words(zone: int | None, hemisphere: str | None) -> str | None:
    """Return a UTM zone as "32 north", because a bare N could be read as a latitude band."""
    return f"{zone} {_HEMISPHERES[hemisphere]}" if zone and hemisphere else None


def decimal(value: float | None, n_decimals: int) -> str | None:
    """Return a number with a maximum number of decimals, None if unknown."""
    if value is None or not math.isfinite(value):
        return None
    text = f"{value:.{n_decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def tag_words(tags: Sequence[str] | None, probs: Sequence[float] | None, min_prob: float, max_tags: int) -> str | None:
    """Return the machine tags of at least min_prob, else the most probable one; None if tags have no probability.

    Args:
        tags: as the corpus states them.
        probs: one per tag.
        min_prob: minimum probability of a tag.
        max_tags: maximum number of tags in a sentence.
    """
    if not tags or not probs or len(tags) != len(probs):
        return None
    known = [(tag, prob) for tag, prob in zip(tags, probs, strict=True) if tag and prob is not None]
    # Sorting is stable: equally probable tags keep the corpus's order.
    ranked = sorted((pair for pair in known if math.isfinite(pair[1])), key=lambda pair: -pair[1])
    sure = [tag for tag, prob in ranked if prob >= min_prob][:max_tags]
    return ", ".join(dict.fromkeys(sure or [tag for tag, _ in ranked[:1]]))
