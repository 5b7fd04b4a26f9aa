"""Write the page to choose outlier thresholds: sliders for both scores, counts per corpus, and borderline pictures.

It is made from the tables that exist and has counts by bin instead of rows, so five million samples fit.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from flows.ask.picture import PICTURE_TABLES, bar_pictures
from flows.ask.views import open_views
from flows.ledger.ledger import Ledger
from flows.page.album import Album, located
from flows.page.outlier_counts import Axis, Judged, Score, count_judged, given_scores
from flows.page.rendering import clean, render, script
from schemas.manifests import load_published
from stages.outliers.cells import TOPS

if TYPE_CHECKING:
    import duckdb

_TABLES = ("survivor", "candidate", "sample", "image", "planned", "fetched")
_MEMORY = "2500MB"  # limit for DuckDB, which then uses temporary files
_N_STRATA = 12  # per score, with equal numbers of samples
_PER_STRATUM = 6
_MAX_BYTES = 18_000_000  # of all pictures; the page's limit is 25 MB
_LONGEST = 160  # characters of a caption


def write_outliers(ledger: Ledger, sources: Path | None, path: Path) -> list[str]:
    """Write the page; return a sentence on each missing element.

    Args:
        ledger: the build, finished or not.
        sources: the SOURCES folder.
        path: the file to write.
    """
    scores, notes = given_scores(ledger)
    waiting = [name for name in _TABLES if not ledger.state(ledger.writer[name]).is_complete]
    if waiting:
        targets = ", ".join(dict.fromkeys(f"make stage-{ledger.writer[name].module}" for name in waiting))
        notes = [f"Not made yet: {', '.join(waiting)} ({targets}).", *notes]
    code, policy = script("outliers.js")
    values: dict[str, Any] = {"profile": ledger.settings.profile, "notes": notes, "code": code, "policy": policy}
    values |= {"judged": None, "data": "", "heat": [], "tops": TOPS, "rules": []}
    if scores and not waiting:
        values |= _content(ledger, sources, scores)
    path.write_text(render("outliers.html.j2", **values), encoding="utf-8")
    return notes


def _content(ledger: Ledger, sources: Path | None, scores: Sequence[Score]) -> dict[str, Any]:
    rule = ledger.writer["outlier_rule"]
    tables = (*_TABLES, *PICTURE_TABLES, *(score.table for score in scores))
    stages = [ledger.writer[name] for name in tables]
    with open_views(ledger, [*stages, rule]) as db, tempfile.TemporaryDirectory(prefix="rs5m-outliers-") as scratch:
        db.execute(f"SET memory_limit = '{_MEMORY}'")
        db.execute(f"SET temp_directory = '{scratch.replace(chr(39), chr(39) * 2)}'")
        is_ruled = ledger.state(rule).is_complete
        rules = db.execute("SELECT score, rule, threshold FROM outlier_rule ORDER BY score DESC").fetchall()
        thresholds = {name: least for name, _, least in rules if is_ruled and least is not None}
        judged = count_judged(db, scores, thresholds)
        _choose(db, judged.axes)
        bar_pictures(ledger, db, "(FROM sample SEMI JOIN few USING (sample_id))")
        pictures = _pictures(db, Album(ledger.store, sources or Path()), judged.axes)
    return {
        "judged": judged,
        "data": _json(_data(judged, pictures)),
        "heat": _heat(judged),
        "n_pictures": len(pictures),
        "rules": [row for row in rules if row[0] in thresholds],
        "published": load_published().reference,
    }


def _data(judged: Judged, pictures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    axes = [
        {
            "name": axis.score.name,
            "title": axis.score.title,
            "setting": axis.score.setting,
            "share": f"outliers.top_share_{axis.score.name}",
            "edges": axis.edges,
            "atLeast": axis.at_least,
            "n": axis.n_scored,
            "start": axis.start,
        }
        for axis in judged.axes
    ]
    return {
        "axes": axes,
        "corpora": judged.corpora,
        "cells": judged.cells,
        "lacking": judged.lacking,
        "pictures": pictures,
    }


def _json(data: object) -> Markup:
    """Return JSON for a script element, escaped so that no text can end the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _heat(judged: Judged) -> list[list[dict[str, Any]]]:
    """Return the cells of RS5M's figure 13: this build's and the published numbers, and the sliders' positions."""
    published = load_published()
    theirs = {(cell.top_vlm, cell.top_detector): cell.remain for cell in published.outlier_cells}
    whole, n = theirs[100, 100], judged.heat[0][0]
    cuts = {axis.score.name: axis.cuts for axis in judged.axes}
    rows = []
    for i, top_vlm in enumerate(TOPS if "vlm" in cuts else TOPS[:1]):
        cells = []
        for j, top_detector in enumerate(TOPS if "detector" in cuts else TOPS[:1]):
            other = theirs.get((top_vlm, top_detector))
            at = [cuts[name][k] for name, k in (("vlm", i), ("detector", j)) if cuts.get(name)]
            cells.append(
                {
                    "n": judged.heat[i][j],
                    "share": 100 * judged.heat[i][j] / n if n else None,
                    "published": other,
                    "published_share": None if other is None else 100 * other / whole,
                    "at": ",".join(map(str, at)),
                    "name": f"top {top_vlm} % by the prompts, top {top_detector} % by the detector",
                }
            )
        rows.append(cells)
    return rows


def _choose(db: duckdb.DuckDBPyConnection, axes: Sequence[Axis]) -> None:
    """Add a table `few` of samples, chosen by hash and spread over the range of the scores."""
    strata = ", ".join(f"{_stratum(axis)} AS stratum_{n}" for n, axis in enumerate(axes))
    whole = " AND ".join(f"{axis.score.column} IS NOT NULL" for axis in axes)
    groups = ", ".join(f"stratum_{n}" for n in range(len(axes)))
    db.execute(
        f"""CREATE OR REPLACE TEMP TABLE few AS
            SELECT unnest(min_by(sample_id, md5(sample_id), {_PER_STRATUM})) AS sample_id
            FROM (SELECT sample_id, {strata} FROM judged WHERE {whole}) GROUP BY {groups}"""
    )


def _pictures(db: duckdb.DuckDBPyConnection, album: Album, axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Return the chosen samples' pictures, limited in total bytes, with their scores and the share above each."""
    names = [axis.score.column for axis in axes]
    # By hash, so that the size limit omits pictures of all strata equally.
    rows = db.execute(
        f"""SELECT sample_id, corpus, caption, {", ".join(names)} FROM few JOIN judged USING (sample_id)
            JOIN candidate USING (sample_id, corpus) ORDER BY md5(sample_id)"""
    ).fetchall()
    found = located(db, [row[0] for row in rows])
    pictures, n_bytes = [], 0
    for sample_id, _, caption, *values in rows:
        if sample_id not in found or n_bytes > _MAX_BYTES:
            continue
        picture = album.picture(found[sample_id], ())
        n_bytes += len(picture.url)
        tops = [_top(axis, value) for axis, value in zip(axes, values, strict=True)]
        lines = [sample_id, *picture.lines, _cut(caption or "")]
        pictures.append({"url": picture.url, "lines": [clean(line) for line in lines], "scores": values, "tops": tops})
    return pictures


def _stratum(axis: Axis) -> str:
    places = [round(axis.n_scored * n / _N_STRATA) for n in range(1, _N_STRATA)]
    ranks = np.array(axis.at_least[::-1])
    edges = sorted({axis.edges[::-1][min(int(np.searchsorted(ranks, place)), len(ranks) - 1)] for place in places})
    return f"len(list_filter({edges!r}::DOUBLE[], lambda e: e <= {axis.score.column}))"


def _top(axis: Axis, value: float) -> float:
    """Return the share of the scored samples that reach about this value, in percent."""
    place = max(0, int(np.searchsorted(axis.edges, value, side="right")) - 1)
    return round(100 * axis.at_least[place] / axis.n_scored, 1)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
