"""What a reader of a labelled corpus is given and returns: the files of a sample, the sample, or what is wrong with it.

Not for what is special to a corpus.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stages.geometa.positions import is_position

DEGREE_DECIMALS = 7  # about a centimetre: libraries differ behind it


class SampleFault(Exception):
    """The sample cannot be used: the reason and the detail of its reject row."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class File:
    """A file of a sample, as inventory saw it; its path is one under SOURCES."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class FileRole:
    """Where a file of a labelled corpus belongs: its sample, the partition, and what it is there for."""

    sample_id: str
    partition: str
    role: str


@dataclass(frozen=True)
class Sample:
    """A sample as its corpus describes it.

    Attributes:
        path: its image, or the folder of its bands, under SOURCES.
        image: the image file where the corpus has one, or the bytes of the picture made of its bands.
        columns: what else the corpus says, under the names of the table.
    """

    path: str
    image: File | bytes
    scene_id: str
    labels: list[str] = field(default_factory=list)
    columns: Mapping[str, Any] = field(default_factory=dict)


Files = Mapping[str, File]  # by role
ReadFile = Callable[[File], bytes]


def parse_record(data: bytes, file: File) -> dict[str, Any]:
    """Return a metadata record.

    Raises:
        SampleFault: when it is no JSON object.
    """
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SampleFault("bad_metadata", f"{file.path} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise SampleFault("bad_metadata", f"{file.path}: expected a JSON object, found {type(record).__name__}")
    return record


def number(value: object, low: float = -math.inf, high: float = math.inf) -> float | None:
    """Return a published number, or None where it is none, not finite or out of its range."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and low <= found <= high else None


def text(value: object) -> str | None:
    """Return a published text, or None where it is none or blank."""
    return value.strip() or None if isinstance(value, str) and _is_utf8(value) else None


def utc(value: object) -> str | None:
    """Return a published time as ISO 8601 in UTC, to the second, or None; one without a zone is taken as UTC."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        if found is None:
            return None
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found.strftime("%Y-%m-%dT%H:%M:%SZ") if found.year >= 1000 else None


def position(latitude_deg: float, longitude_deg: float) -> dict[str, float]:
    """Return the two columns of a position, empty where the pair is none."""
    if not is_position(latitude_deg, longitude_deg):
        return {}
    return {
        "stated_latitude_deg": round(latitude_deg, DEGREE_DECIMALS),
        "stated_longitude_deg": round(longitude_deg, DEGREE_DECIMALS),
    }


def _is_utf8(value: str) -> bool:
    # JSON may spell half of a surrogate pair, which no table can hold.
    return not any("\ud800" <= c <= "\udfff" for c in value)
