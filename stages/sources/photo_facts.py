"""Where and when YFCC100M says that a photo was taken. Not for what is believed of it: that is geometa."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

_DEGREES = re.compile(r"-?\d{1,3}(?:\.\d+)?(?:[eE]-?\d{1,2})?", re.ASCII)
_TAKEN = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)?", re.ASCII)
# Local time, without its zone: nowhere is it later than UTC+14.
_LATEST_ZONE_S = 14 * 3600
_EPOCH = datetime(1970, 1, 1)


def positions(latitudes: Sequence[str], longitudes: Sequence[str]) -> tuple[list[float | None], list[float | None]]:
    """Return latitudes and longitudes in degrees; None for both where one of them is none on the globe."""
    found = [
        (north, east) if north is not None and east is not None else (None, None)
        for north, east in zip(_degrees(latitudes, 90), _degrees(longitudes, 180), strict=True)
    ]
    return [north for north, _ in found], [east for _, east in found]


def _degrees(texts: Sequence[str], most: float) -> Iterable[float | None]:
    values = (float(text) if _DEGREES.fullmatch(text) else None for text in texts)
    return (value if value is not None and abs(value) <= most else None for value in values)


def times_taken(texts: Sequence[str], uploads_s: Iterable[int]) -> list[str | None]:
    """Return ISO 8601 without a zone; None where the calendar has no such time, or it is later than the upload.

    Args:
        texts: as published.
        uploads_s: Unix time of the upload, not positive where it is not known.
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
