"""Section on the scores of outlier filtering: histograms, the shares that remain, the removals by each score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from flows.page.drawings import count, heat_map, histogram
from flows.page.section import Figure, Section

if TYPE_CHECKING:
    import duckdb

_N_BINS = 40


def scores(db: duckdb.DuckDBPyConnection) -> Section:
    """Return histograms of both scores with the thresholds, and the numbers kept at other quantiles."""
    judged = """SELECT x.sample_id, v.vlm_score_cos, d.detector_prob FROM survivor x JOIN sample s USING (sample_id)
                JOIN image i ON i.image_id = s.image_id LEFT JOIN vlm_score v USING (pixel_sha256)
                LEFT JOIN detector_score d USING (pixel_sha256) WHERE s.half = 'pub11'"""
    rules = dict(db.execute("SELECT score, threshold FROM outlier_rule").fetchall())
    figures = []
    for name, what in (("vlm_score_cos", "Cosine with the prompts"), ("detector_prob", "Probability by the detector")):
        found = db.execute(f"SELECT {name} FROM ({judged}) WHERE {name} IS NOT NULL").fetchnumpy()[name]
        rows = np.asarray(found, dtype=float)
        if not len(rows):
            continue
        counts, edges = np.histogram(rows, bins=round_edges(float(rows.min()), float(rows.max())))
        threshold = rules.get(name.split("_")[0])
        marks = {} if threshold is None else {"threshold": threshold}
        figures.append(
            Figure(
                f"{what} of {len(rows):,} samples that were judged.",
                "vlm_score, detector_score",
                histogram({"samples": counts.tolist()}, edges.tolist(), what, marks),
            )
        )
    return Section("scores", "Outlier scores", [*figures, *_heat_of_shares(db), _overlap(db)])


def round_edges(least: float, most: float) -> np.ndarray:
    """Return edges at round numbers that hold all values: at most `_N_BINS` bins for values in [-1, 1]."""
    for step in (0.01, 0.02, 0.05):
        first, last = math.floor(least / step), math.ceil(most / step)
        if last - first <= _N_BINS:
            break
    return np.round(np.arange(first, max(last, first + 1) + 1) * step, 2)


def _heat_of_shares(db: duckdb.DuckDBPyConnection) -> list[Figure]:
    """Return heat maps of the percentage that pairs of shares leave, this build's and the published cells."""
    rows = db.execute(
        "SELECT top_vlm, top_detector, left_share, published_left_share FROM outlier_cell ORDER BY ALL DESC"
    ).fetchall()
    (n,) = db.execute("SELECT max(n_left) FROM outlier_cell").fetchall()[0]
    tops = sorted({row[0] for row in rows}, reverse=True)
    names = [f"{top} %" for top in tops]
    figures = []
    for column, whose in (
        (2, f"this build, of {count(n)} samples"),
        (3, "as published; cells without a figure are empty"),
    ):
        shares = {(row[0], row[1]): round(100 * (row[column] or 0), 1) for row in rows}
        grid = [[shares[vlm, detector] for detector in tops] for vlm in tops]
        figures.append(
            Figure(
                "Percent of the samples that remain if the prompts keep the top share (rows) and the detector the top"
                f" share (columns), as in RS5M's figure 13: {whose}.",
                "outlier_cell",
                heat_map(grid, [f"top {name}" for name in names], names, f"Samples that two shares leave, {whose}"),
            )
        )
    return figures


def _overlap(db: duckdb.DuckDBPyConnection) -> Figure:
    """Return how many samples each score removes alone and both remove, per corpus."""
    rows = db.execute(
        """SELECT source, n_judged, n_low_vlm_alone, n_low_detector_alone, n_low_both, round(100 * low_both_share, 1),
                  n_unscored
           FROM outlier_overlap ORDER BY source = 'Total', n_judged DESC, source"""
    ).fetchall()
    return Figure(
        "Samples that each score removes. outliers.html shows it for other thresholds.",
        "outlier_overlap",
        columns=("corpus", "judged", "by the prompts alone", "by the detector alone", "by both",
                 "by both, % of removed", "without a score"),
        rows=rows,
    )  # fmt: skip
