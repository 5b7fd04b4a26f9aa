"""Input and output of readers of labelled corpora: the files of a sample, the sample, or its fault.

Code for a single corpus is in its reader.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from stages.contract import InputError
from stages.geometa.positions import is_position

DEGREE_DECIMALS = 7  # about a centimetre: libraries differ beyond it


class SampleFault(Exception):
    """The sample cannot be used: the reason and the detail of its reject row."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class File:
    """A file of a sample, as inventory listed it; its path is under SOURCES."""

    path: str
    size_bytes: int
    sha256: str


class FileRole(NamedTuple):
    """Where a file of a labelled corpus belongs; a tuple, because one is made for each of ten million files.

    Attributes:
        sample_id: the sample of the file.
        partition: the sample's partition.
        role: the file's role in the sample, such as image or record.
        number: the sample's number, if a list of names numbers the corpus's samples.
    """

    sample_id: str
    partition: str
    role: str
    number: int = 0


@dataclass(frozen=True)
class Unplaced:
    """A file without a sample: the reason and the detail of its reject row."""

    reason: str
    detail: str


Placer = Callable[[str, re.Match[str]], FileRole | Unplaced]  # by path under the corpus's folder, and its match


class ListFault(InputError):
    """A list that names a corpus's samples cannot be used; `path` is under the corpus's folder."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class CorpusFiles:
    """The files of a labelled corpus, as paths under its folder.

    Attributes:
        folder: the corpus's folder under SOURCES.
        paths: source files.
        lists: companions: lists of names and tables of facts.
        known: files listed before; a sample whose files have vanished keeps its name.
    """

    folder: Path
    paths: Sequence[str]
    lists: Sequence[str]
    known: Sequence[str]


@dataclass(frozen=True)
class Sample:
    """A sample with its metadata from the corpus.

    Attributes:
        path: its image, or the folder of its bands, under SOURCES.
        image: the image file, or the bytes of the picture rendered from its bands.
        columns: metadata by column of the table.
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
    """Functions that open GeoTIFFs.

    Attributes:
        render: makes a JPEG from the red, green and blue band.
        locate: returns EPSG code and centre (x and y in metres) of a band; None if it has no such position.
    """

    render: Callable[[Mapping[str, bytes]], bytes]
    locate: Callable[[bytes], tuple[int, float, float] | None]


@dataclass(frozen=True)
class LabelledChoices:
    """The settings of a run for labelled corpora.

    Attributes:
        n_box_cells: cells of a 3 x 3 grid to name for a labelled box.
        is_rs5m_selection: whether to refuse the samples that RS5M left out.
    """

    n_box_cells: int = 2
    is_rs5m_selection: bool = False


@dataclass(frozen=True)
class Reading:
    """The further input of a reader besides the files of a sample.

    Attributes:
        read_file: returns the bytes of a file.
        raster: opens GeoTIFFs.
        listed: the sample's entries in the corpus's lists, by column of `patch`; empty without lists.
        choices: the settings of the run.
    """

    read_file: ReadFile
    raster: Raster
    listed: Mapping[str, Any] = field(default_factory=dict)
    choices: LabelledChoices = LabelledChoices()


def list_role(path: str) -> str:
    """Return the role of a list by its path, the same for packed and unpacked lists."""
    return path.removesuffix(".bz2")


def list_name(path: str) -> str:
    """Return the published name of a list, without folder and suffix."""
    return list_role(path).rpartition("/")[2].rpartition(".")[0]


def parse_record(data: bytes, file: File) -> dict[str, Any]:
    """Return a metadata record.

    Raises:
        SampleFault: it is not a JSON object.
    """
    try:
        # An end mark of DOS and zeros behind the last bracket lose nothing. UTF-16 has zeros too, so bytes keep them.
        record = json.loads(data.decode(json.detect_encoding(data), "surrogatepass").rstrip("\x1a\0"))
    except (ValueError, RecursionError) as error:
        raise SampleFault("bad_metadata", f"{file.path} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise SampleFault("bad_metadata", f"{file.path}: expected a JSON object, found {type(record).__name__}")
    return record


def number(value: object, low: float = -math.inf, high: float = math.inf) -> float | None:
    """Return a published number; None if it is not a number, not finite or out of range."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and low <= found <= high else None


def text(value: object) -> str | None:
    """Return a published text; None if it is not a text or blank."""
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
    """Return the two columns of a position, empty if it is invalid."""
    if not is_position(latitude_deg, longitude_deg):
        return {}
    return {
        "stated_latitude_deg": round(latitude_deg, DEGREE_DECIMALS),
        "stated_longitude_deg": round(longitude_deg, DEGREE_DECIMALS),
    }


def _is_utf8(value: str) -> bool:
    # JSON may contain half of a surrogate pair, which tables cannot store.
    return not any("\ud800" <= c <= "\udfff" for c in value)
