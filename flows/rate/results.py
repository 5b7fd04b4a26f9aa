"""The tables of ratings and audits as files: written after each session, published with the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flows.ask.report import Report
from flows.rate.labels import FOLDER


def write_results(build: Path, found: Mapping[str, Report]) -> list[Path]:
    """Write tables as CSV and Markdown to the build's folder of ratings; return the paths of the CSV files."""
    folder = build / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, report in found.items():
        (folder / f"{name}.csv").write_text(report.csv(), encoding="utf-8")
        (folder / f"{name}.md").write_text(report.markdown(), encoding="utf-8")
    return [folder / f"{name}.csv" for name in found]


def read_results(build: Path) -> dict[str, str]:
    """Return the text of each table of ratings and audits by file name; empty if nothing was judged."""
    paths = sorted(path for path in (build / FOLDER).glob("*") if path.suffix in (".csv", ".md"))
    return {path.name: path.read_text(encoding="utf-8") for path in paths}
