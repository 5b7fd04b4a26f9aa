from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import pytest

from flows.page.outlier_counts import SCORES, Judged, axis_of, count_judged

TABLES = """
    CREATE TABLE sample AS SELECT i::VARCHAR AS sample_id, CASE WHEN i % 3 = 0 THEN 'cc3m' ELSE 'laion2b' END AS corpus,
        CASE WHEN i < 590 THEN 'pub11' ELSE 'rs3' END AS half FROM range(600) t(i);
    CREATE TABLE survivor AS SELECT i::VARCHAR AS sample_id, (i % 500)::VARCHAR AS image_id FROM range(600) t(i);
    CREATE TABLE image AS SELECT i::VARCHAR AS image_id, 'p' || i AS pixel_sha256 FROM range(500) t(i);
    CREATE TABLE vlm_score AS SELECT 'p' || i AS pixel_sha256, sin(i) / 3 AS vlm_score_cos FROM range(490) t(i);
    CREATE TABLE detector_score AS
        SELECT 'p' || i AS pixel_sha256, 1 - (i % 37) ** 3 / 37 ** 3 AS detector_prob FROM range(500) t(i);
"""


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        yield connection


def kept(judged: Judged, corpus: str, places: Sequence[int]) -> int:
    """Return the count of the page's script: the samples above a position on every slider."""
    pairs, at, n = judged.cells[judged.corpora.index(corpus)], 0, 0
    sides = [len(axis.edges) + 1 for axis in judged.axes]
    for step, count in zip(pairs[::2], pairs[1::2], strict=True):
        at += step
        n += (
            count if all(level > place for level, place in zip(np.unravel_index(at, sides), places, strict=True)) else 0
        )
    return n


def test_counts_for_every_pair_of_thresholds_equal_those_of_the_tables(db: duckdb.DuckDBPyConnection) -> None:
    judged = count_judged(db, SCORES, {"vlm": 0.1234})
    assert judged.n_samples == 590 and judged.corpora == ["cc3m", "laion2b"]
    rng = np.random.default_rng(1)
    for _ in range(20):
        places = [int(rng.integers(len(axis.edges))) for axis in judged.axes]
        least = [axis.edges[place] for axis, place in zip(judged.axes, places, strict=True)]
        for corpus in judged.corpora:
            (n,) = db.execute(
                "SELECT count(*) FROM judged WHERE corpus = ? AND vlm_score_cos >= ? AND detector_prob >= ?",
                [corpus, *least],
            ).fetchall()[0]
            assert kept(judged, corpus, places) == n
    (lacking,) = db.execute("SELECT count(*) FROM judged WHERE vlm_score_cos IS NULL").fetchall()[0]
    assert sum(judged.lacking) == lacking > 0
    assert judged.axes[0].edges[judged.axes[0].start] == 0.1234


def test_a_slider_has_round_values_and_the_published_shares(db: duckdb.DuckDBPyConnection) -> None:
    vlm, detector = count_judged(db, SCORES, {}).axes
    assert {0.0, 0.1, 0.2, 0.3} <= set(vlm.edges) and {0.5, 0.9} <= set(detector.edges)
    assert vlm.at_least[vlm.cuts[0]] == vlm.n_scored == 580
    assert vlm.at_least[vlm.start] == pytest.approx(0.9 * 580, abs=2)  # equal scores are ties
    assert vlm.at_least[0] == vlm.n_scored and detector.at_least[0] == detector.n_scored


def test_one_score_alone_has_one_slider(db: duckdb.DuckDBPyConnection) -> None:
    judged = count_judged(db, SCORES[1:], {"detector": 0.5})
    (n,) = db.execute("SELECT count(*) FROM judged WHERE detector_prob >= 0.5 AND corpus = 'cc3m'").fetchall()[0]
    assert kept(judged, "cc3m", [judged.axes[0].start]) == n and sum(judged.lacking) == 0


@pytest.mark.parametrize("values", [[], [0.5], [1.0, 1.0], [-1.0, 1.0]])
def test_few_scores_have_a_slider_too(values: list[float]) -> None:
    axis = axis_of(SCORES[0], np.array(values), None)
    assert axis.at_least[0] == len(values) and list(axis.edges) == sorted(set(axis.edges))
    assert axis.edges[0] >= -1 and axis.edges[-1] <= 1
