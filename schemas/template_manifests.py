"""The model of manifests/templates.toml: how meta captions are worded. Wording facts is stages/geometa/facts.py."""

import re
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from schemas.corpora import known_codes
from schemas.manifest_files import MANIFESTS, Manifest, load_manifest

# The facts that a template may use, as stages/geometa/facts.py words it.
TEMPLATE_FIELDS = (
    "label", "cells", "city", "country", "season", "date", "time_utc", "gsd", "utm_zone", "cloud_cover",
    "scan_direction", "target_azimuth", "off_nadir", "tags",
)  # fmt: skip


class Sentence(Manifest):
    """A sentence of a meta caption, said when a field of it is known.

    Attributes:
        stem: how it begins: the first alternative of which all fields are known; the last has none.
        behind_stem: between the stem and the clauses.
        clauses: what follows, each as alternatives; a clause of which none can be said is left out.
        joint: between clauses.
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
            raise ValueError(f"blanks at an end, doubled blanks or single braces in {odd}")
        if not self.stem or "{" in self.stem[-1]:
            raise ValueError("the last alternative of a stem has no field, so that it can always be said")
        if not all(clause and all("{" in text for text in clause) for clause in self.clauses):
            raise ValueError("each alternative of a clause has a field: one that is always said belongs to the stem")
        if not fields:
            raise ValueError("a sentence tells at least one field")
        return self


class TemplateGroup(Manifest):
    """The templates of some corpora, in variants."""

    corpora: tuple[str, ...] = Field(min_length=1)
    variants: tuple[tuple[Sentence, ...], ...] = Field(alias="variant", min_length=1)


class Templates(Manifest):
    """How meta captions are worded; a corpus without a group has none."""

    reference: str = Field(min_length=1)
    groups: tuple[TemplateGroup, ...] = Field(alias="group", min_length=1)

    @model_validator(mode="after")
    def _check_corpora(self) -> Self:
        codes = [code for group in self.groups for code in group.corpora]
        known = known_codes()
        if unknown := [code for code in codes if code not in known]:
            raise ValueError(f"unknown corpora {unknown}; known are {list(known)}")
        if len(set(codes)) != len(codes):
            raise ValueError(f"a corpus stands in two groups: {sorted(codes)}")
        return self


def load_templates(path: Path = MANIFESTS / "templates.toml") -> Templates:
    """Return how meta captions are worded. Raises ManifestError."""
    return load_manifest(path, Templates)
