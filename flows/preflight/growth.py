"""Factors by which rows, and what a row costs, grow from a pilot to the whole."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flows.preflight.history import Run
from flows.preflight.volumes import Halves

_PUBLISHED_COPIES = 1_224_790 / 5_244_251  # manifests/published.toml: share of downloaded images removed as duplicates
_LEAST_COPIES = 10  # fewer in a pilot are too few to estimate their share


def growth(filters: Sequence[Run], outside: Sequence[tuple[int, str]], pilot: float, target: float) -> Halves:
    """Return the factor by which each half grows from a pilot to the target share.

    Args:
        filters: the filter's runs in the pilot, which count the matching rows outside it.
        outside: listed files of each labelled corpus, and the detail of its reject row for those outside the pilot.
        pilot: share of the pilot, in (0, 1].
        target: target share, in (0, 1].
    """
    inside = sum(run.n_kept for run in filters)
    left_out = sum(run.reasons.get("outside_pilot", 0) for run in filters)
    web = (inside + left_out) / inside if inside and left_out else 1 / pilot
    n_listed = n_outside = 0
    for listed, sentence in outside:
        n_listed += listed
        n_outside += int(re.sub(r"\D", "", sentence.partition(" files")[0]) or 0)
    labelled = (n_listed + n_outside) / n_listed if n_listed and n_outside else 1 / pilot
    return Halves(web * target, labelled * target)


def lengths_factor(filters: Sequence[Run]) -> float:
    """Return the factor by which characters of distinct captions grow over that of rows; 1 if they were not counted.

    A few captions hold most of the characters, and a small pilot has too many or too few of them. Equal captions are
    counted once in each source file: the larger the slice, the more of its captions are in it already.
    """
    n_rows = sum(run.n_kept for run in filters)
    n_left = sum(run.reasons.get("outside_pilot", 0) for run in filters)
    inside = sum(run.measured.get("n_characters", 0) for run in filters)
    outside = sum(run.measured.get("n_characters_left", 0) for run in filters)
    return (inside + outside) / inside * n_rows / (n_rows + n_left) if inside and outside else 1.0


def survivors_factor(dedup: Sequence[Run], grown: float) -> float:
    """Return the factor by which the share of survivors falls when a pilot grows, since more copies meet.

    A slice of share p has p² of all pairs, so the removed share grows by 1 / p. It is limited to the published share,
    since clusters of more than two grow less. Rows of one URL are all in the slice or all outside.
    """
    n_rows = sum(run.n_rows for run in dedup)
    copies = sum(n for run in dedup for reason, n in run.reasons.items() if reason != "url_duplicate")
    if not n_rows:
        return 1.0
    share = copies / n_rows
    full = (
        min(share * grown, max(share, _PUBLISHED_COPIES)) if copies >= _LEAST_COPIES else max(share, _PUBLISHED_COPIES)
    )
    return (1 - full) / (1 - share) if share < 1 else 1.0


def pictures_factor(n_images: int, n_pictures: int, grown: float) -> float:
    """Return the factor by which the share of distinct pictures falls when a pilot grows, as survivors_factor.

    Args:
        n_images: valid images of the pilot.
        n_pictures: distinct ones of them.
        grown: factor by which the web half grows.
    """
    if not n_images or not n_pictures:
        return 1.0
    share = 1 - n_pictures / n_images
    return (1 - min(share * grown, max(share, _PUBLISHED_COPIES))) / (1 - share)
