"""The model of manifests/templates.toml: the templates of meta captions. stages/geometa/facts.py words the facts."""

import re
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from schemas.corpora import known_codes
from schemas.manifest_files import MANIFESTS, Manifest, load_manifest

# The facts that a template may use; stages/geometa/facts.py words them.
TEMPLATE_FIELDS = (
    "label", "cells", "city", "country", "season", "date", "time_utc", "gsd", "utm_zone", "cloud_cover",
    "scan_direction", "target_azimuth", "off_nadir", "tags",
)  # fmt: skip


class Sentence(Manifest):
    """A sentence of a meta caption, used if at least one of its fields is known.

    Attributes:
        stem: alternatives for its beginning; the first whose fields are all known is used. The last has no fields.
        behind_stem: text between the stem and the clauses.
        clauses: the clauses, each a list of alternatives; a clause without a usable alternative is omitted.
        joint: text between clauses.
    """

    stem: tuple[str, ...] = ("",)
    behind_stem: str = " "
    clauses: tuple[tuple[str, ...], ...] = ()
    joint: str = " "

    @model_validator(mode="after")
    def _check_texts(self) -> Self:
        texts = (*self.stem, *(text for clause in self.clauses for text in clause))
        fields = [field for text in texts for field in re.findall(r"{(.*?)}", text)]
        if unknown := [field for field in fields if field not in TEMPLATE_FIELDS]:
            raise ValueError(f"unknown fields {unknown}; known are {list(TEMPLATE_FIELDS)}")
        if odd := [
            text for text in texts if text != " ".join(text.split()) or re.search("[{}]", re.sub("{.*?}", "", text))
        ]:
            raise ValueError(f"leading, trailing or double spaces, or single braces, in {odd}")
        if not self.stem or "{" in self.stem[-1]:
            raise ValueError("the last alternative of a stem must have no field, so it can always be used")
        if not all(clause and all("{" in text for text in clause) for clause in self.clauses):
            raise ValueError("each alternative of a clause must have a field; constant text belongs in the stem")
        if not fields:
            raise ValueError("a sentence must have at least one field")
        return self


class TemplateGroup(Manifest):
    """The variants of the templates for some corpora."""

    corpora: tuple[str, ...] = Field(min_length=1)
    variants: tuple[tuple[Sentence, ...], ...] = Field(alias="variant", min_length=1)


class Templates(Manifest):
    """The templates of meta captions; a corpus without a group gets no meta captions."""

    reference: str = Field(min_length=1)
    groups: tuple[TemplateGroup, ...] = Field(alias="group", min_length=1)

    @model_validator(mode="after")
    def _check_corpora(self) -> Self:
        codes = [code for group in self.groups for code in group.corpora]
        known = known_codes()
        if unknown := [code for code in codes if code not in known]:
            raise ValueError(f"unknown corpora {unknown}; known are {list(known)}")
        if len(set(codes)) != len(codes):
            raise ValueError(f"a corpus is in two groups: {sorted(codes)}")
        return self


def load_templates(path: Path = MANIFESTS / "templates.toml") -> Templates:
    """Return the templates of meta captions. Raises ManifestError."""
    return load_manifest(path, Templates)
