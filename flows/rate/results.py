"""The tables of ratings and audits as files: written after each session, published with the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flows.ask.report import Report
from flows.rate.labels import FOLDER

OUTLIER_LABELS = "outlier_labels"  # for `make calibrate`: one row per sample, and no figures to publish
_SUFFIXES = (
    ("_rates", "precision and recall with 95 % limits, weighted by stratum"),
    ("_table_xv", "in the form of the paper's Table XV"),
    ("", "judged samples, by stratum"),
)


def write_results(build: Path, found: Mapping[str, Report]) -> list[Path]:
    """Write tables as CSV and Markdown to the build's folder of ratings; return the paths of the CSV files."""
    folder = build / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, report in found.items():
        (folder / f"{name}.csv").write_text(report.csv(), encoding="utf-8")
        (folder / f"{name}.md").write_text(report.markdown(), encoding="utf-8")
    return [folder / f"{name}.csv" for name in found]


def read_results(build: Path) -> dict[str, str]:
    """Return the text of each table of figures by file name; empty if nothing was judged."""
    paths = sorted(path for path in (build / FOLDER).glob("*") if path.suffix in (".csv", ".md"))
    return {path.name: path.read_text(encoding="utf-8") for path in paths if path.stem != OUTLIER_LABELS}


def title_of(name: str) -> str:
    """Return a heading for a table of figures; its name is that of its file, without the suffix."""
    if name == "rating":
        return "Rating of captions, 1 to 5 (5 is best), beside the published one"
    suffix, what = next((suffix, what) for suffix, what in _SUFFIXES if name.endswith(suffix))
    return f"Audit of {name.removeprefix('audit_').removesuffix(suffix)}: {what}"
