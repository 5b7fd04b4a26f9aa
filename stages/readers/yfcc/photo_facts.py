"""Positions and times of photos as stated by YFCC100M. geometa decides which are accepted."""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from stages.geometa.positions import is_position

_DEGREES = re.compile(r"-?\d{1,3}(?:\.\d+)?(?:[eE]-?\d{1,2})?", re.ASCII)
_TAKEN = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)?", re.ASCII)
# Local time without a zone, which is at most UTC+14.
_LATEST_ZONE_S = 14 * 3600
_EPOCH = datetime(1970, 1, 1)


def positions(latitudes: Sequence[str], longitudes: Sequence[str]) -> tuple[list[float | None], list[float | None]]:
    """Return latitudes and longitudes in degrees; None for both if the pair is not a position."""
    north, east = _degrees(latitudes), _degrees(longitudes)
    is_known = is_position(north, east).tolist()
    return (
        [value if known else None for value, known in zip(north, is_known, strict=True)],
        [value if known else None for value, known in zip(east, is_known, strict=True)],
    )


def _degrees(texts: Sequence[str]) -> list[float]:
    return [float(text) if _DEGREES.fullmatch(text) else math.nan for text in texts]


def times_taken(texts: Sequence[str], uploads_s: Iterable[int]) -> list[str | None]:
    """Return ISO 8601 without a zone; None if the time does not exist, or is later than the upload.

    Args:
        texts: as published.
        uploads_s: Unix time of the upload, not positive if unknown.
    """
    return [_time_taken(text, int(upload_s)) for text, upload_s in zip(texts, uploads_s, strict=True)]


def _time_taken(text: str, upload_s: int) -> str | None:
    match = _TAKEN.fullmatch(text)
    if match is None:
        return None
    try:
        taken = datetime.fromisoformat(match[1])
    except ValueError:
        return None
    is_too_late = upload_s > 0 and (taken - _EPOCH).total_seconds() > upload_s + _LATEST_ZONE_S
    return None if is_too_late else taken.isoformat()
