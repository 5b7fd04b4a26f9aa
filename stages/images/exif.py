"""Read orientation, time and position from a picture's EXIF block; each one independently, None if broken.

The only reader of the orientation but for plain_exif.py, which is faster. XMP is not read: viewers ignore its
orientation, and publishing drops it.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from PIL import ExifTags, Image

FACTS = ("exif_datetime", "exif_latitude_deg", "exif_longitude_deg")
PLAIN_DATETIME = re.compile("[0-9]{4}:[0-9]{2}:[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
RAW_PROFILE = "Raw profile type exif"  # where ImageMagick stored EXIF in a PNG before the eXIf chunk existed


def hide_xmp(image: Image.Image) -> None:
    """Remove XMP from PIL's info on a file: PIL would rotate a TIFF by it."""
    for key in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(key, None)


def read_orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation, 1 to 8; None if missing or invalid.

    Always None for a TIFF, because PIL rotates it while loading the pixels.
    """
    return None if image.format == "TIFF" else orientation_of(read_tags(image))


def read_facts(image: Image.Image) -> dict[str, Any]:
    """Return the columns exif_datetime, exif_latitude_deg and exif_longitude_deg."""
    return facts_of(read_tags(image))


def read_tags(image: Image.Image) -> Image.Exif | None:
    """Return the EXIF block, without its picture; None if it is missing or cannot be read."""
    return _or_none(lambda: _load(image)) if image.format == "TIFF" or _has_block(image) else None


def orientation_of(exif: Image.Exif | None) -> int | None:
    """Return the orientation in an EXIF block, as read_orientation does for a picture that is not a TIFF."""
    found = None if exif is None else _or_none(lambda: exif.get(ExifTags.Base.Orientation))
    return found if is_orientation(found) else None


def is_orientation(found: Any) -> bool:
    """Return whether the value of the tag is an orientation."""
    return isinstance(found, int) and 1 <= found <= 8


def facts_of(exif: Image.Exif | None) -> dict[str, Any]:
    """Return the columns of read_facts from an EXIF block."""
    if exif is None:
        return dict.fromkeys(FACTS)
    details = _or_none(lambda: exif.get_ifd(ExifTags.IFD.Exif)) or {}
    datetimes = _or_none(lambda: (details.get(ExifTags.Base.DateTimeOriginal), exif.get(ExifTags.Base.DateTime)))
    return collect_facts(datetimes or (), _or_none(lambda: exif.get_ifd(ExifTags.IFD.GPSInfo)))


def collect_facts(datetimes: Sequence[Any], gps: Mapping[int, Any] | None) -> dict[str, Any]:
    """Return the columns of read_facts.

    Args:
        datetimes: values of the tags of date and time; the first valid one counts.
        gps: values of the tags of the position.
    """
    taken = _or_none(lambda: next(filter(None, map(_read_datetime, datetimes)), None))
    position = _or_none(lambda: _read_position(gps)) if gps else None
    latitude_deg, longitude_deg = position or (None, None)
    return dict(zip(FACTS, (taken, latitude_deg, longitude_deg), strict=True))


def _has_block(image: Image.Image) -> bool:
    """Return whether the file has an EXIF block: most web images have none, and trying to read it takes time."""
    return image.info.get("exif") is not None or RAW_PROFILE in image.info


def _load(image: Image.Image) -> Image.Exif:
    if image.format == "TIFF":
        return image.getexif()
    # Not image.getexif(): for a JPEG PIL may have called it while opening, and read the orientation from XMP.
    exif, block = Image.Exif(), image.info.get("exif")
    if block is None and RAW_PROFILE in image.info:
        block = bytes.fromhex("".join(image.info[RAW_PROFILE].split("\n")[3:]))
    if block:
        exif.load(block)
    return exif


def _or_none(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except MemoryError:
        raise
    except Exception:  # whatever PIL raises on a broken EXIF block, the block has no facts
        return None


def _read_datetime(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return _parse_datetime(str(value).strip(" \0")[:19]).isoformat()
    except ValueError:
        return None


def _parse_datetime(text: str) -> datetime:
    if PLAIN_DATETIME.fullmatch(text):  # most texts; strptime takes ten times as long
        return datetime(*map(int, re.split("[: ]", text)))  # type: ignore[arg-type]
    return datetime.strptime(text, "%Y:%m:%d %H:%M:%S")


def _read_position(gps: Any) -> tuple[float, float] | None:
    latitude_deg = _read_angle(gps.get(ExifTags.GPS.GPSLatitude), gps.get(ExifTags.GPS.GPSLatitudeRef), "NS")
    longitude_deg = _read_angle(gps.get(ExifTags.GPS.GPSLongitude), gps.get(ExifTags.GPS.GPSLongitudeRef), "EW")
    if latitude_deg is None or longitude_deg is None or abs(latitude_deg) > 90 or abs(longitude_deg) > 180:
        return None
    return latitude_deg, longitude_deg


def _read_angle(components: Any, reference: Any, hemispheres: str) -> float | None:
    """Return degrees from (degrees, minutes, seconds); None without a hemisphere, because the sign is unknown.

    Trailing components without a value, 0/0, count as 0: some cameras write minutes with decimals and no seconds.
    """
    name = (reference.decode("latin-1") if isinstance(reference, bytes) else str(reference)).strip(" \0").upper()
    numbers: list[float] = [float(component) for component in components]
    while len(numbers) > 1 and math.isnan(numbers[-1]):
        del numbers[-1]
    is_sexagesimal = len(components) == 3 and all(math.isfinite(number) and number >= 0 for number in numbers)
    if len(name) != 1 or name not in hemispheres or not is_sexagesimal or max(numbers[1:], default=0) > 60:
        return None
    angle_deg = sum((number / 60**n for n, number in enumerate(numbers)), 0.0)
    return angle_deg if name == hemispheres[0] else -angle_deg
