"""The citations of the dataset and of the project follow the Citation File Format 1.2.0."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.card.citation import UNNAMED, bibtex, citation
from flows.settings import DatasetSettings

ROOT = Path(__file__).parents[4]
BUILD_ID = "0123456789ab" + "c" * 52
# From https://github.com/citation-file-format/citation-file-format, schema guide of 1.2.0.
REQUIRED = {"cff-version", "message", "title", "authors"}
OPTIONAL = {
    "abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license", "license-url",
    "preferred-citation", "references", "repository", "repository-artifact", "repository-code", "type", "url",
    "version",
}  # fmt: skip
PERSON = {"family-names", "given-names", "name-particle", "name-suffix", "affiliation", "orcid", "email", "website"}
ENTITY = {"name", "address", "city", "country", "website", "orcid", "email", "date-start", "date-end"}


def faults(content: dict[str, Any]) -> list[str]:
    """Return the violations of the format."""
    found = [f"lacks {key}" for key in REQUIRED - content.keys()]
    found += [f"unknown {key}" for key in content.keys() - REQUIRED - OPTIONAL]
    found += [] if content.get("cff-version") == "1.2.0" else ["cff-version"]
    found += [] if content.get("type", "software") in ("software", "dataset") else ["type"]
    lists = [content.get("authors", []), *(reference["authors"] for reference in content.get("references", []))]
    for authors in lists:
        found += [] if authors else ["no authors"]
        found += [f"author {a}" for a in authors if not (a.keys() <= PERSON or ({"name"} <= a.keys() <= ENTITY))]
    if "date-released" in content:
        date.fromisoformat(str(content["date-released"]))
    if "doi" in content and not re.fullmatch(r"10\.\d{4,9}(\.\d+)?/[A-Za-z0-9:/_;\-.()\[\]\\]+", content["doi"]):
        found.append("doi")
    for identifier in content.get("identifiers", []):
        found += [] if identifier["type"] in ("doi", "url", "swh", "other") and identifier["value"] else ["identifier"]
    found += [f"reference {r}" for r in content.get("references", []) if not {"type", "title"} <= r.keys()]
    texts = [content.get(key) for key in ("title", "message", "abstract", "version") if key in content]
    return [*found, *(f"no text: {text!r}" for text in texts if not isinstance(text, str | float) or text == "")]


@pytest.mark.parametrize(
    "dataset",
    [
        DatasetSettings(),
        DatasetSettings(title='A: "title" # {x}\n- y', creators=("Ä. Öz & Co", "- b: c"), url="https://x.test/a?b=c#d"),
        DatasetSettings(doi="10.5281/zenodo.123"),
    ],
)
def test_the_citation_is_valid_and_names_unknown_facts(dataset: DatasetSettings) -> None:
    content = yaml.safe_load(citation(dataset, BUILD_ID, "2026-11-28"))
    assert faults(content) == []
    assert content["title"] == dataset.title and content["version"] == BUILD_ID[:12]
    assert [author["name"] for author in content["authors"]] == list(dataset.creators or (UNNAMED,))
    assert ("no DOI" in content["abstract"]) == (not dataset.doi)
    assert content.get("doi", "") == dataset.doi and content.get("url", "") == dataset.url
    assert BUILD_ID in content["identifiers"][0]["value"]


def test_a_version_of_digits_alone_stays_a_text() -> None:
    content = yaml.safe_load(citation(DatasetSettings(), "123456789012" + "0" * 52, "2026-11-28"))
    assert content["version"] == "123456789012"
    assert (
        yaml.safe_load(citation(DatasetSettings(), "12345e678901" + "0" * 52, "2026-11-28"))["version"]
        == "12345e678901"
    )


def test_the_citation_of_the_software_is_valid() -> None:
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert faults(content) == []
    assert content["type"] == "software" and content["license"] == "Apache-2.0"


def test_the_format_check_finds_faults() -> None:
    content = yaml.safe_load(citation(DatasetSettings(), BUILD_ID, "2026-11-28"))
    assert faults({**content, "authors": [{"surname": "x"}]}) == ["author {'surname': 'x'}"]
    assert faults({name: value for name, value in content.items() if name != "title"}) == ["lacks title"]
    assert faults({**content, "creator": "x", "type": "article"}) == ["unknown creator", "type"]


def test_bibtex_escapes_names() -> None:
    entry = bibtex(DatasetSettings(title="100 % of {it}", creators=("A & B",)), BUILD_ID, "2026-11-28")
    assert r"author = {{A \& B}}" in entry and r"title = {{100 \% of \{it\}}}" in entry and "year = {2026}" in entry
