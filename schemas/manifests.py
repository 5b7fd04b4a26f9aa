"""Pydantic models of the pinned keywords and published figures, and the functions that load them.

Corpora are in `schemas/corpora.py`; parameters of a build are the stages' `Params`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.manifest_files import MANIFESTS as MANIFESTS
from schemas.manifest_files import Manifest as _Manifest
from schemas.manifest_files import ManifestError as ManifestError
from schemas.manifest_files import load_manifest as _load
from schemas.model_manifests import Grammar as Grammar
from schemas.model_manifests import Model as Model
from schemas.model_manifests import Prompts as Prompts
from schemas.model_manifests import load_models as load_models
from schemas.model_manifests import load_prompts as load_prompts

SPACED_SENTINEL = "spaced_sentinel"


class KeywordGroup(_Manifest):
    """Patterns that are turned on and off together."""

    name: str = Field(min_length=1)
    is_on: bool
    patterns: tuple[str, ...] = Field(min_length=1)


class StrictRule(_Manifest):
    """A rule that the texts of some patterns must pass, because these patterns also have other meanings.

    Attributes:
        needs: RE2 expression that the text must match; {pattern} in it is replaced with the pattern.
        is_case_sensitive: whether `needs` is case-sensitive.
        refused_with: RE2 expression that the text must not match, case-insensitive; "" for none.
    """

    patterns: tuple[str, ...] = Field(min_length=1)
    needs: str = Field(min_length=1)
    is_case_sensitive: bool = False
    refused_with: str = ""


class Keywords(_Manifest):
    """The patterns of the keyword filter, in groups, and the strict rules."""

    reference: str = Field(min_length=1)
    groups: tuple[KeywordGroup, ...] = Field(alias="group", min_length=1)
    strict: tuple[StrictRule, ...] = ()

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        seen: dict[str, str] = {}
        for pattern in (p for group in self.groups for p in group.patterns):
            # Engines do not agree on case folding beyond ASCII.
            if not pattern.strip() or not pattern.isascii():
                raise ValueError(f"pattern {pattern!r} is blank or not ASCII")
            if (other := seen.setdefault(pattern.lower(), pattern)) is not pattern:
                raise ValueError(f"pattern {pattern!r} repeats {other!r}")
        ruled = [pattern for rule in self.strict for pattern in rule.patterns]
        if odd := [pattern for pattern in ruled if seen.get(pattern.lower()) != pattern or ruled.count(pattern) > 1]:
            raise ValueError(f"strict rules for {odd}: each must be a listed pattern, with one rule")
        if SPACED_SENTINEL not in [group.name for group in self.groups]:
            raise ValueError(f"no group named {SPACED_SENTINEL}")
        return self

    def patterns(self, has_spaced_sentinel: bool = False) -> tuple[str, ...]:
        """Return the patterns of the enabled groups, in the manifest's order.

        Args:
            has_spaced_sentinel: include the group that spells Sentinel with a space, which RS5M does not use.
        """
        groups = [g for g in self.groups if g.is_on or (has_spaced_sentinel and g.name == SPACED_SENTINEL)]
        return tuple(pattern for group in groups for pattern in group.patterns)


class FunnelRow(_Manifest):
    """The published figures of one corpus, or of all corpora (source "Total")."""

    source: str = Field(min_length=1)
    rows: int = Field(ge=0)
    keyword: int = Field(ge=0)
    downloaded: int = Field(ge=0)
    invalid: int = Field(ge=0)
    duplicate: int = Field(ge=0)
    outlier: int = Field(ge=0)
    remain: int = Field(ge=0)


class PublishedMetadata(_Manifest):
    """The published counts of one source's samples with metadata; None if unpublished."""

    source: str = Field(min_length=1)
    remain: int | None = Field(None, ge=0)
    with_meta_caption: int | None = Field(None, ge=0)
    with_position: int | None = Field(None, ge=0)
    with_place: int | None = Field(None, ge=0)


class OutlierCell(_Manifest):
    """The published number of images left by a pair of quantile thresholds.

    Attributes:
        top_vlm, top_detector: percentage kept by each score.
        remain: number of images kept by both.
    """

    top_vlm: int = Field(gt=0, le=100)
    top_detector: int = Field(gt=0, le=100)
    remain: int = Field(ge=0)


class SizeBin(_Manifest):
    """The published share of images with a side in a bin.

    Attributes:
        side: width or height.
        least_px: inclusive lower edge; the upper edge is the next bin's.
        share: share of all images, in [0, 1].
    """

    side: Literal["width", "height"]
    least_px: int = Field(ge=0)
    share: float = Field(ge=0, le=1)


class CaptionWords(_Manifest):
    """The published length of captions, in words."""

    mean: float = Field(gt=0)
    max: int = Field(gt=0)


class Published(_Manifest):
    """The published figures of both halves: funnel, metadata, outlier thresholds, image sizes, caption lengths."""

    reference: str = Field(min_length=1)
    funnel: tuple[FunnelRow, ...] = Field(min_length=1)
    metadata: tuple[PublishedMetadata, ...] = Field(min_length=1)
    outlier_cells: tuple[OutlierCell, ...] = Field(min_length=1)
    image_sizes: tuple[SizeBin, ...] = Field(min_length=1)
    caption_words: CaptionWords


class Placeholder(_Manifest):
    """A picture that sites serve in place of a removed one."""

    body_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    note: str = Field(min_length=1)


class Placeholders(_Manifest):
    """The known placeholder pictures."""

    picture: tuple[Placeholder, ...]


def load_placeholders(path: Path = MANIFESTS / "placeholders.toml") -> Mapping[str, str]:
    """Return the notes on known placeholder pictures, by the sha256 of the file. Raises ManifestError."""
    return {known.body_sha256: known.note for known in _load(path, Placeholders).picture}


def load_keywords(path: Path = MANIFESTS / "keywords.toml") -> Keywords:
    """Return the keyword patterns. Raises ManifestError."""
    return _load(path, Keywords)


def load_published(path: Path = MANIFESTS / "published.toml") -> Published:
    """Return the published figures. Raises ManifestError."""
    return _load(path, Published)
