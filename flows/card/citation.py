"""CITATION.cff of a dataset, in the Citation File Format 1.2.0."""

from __future__ import annotations

from typing import Any

import yaml

from flows.card.escape import latex
from flows.settings import DatasetSettings

UNNAMED = "The makers of this build, who did not state their names"
PAPER = {
    "type": "article",
    "title": "RS5M and GeoRSCLIP: A Large Scale Vision-Language Dataset and a Large Vision-Language Model for Remote"
    " Sensing",
    "authors": [
        {"family-names": "Zhang", "given-names": "Zilun"},
        {"family-names": "Zhao", "given-names": "Tiancheng"},
        {"family-names": "Guo", "given-names": "Yulong"},
        {"family-names": "Yin", "given-names": "Jianwei"},
    ],
    "year": 2023,
    "identifiers": [{"type": "other", "value": "arXiv:2306.11300"}],
}


def citation(dataset: DatasetSettings, build_id: str, day: str) -> str:
    """Return the content of CITATION.cff.

    Args:
        dataset: title, creators, address and DOI.
        build_id: id of the build, 64 hex digits.
        day: day on which its last table was made, ISO 8601.
    """
    content: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this dataset, please cite it and the paper whose dataset it rebuilds.",
        "type": "dataset",
        "title": dataset.title,
        "abstract": _abstract(dataset, build_id),
        "authors": [{"name": name} for name in dataset.creators or (UNNAMED,)],
        "version": build_id[:12],
        "date-released": day,
        "keywords": ["remote sensing", "image-text pairs", "RS5M"],
        "identifiers": [
            {"type": "other", "value": f"build_id:{build_id}", "description": "digest of the rows and tars"}
        ],
        "references": [PAPER],
    }
    if dataset.doi:
        content["doi"] = dataset.doi
    if dataset.url:
        content["url"] = dataset.url
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return text


def _abstract(dataset: DatasetSettings, build_id: str) -> str:
    lacks = [name for name, value in (("DOI", dataset.doi), ("address", dataset.url)) if not value]
    missing = f" It has no {' and no '.join(lacks)} yet." if lacks else ""
    return (
        f"Image-text pairs of remote sensing, rebuilt from the source corpora of RS5M; build {build_id[:12]}.{missing}"
        " Each corpus and each image has its own licence: see LICENSES.md."
    )


def bibtex(dataset: DatasetSettings, build_id: str, day: str) -> str:
    """Return a BibTeX entry of the dataset."""
    authors = " and ".join(f"{{{latex(name)}}}" for name in dataset.creators or (UNNAMED,))
    fields = {
        "author": authors,
        "title": f"{{{latex(dataset.title)}}}",
        "year": day[:4],
        "version": build_id[:12],
        **({"doi": latex(dataset.doi)} if dataset.doi else {}),
        **({"url": dataset.url} if dataset.url else {}),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{rs5m-rebuilt-{build_id[:12]},", *lines, "}"])
