"""Pydantic models of the pinned facts under `manifests/`, and the functions that load them.

Not for parameters of a build: those are the stages' `Params`, set by profiles.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"
SPACED_SENTINEL = "spaced_sentinel"

# All corpora of RS5M, those without a manifest yet included.
CORPUS_CODES = (
    "laion2b", "laion400m", "laioncoco", "coyo700m", "wit", "yfcc15m", "cc12m", "cc3m", "redcaps", "sbu", "vg",
    "fmow", "ben", "millionaid",
)  # fmt: skip
REQUIRED_COLUMNS = ("url", "source_caption")
OPTIONAL_COLUMNS = (
    "published_width_px", "published_height_px", "native_id", "similarity", "image_licence", "nsfw", "punsafe",
    "pwatermark",
)  # fmt: skip


class ManifestError(ValueError):
    """A manifest cannot be used: the message names the file and the key."""


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Corpus(_Manifest):
    """What is known of a published corpus: its rights, its files and how they are read.

    Attributes:
        code: the folder under SOURCES, the name of the manifest and the prefix of sample_id.
        file_pattern: regular expression for a whole path under the corpus's folder; its group `part`, where it has
            one, is the number in the published file name.
        columns: for each of our columns the names it may have in the corpus's files, in order of preference, without
            regard to case; for a TSV the position of the field, from 0.
        is_size_swapped: width and height are exchanged in the files ...
        size_is_right_with: ... but not in the variant of the corpus that has one of these columns.
        null_markers: texts that stand for "not known" in image_licence and nsfw.
    """

    code: str = Field(pattern=r"^[a-z0-9]+$")
    title: str = Field(min_length=1)
    half: Literal["pub11", "rs3"]
    homepage: str
    is_withdrawn: bool
    replaced_by: str
    annotation_licence: str = Field(min_length=1)
    image_rights: str = Field(min_length=1)
    may_redistribute_annotations: bool
    may_redistribute_images: bool
    citation: str
    n_rows_published: int = Field(gt=0)
    file_pattern: str
    reader: Literal["parquet", "tsv"]
    columns: Mapping[str, tuple[str | int, ...]]
    is_size_swapped: bool
    size_is_right_with: tuple[str, ...] = ()
    null_markers: tuple[str, ...] = ()
    date_checked: date
    how_to_get: str = Field(min_length=1)

    @field_validator("file_pattern")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: Mapping[str, tuple[str | int, ...]]) -> Mapping[str, tuple[str | int, ...]]:
        known = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
        if unknown := [name for name in columns if name not in known]:
            raise ValueError(f"unknown columns {unknown}; known are {list(known)}")
        if missing := [name for name in REQUIRED_COLUMNS if not columns.get(name)]:
            raise ValueError(f"no source is named for {missing}")
        return columns

    @model_validator(mode="after")
    def _check_reader(self) -> Self:
        places = [place for names in self.columns.values() for place in names]
        if self.reader == "tsv" and sorted(map(str, places)) != ["0", "1"]:
            raise ValueError(f"columns of a tsv are the field positions 0 and 1, each once; found {places}")
        if self.reader == "parquet" and not all(isinstance(place, str) for place in places):
            raise ValueError(f"columns of a parquet corpus are names; found {places}")
        if self.is_withdrawn and not self.replaced_by:
            raise ValueError("is_withdrawn needs replaced_by: name the lawful replacement, or say that there is none")
        return self

    @cached_property
    def _file_regex(self) -> re.Pattern[str]:
        return re.compile(self.file_pattern)

    def part_of(self, path: str) -> int | None:
        """Return the number of the part a file is (0 where names have none), or None where it is no source file.

        Args:
            path: path under the corpus's folder, with "/" between its parts.
        """
        found = self._file_regex.fullmatch(path)
        if found is None:
            return None
        return int(found.groupdict().get("part") or 0)


class KeywordGroup(_Manifest):
    """Patterns that are switched on and off together."""

    name: str = Field(min_length=1)
    is_on: bool
    patterns: tuple[str, ...] = Field(min_length=1)


class Keywords(_Manifest):
    """The patterns of the keyword filter, in groups."""

    reference: str = Field(min_length=1)
    groups: tuple[KeywordGroup, ...] = Field(alias="group", min_length=1)

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        seen: dict[str, str] = {}
        for pattern in (p for group in self.groups for p in group.patterns):
            # Letters beyond ASCII would need a case folding that engines do not agree on.
            if not pattern.strip() or not pattern.isascii():
                raise ValueError(f"pattern {pattern!r} is blank or not ASCII")
            if (other := seen.setdefault(pattern.lower(), pattern)) is not pattern:
                raise ValueError(f"pattern {pattern!r} repeats {other!r}")
        if SPACED_SENTINEL not in [group.name for group in self.groups]:
            raise ValueError(f"no group named {SPACED_SENTINEL}")
        return self

    def patterns(self, has_spaced_sentinel: bool = False) -> tuple[str, ...]:
        """Return the patterns of the groups that are on, in the manifest's order.

        Args:
            has_spaced_sentinel: take in the group that spells Sentinel with a blank, off as published.
        """
        groups = [g for g in self.groups if g.is_on or (has_spaced_sentinel and g.name == SPACED_SENTINEL)]
        return tuple(pattern for group in groups for pattern in group.patterns)


class FunnelRow(_Manifest):
    """Published figures of one corpus, or of all (source "Total")."""

    source: str = Field(min_length=1)
    rows: int = Field(ge=0)
    keyword: int = Field(ge=0)
    downloaded: int = Field(ge=0)
    invalid: int = Field(ge=0)
    duplicate: int = Field(ge=0)
    outlier: int = Field(ge=0)
    remain: int = Field(ge=0)


class Published(_Manifest):
    """The published funnel: one row per corpus, and the total."""

    reference: str = Field(min_length=1)
    funnel: tuple[FunnelRow, ...] = Field(min_length=1)


_Model = TypeVar("_Model", bound=_Manifest)


def load_corpora(folder: Path = MANIFESTS / "corpora") -> dict[str, Corpus]:
    """Return the corpora of a manifest folder by code, in the order of their codes.

    Raises:
        ManifestError: a file is missing or at fault, or its name is not its code.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise ManifestError(f"{folder}: expected one <code>.toml per corpus, found none")
    corpora = {}
    for path in paths:
        corpus = _load(path, Corpus)
        if corpus.code != path.stem:
            raise ManifestError(
                f"{path}: key code: expected {path.stem!r}, as the file is named, found {corpus.code!r}"
            )
        corpora[corpus.code] = corpus
    return corpora


def load_keywords(path: Path = MANIFESTS / "keywords.toml") -> Keywords:
    """Return the keyword patterns. Raises ManifestError."""
    return _load(path, Keywords)


def load_published(path: Path = MANIFESTS / "published.toml") -> Published:
    """Return the published figures. Raises ManifestError."""
    return _load(path, Published)


def _load(path: Path, model: type[_Model]) -> _Model:
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}); it belongs to the repository") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: not TOML: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = [f"key {'.'.join(map(str, f['loc'])) or '(file)'}: {f['msg']}" for f in error.errors()]
        raise ManifestError(f"{path}: {'; '.join(faults)}") from error
