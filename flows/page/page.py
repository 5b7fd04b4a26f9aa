"""Write the page of a build: one HTML file without references to the network or other files.

A section whose tables are incomplete says so and shows nothing, since its totals would be wrong.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flows.ask.dictionary import assumptions_report
from flows.ask.picture import PICTURE_TABLES, bar_pictures
from flows.ask.views import open_views
from flows.card.identity import build_id, unfinished
from flows.ledger.ledger import Ledger
from flows.page import (
    sections_content,
    sections_further,
    sections_pictures,
    sections_rated,
    sections_rows,
    sections_scores,
)
from flows.page.album import Album
from flows.page.rendering import render
from flows.page.section import Figure, Section
from flows.rate.results import read_results

if TYPE_CHECKING:
    import duckdb

Make = Callable[["duckdb.DuckDBPyConnection", Album], Section]


def _plain(make: Callable[[duckdb.DuckDBPyConnection], Section]) -> Make:
    return lambda db, album: make(db)


# The two lists may be empty, and their stages need not have run.
_LOCATED = tuple(name for name in PICTURE_TABLES if name not in ("withdrawal", "listed_hash"))
_MEMORY = "2500MB"  # limit for DuckDB, which then uses temporary files
# Title, tables that must be complete, and function, in the order of the page.
_SECTIONS: tuple[tuple[str, tuple[str, ...], Make], ...] = (
    ("From rows to the dataset", ("pub11_funnel", "pub11_rate", "rs3"), _plain(sections_rows.funnel)),
    ("Published pictures", ("metafile", *_LOCATED), sections_pictures.kept),
    ("Captions", ("metafile",), _plain(sections_content.captions)),
    ("Tokens of CLIP", ("metafile",), _plain(sections_further.tokens)),
    ("Image sizes", ("metafile", "labelled_image"), _plain(sections_content.sizes)),
    ("Places and times", ("metafile", "place", "country_count", "month_count", "utm_count"),
     _plain(sections_content.places)),
    ("UTM zones", ("utm_count",), _plain(sections_further.utm_zones)),
    ("Keywords", ("keyword_count",), _plain(sections_rows.keywords)),
    ("Download", ("planned", "fetched", "sample"), _plain(sections_rows.downloads)),
    ("Link rot by year", ("planned", "fetched"), _plain(sections_further.link_rot)),
    ("Duplicates", ("survivor", "cluster_member", "sample"), _plain(sections_rows.duplicates)),
    ("Near duplicates", ("survivor", "cluster_member", *_LOCATED), sections_pictures.near_duplicates),
    ("Pictures removed as duplicates", ("survivor", *_LOCATED), sections_pictures.duplicates),
    ("Evaluation sets", ("contaminated", "sample"), _plain(sections_further.contamination)),
    ("Outlier scores", ("survivor", "image", "sample", "vlm_score", "detector_score", "outlier_rule", "outlier_cell",
                        "outlier_overlap"),
     _plain(sections_scores.scores)),
    ("Pictures removed as outliers", ("relevant", *_LOCATED), sections_pictures.outliers),
    ("Images and their captions", ("caption_cos_bin", "caption_tier"), _plain(sections_content.matches)),
    ("Generated captions", ("caption", "caption_candidate", "caption_score"),
     _plain(sections_content.generated_captions)),
    ("Labelled pictures without a caption", ("caption_candidate", "caption_score", "caption", *_LOCATED),
     sections_pictures.uncaptioned),
    ("Pictures refused for publication", ("shard_plan", "shard", *_LOCATED), sections_pictures.unpublished),
    ("Images refused by screen", ("image",), _plain(sections_pictures.unread)),
    ("Licences", ("metafile",), _plain(sections_content.licences)),
)  # fmt: skip


def write_page(ledger: Ledger, sources: Path | None, path: Path) -> list[str]:
    """Write the page; return the titles of the sections whose tables are incomplete.

    Args:
        ledger: the build, finished or not.
        sources: the SOURCES folder, for pictures of labelled corpora.
        path: the file to write.
    """
    album = Album(ledger.store, sources or Path())
    judged = sections_rated.judged(read_results(ledger.store.root))
    sections = [*_sections(ledger, album), judged, _assumptions(ledger)]
    page = render("report.html.j2", profile=ledger.settings.profile, build=_identity(ledger), sections=sections)
    path.write_text(page, encoding="utf-8")
    return [section.title for section in sections if section.missing and section is not judged]


def _identity(ledger: Ledger) -> str:
    undone = unfinished(ledger)
    if undone:
        n, n_all = len(undone), len(ledger.stages)
        return f"This build is not finished: {n_all - n} of {n_all} stages are, next {undone[0]}."
    return f"Build {build_id(ledger)}."


def _sections(ledger: Ledger, album: Album) -> Iterator[Section]:
    tables = {table for _, needed, _ in _SECTIONS for table in (*needed, *PICTURE_TABLES)}
    stages = [ledger.writer[name] for name in sorted(tables)]
    with open_views(ledger, stages) as db, tempfile.TemporaryDirectory(prefix="rs5m-report-") as scratch:
        db.execute(f"SET memory_limit = '{_MEMORY}'")
        db.execute(f"SET temp_directory = '{scratch.replace(chr(39), chr(39) * 2)}'")
        bar_pictures(ledger, db)
        for title, needed, make in _SECTIONS:
            waiting = [name for name in dict.fromkeys(needed) if not ledger.state(ledger.writer[name]).is_complete]
            if waiting:
                anchor = title.lower().replace(" ", "-")
                targets = ", ".join(dict.fromkeys(f"make stage-{ledger.writer[name].module}" for name in waiting))
                yield Section(anchor, title, missing=f"Not made yet: {', '.join(waiting)} ({targets}).")
            else:
                yield make(db, album)


def _assumptions(ledger: Ledger) -> Section:
    report = assumptions_report(ledger.settings, ledger.stages)
    rows = [[row[name] for name in report.columns] for row in report.rows]
    figure = Figure(
        "Values that this profile assumes where nothing is published.", "assumptions", columns=report.columns, rows=rows
    )
    return Section("assumptions", "Assumptions", (figure,))
