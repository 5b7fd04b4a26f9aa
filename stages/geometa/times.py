"""Convert stated times to ISO 8601, to the second. A time without a zone stays without one."""

import re
from datetime import UTC, datetime, timedelta, timezone

# FMoW 2012-04-02T10:32:22Z, BigEarthNet 2017-06-17 11:33:21, YFCC 2005-03-01 12:39:28.0, EXIF 2005:03:01 12:39:28.
_TIME = re.compile(
    r"(\d{4})([-:])(\d\d)\2(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?\s?(?:([Zz])|([-+])(\d\d):?(\d\d))?)?",
    re.ASCII,
)


def parse_time(text: str | None, earliest_year: int, latest_year: int) -> str | None:
    """Return a stated time in ISO 8601; None if it is not a time, or an impossible one.

    A time with a zone is converted to UTC and ends in Z; a date stays a date; fractions of a second are cut off.

    Args:
        text: as stated.
        earliest_year: first accepted year.
        latest_year: last accepted year.
    """
    found = _TIME.fullmatch(text.strip()) if text else None
    if found is None:
        return None
    year, _, month, day, hour, minute, second, _, sign, zone_h, zone_min = found.groups()
    try:
        taken = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
        if sign:
            zone = timezone(timedelta(hours=int(zone_h), minutes=int(zone_min)) * (1 if sign == "+" else -1))
            taken = taken.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    if not earliest_year <= taken.year <= latest_year:
        return None
    if hour is None:
        return taken.strftime("%Y-%m-%d")
    return taken.strftime("%Y-%m-%dT%H:%M:%S") + ("Z" if text and (sign or found[8]) else "")


def month_of(taken_at: str | None) -> int:
    """Return the month of a time in ISO 8601, 0 for None."""
    return int(taken_at[5:7]) if taken_at else 0
