"""Writes the report page, model card and metrics.json of a trained detector."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from flows.detector.examples import Example
from flows.detector.training import Trained, thumbnail
from stages.models.own_weights import METRICS

PAGE, CARD = "report.html", "README.md"
_LONGEST_NAME = 40  # characters
_N_WORST = 24  # mistakes of each kind on the contact sheet


def write_pages(folder: Path, trained: Trained, examples: Sequence[Example], facts: dict[str, Any]) -> None:
    """Write report.html, README.md and metrics.json into a detector's folder.

    Args:
        folder: the detector's folder.
        trained: the detector and its figures.
        examples: all examples.
        facts: name, digest, data, training seconds and licence, for the card.
    """
    content = {"metrics": trained.metrics, "facts": facts, "sheets": _sheets(trained, examples)}
    environment = Environment(loader=PackageLoader("flows.detector"), autoescape=True, trim_blocks=True)
    environment.filters["percent"] = lambda value: "–" if value is None else f"{100 * value:.1f} %"
    environment.filters["shorten"] = shorten
    (folder / PAGE).write_text(environment.get_template("report.html.j2").render(content), encoding="utf-8")
    plain = environment.overlay(autoescape=False)  # Markdown; it only contains names of the user's own folders
    (folder / CARD).write_text(plain.get_template("card.md.j2").render(content), encoding="utf-8")
    text = json.dumps(trained.metrics | {"facts": facts}, indent=1, allow_nan=False)
    (folder / METRICS).write_text(f"{text}\n", encoding="utf-8")


def _sheets(trained: Trained, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Return the worst mistakes in the test split: remote sensing rejected, and others kept."""
    threshold = trained.metrics["threshold"]
    sheets = []
    for is_rs, title in ((True, "Remote sensing images that are refused"), (False, "Other images that are kept")):
        numbers = [n for n in trained.test if examples[n].is_rs == is_rs]
        wrong = [n for n in numbers if (trained.probs[n] >= threshold) != is_rs]
        worst = sorted(wrong, key=lambda n: trained.probs[n], reverse=not is_rs)[:_N_WORST]
        pictures = [
            {
                "name": examples[n].name,
                "path": str(examples[n].path),
                "prob": float(trained.probs[n]),
                "data": _data_url(examples[n].path),
            }
            for n in worst
        ]
        sheets.append({"title": title, "n_wrong": len(wrong), "n": len(numbers), "pictures": pictures})
    return sheets


def shorten(path: str) -> str:
    """Return the name of a file, at most 40 characters of it: the end of longer names, which has their number."""
    name = Path(path).name
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def _data_url(path: Path) -> str:
    packed = io.BytesIO()
    thumbnail(path).save(packed, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode()
