"""Count the judged samples by bins of both scores, so that a page can change thresholds without rows.

Not for the decision (`stages/outliers`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flows.ledger.ledger import Ledger
from stages.outliers.cells import TOPS, count_cells, cut_of

if TYPE_CHECKING:
    import duckdb

Scores = npt.NDArray[np.float64]
# The samples judged by outlier filtering.
_JUDGED = """
    CREATE OR REPLACE TEMP TABLE judged AS
    SELECT u.sample_id, s.corpus, {scores} FROM survivor u JOIN sample s USING (sample_id)
    JOIN image i ON i.image_id = u.image_id {joins} WHERE s.half = 'pub11'
"""
_N_ROUND = 60  # minimum of round values per slider, in addition to percentiles
# Share kept where no rule is set yet. Source: RS5M, section III-A.
_PUBLISHED_TOP = {"vlm": 90, "detector": 80}


@dataclass(frozen=True)
class Score:
    """One of the two outlier scores.

    Attributes:
        name: vlm or detector, as in outlier_rule.
        title: title on the page.
        column, table: column and table of the score.
        setting: setting of its threshold in the absolute rule.
    """

    name: str
    title: str
    column: str
    table: str
    setting: str


SCORES = (
    Score("vlm", "Cosine with the prompts", "vlm_score_cos", "vlm_score", "outliers.min_vlm_score_cos"),
    Score("detector", "Probability by the detector", "detector_prob", "detector_score", "outliers.min_detector_prob"),
)


@dataclass(frozen=True)
class Axis:
    """A slider: its possible thresholds, and the number of samples that reach each.

    Attributes:
        score: the slider's score.
        edges: ascending thresholds: round values, percentiles, RS5M's shares, and the build's own threshold.
        at_least: number of scored samples that reach each edge.
        n_scored: samples with the score.
        start: index of the build's edge, or of the published share's if the build has none yet.
        cuts: indices of the edges that keep each of `TOPS`.
    """

    score: Score
    edges: Sequence[float]
    at_least: Sequence[int]
    n_scored: int
    start: int
    cuts: Sequence[int]


@dataclass(frozen=True)
class Judged:
    """Counts of the judged samples.

    Attributes:
        axes: one per available score.
        corpora: codes of corpora, in the order of `cells`.
        cells: per corpus alternating indices and counts: the number of samples that reach exactly i edges of the
            first axis and j of the second is at index i x (number of edges of the second + 1) + j. Empty cells are
            omitted, and each index is stored as the difference from the previous one.
        lacking: per corpus the number of samples without one of the scores, which no threshold keeps.
        heat: number of samples left by RS5M's pairs of shares, int [9][9].
    """

    axes: Sequence[Axis]
    corpora: Sequence[str]
    cells: Sequence[Sequence[int]]
    lacking: Sequence[int]
    heat: Sequence[Sequence[int]]

    @property
    def n_samples(self) -> int:
        """Return the number of judged samples."""
        return sum(self.lacking) + sum(sum(cells[1::2]) for cells in self.cells)


def given_scores(ledger: Ledger) -> tuple[list[Score], list[str]]:
    """Return the scores whose tables are complete, and a sentence on each other score."""
    given, notes = [], []
    for score in SCORES:
        stage = ledger.writer[score.table]
        if reason := ledger.why_off(stage):
            notes.append(f"{score.title}: no model gives it ({reason}); it refuses nothing.")
        elif ledger.state(stage).is_complete:
            given.append(score)
        else:
            notes.append(f"{score.title}: {score.table} is not complete yet (make stage-{stage.module}).")
    return given, notes


def count_judged(db: duckdb.DuckDBPyConnection, scores: Sequence[Score], thresholds: Mapping[str, float]) -> Judged:
    """Return the counts of a build; adds the temporary table `judged` of the samples with their scores.

    Args:
        db: a database with views of survivor, sample, image and the tables of the scores.
        scores: the available scores, at least one.
        thresholds: the build's thresholds, by name of the score.
    """
    names = ", ".join(score.column for score in scores)
    joins = " ".join(f"LEFT JOIN {score.table} USING (pixel_sha256)" for score in scores)
    db.execute(_JUDGED.format(scores=names, joins=joins))
    found = db.execute(
        f"SELECT dense_rank() OVER (ORDER BY corpus) - 1 AS corpus_number, {names} FROM judged"
    ).fetchnumpy()
    corpora = [corpus for (corpus,) in db.execute("SELECT DISTINCT corpus FROM judged ORDER BY corpus").fetchall()]
    values: list[Scores] = [np.ma.filled(np.ma.asarray(found[score.column], dtype=float), np.nan) for score in scores]
    axes = [axis_of(score, of, thresholds.get(score.name)) for score, of in zip(scores, values, strict=True)]
    numbers = np.ma.filled(np.ma.asarray(found["corpus_number"]), 0).astype(np.int64)
    by_name = dict(zip((score.name for score in scores), values, strict=True))
    is_whole = ~np.isnan(np.stack(values)).any(axis=0) if values else np.zeros(0, bool)
    cells, lacking = [], []
    for number in range(len(corpora)):
        is_own = numbers == number
        lacking.append(int((is_own & ~is_whole).sum()))
        cells.append(_cells(axes, [of[is_own & is_whole] for of in values]))
    return Judged(axes, corpora, cells, lacking, count_cells(by_name.get("vlm"), by_name.get("detector")))


def axis_of(score: Score, values: Scores, threshold: float | None) -> Axis:
    """Return the slider of a score; NaN values are ignored."""
    scored = np.sort(values[~np.isnan(values)])
    cuts = [cut_of(scored, top) for top in TOPS] if len(scored) else []
    percents = scored[np.arange(1, 100) * len(scored) // 100].tolist() if len(scored) else []
    listed = {*_round_values(scored), *cuts, *percents}
    if threshold is not None and math.isfinite(threshold):
        listed.add(threshold)
    edges = sorted(listed)
    at_least = (len(scored) - np.searchsorted(scored, edges)).tolist()
    published = cuts[TOPS.index(_PUBLISHED_TOP[score.name])] if cuts else edges[0]
    start = edges.index(threshold) if threshold in listed else edges.index(published)
    return Axis(score, edges, at_least, len(scored), start, [edges.index(cut) for cut in cuts])


def _round_values(scored: Scores) -> list[float]:
    """Return round values from below the lowest score to above the highest."""
    low, high = (float(scored[0]), float(scored[-1])) if len(scored) else (0.0, 1.0)
    wanted = max(high - low, 1e-6) / _N_ROUND
    power = 10.0 ** math.floor(math.log10(wanted))
    step = max(part * power for part in (1, 2, 5) if part * power <= wanted * 1.001)
    first, last = math.floor(low / step), math.floor(high / step) + 1
    return [float(f"{max(-1.0, min(1.0, n * step)):.10g}") for n in range(first, last + 1)]


def _cells(axes: Sequence[Axis], values: Sequence[Scores]) -> list[int]:
    flat = np.zeros(len(values[0]), np.int64)
    size = 1
    for axis, of in zip(axes, values, strict=True):
        size *= len(axis.edges) + 1
        flat = flat * (len(axis.edges) + 1) + np.searchsorted(axis.edges, of, side="right")
    counts = np.bincount(flat, minlength=size)
    filled = np.flatnonzero(counts)
    pairs = np.stack([np.diff(filled, prepend=0), counts[filled]], axis=1)
    return [int(value) for value in pairs.ravel()]
