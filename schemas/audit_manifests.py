"""The model of the published ratings and audits, which `make rate` and `make audit` print beside a build's own."""

from pathlib import Path

from pydantic import Field

from schemas.manifest_files import MANIFESTS, Manifest, load_manifest


class PublishedRating(Manifest):
    """The published rating of one question on one subset, or on all (source "Total"); None if unpublished."""

    question: str = Field(min_length=1)
    source: str = Field(min_length=1)
    mean: float = Field(ge=1, le=5)
    deviation: float | None = Field(None, ge=0)
    n: int = Field(ge=1)


class PublishedAudit(Manifest):
    """The published check of one group of images by eye; None if unpublished.

    Attributes:
        group: kept or removed.
        n: images looked at.
        n_wrong: of these, those decided wrongly.
        wrong_share_percent: the share as printed, which need not be n_wrong / n.
    """

    group: str = Field(pattern="^(kept|removed)$")
    n: int = Field(ge=1)
    n_wrong: int = Field(ge=0)
    wrong_share_percent: float = Field(ge=0, le=100)


class PublishedAudits(Manifest):
    """The published ratings of captions and the check of the outlier models."""

    reference: str = Field(min_length=1)
    rating: tuple[PublishedRating, ...] = Field(min_length=1)
    outliers: tuple[PublishedAudit, ...] = Field(min_length=1)


def load_published_audits(path: Path = MANIFESTS / "published_audits.toml") -> PublishedAudits:
    """Return the published ratings and audits. Raises ManifestError."""
    return load_manifest(path, PublishedAudits)
