"""What a reader of a labelled corpus is given and returns: the files of a sample, the sample, or what is wrong with it.

Not for what is special to a corpus.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stages.contract import InputError
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
    """Where a file of a labelled corpus belongs.

    Attributes:
        sample_id: its sample.
        partition: of the sample.
        role: what it is to the sample, such as its image or its record.
        number: of the sample, where the corpus's samples are numbered by a list of names.
    """

    sample_id: str
    partition: str
    role: str
    number: int = 0


@dataclass(frozen=True)
class Unplaced:
    """A file that belongs to no sample: the reason and the detail of its reject row."""

    reason: str
    detail: str


Placer = Callable[[str, re.Match[str]], FileRole | Unplaced]  # by path under the corpus's folder, and its match


class ListFault(InputError):
    """A list by which a corpus's samples are named cannot be used; `path` is under the corpus's folder."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class Holding:
    """The files of a labelled corpus, in paths under its folder.

    Attributes:
        folder: of the corpus, under SOURCES.
        paths: of source files.
        lists: of the companions: lists of names and tables of facts.
        known: of files that were listed before; a sample whose files have vanished keeps its name.
    """

    folder: Path
    paths: Sequence[str]
    lists: Sequence[str]
    known: Sequence[str]


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


@dataclass(frozen=True)
class Raster:
    """What opens GeoTIFFs.

    Attributes:
        render: makes a JPEG of the red, green and blue band.
        locate: returns the EPSG code and the centre, x and y in metres, of a band; None where it has no such place.
    """

    render: Callable[[Mapping[str, bytes]], bytes]
    locate: Callable[[bytes], tuple[int, float, float] | None]


@dataclass(frozen=True)
class LabelledChoices:
    """What a run chose.

    Attributes:
        n_box_cells: cells of a 3 x 3 grid to name for a labelled box.
        is_rs5m_selection: refuse the samples that RS5M left out.
    """

    n_box_cells: int = 2
    is_rs5m_selection: bool = False


@dataclass(frozen=True)
class Reading:
    """What a reader is given besides the files of a sample.

    Attributes:
        read_file: returns the bytes of a file.
        raster: opens GeoTIFFs.
        listed: what the corpus's lists say of the sample, by column of `patch`; empty where it has no lists.
        choices: what the run chose.
    """

    read_file: ReadFile
    raster: Raster
    listed: Mapping[str, Any] = field(default_factory=dict)
    choices: LabelledChoices = LabelledChoices()


def list_role(path: str) -> str:
    """Return what a list is, by its path: packed and unpacked it is the same list."""
    return path.removesuffix(".bz2")


def list_name(path: str) -> str:
    """Return the published name of a list, without folder and suffix."""
    return list_role(path).rpartition("/")[2].rpartition(".")[0]


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
