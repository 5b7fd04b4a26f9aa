"""Sections on rows: the funnel, keywords, the download, duplicates, scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flows.ask.report import query_report
from flows.page.drawings import bars, heat_map, histogram
from flows.page.section import Figure, Section

if TYPE_CHECKING:
    import duckdb

_STEPS = ("rows", "keyword", "downloaded", "invalid", "duplicate", "outlier", "remain")
_N_BINS = 40
_SHOWN = 40
_QUANTILES = tuple(round(0.05 * n, 2) for n in range(9))  # RS5M's figure 13: top 100 % to top 60 %


def funnel(db: duckdb.DuckDBPyConnection) -> Section:
    """Return the funnel of PUB11 and the counts of RS3, beside the published figures."""
    names = ", ".join((*_STEPS, *(f"published_{name}" for name in _STEPS)))
    rows = db.execute(f"SELECT source, {names} FROM pub11_funnel").fetchall()
    total = next(row for row in rows if row[0] == "Total")
    steps = [(name, float(total[1 + n] or 0), _number(total[8 + n])) for n, name in enumerate(_STEPS)]
    rates = [
        (what, _rate(total[above], total[below]), _rate(total[7 + above], total[7 + below]))
        for what, above, below in (
            ("downloaded of keyword matches", 3, 2), ("invalid of downloaded", 4, 3),
            ("duplicates of downloaded", 5, 3), ("outliers of downloaded", 6, 3),
            ("remaining of downloaded", 7, 3),
        )
    ]  # fmt: skip
    table = [[row[0], *row[1:8]] for row in rows]
    rs3 = query_report(db, "rs3", "FROM rs3")
    return Section(
        "funnel",
        "From rows to the dataset",
        (
            Figure(
                f"Samples of PUB11 after each step, of {total[1]:,} rows (bars by logarithm; thin bars: as published).",
                "pub11_funnel",
                bars(steps, "Samples of PUB11 after each step", is_log=True),
            ),
            Figure(
                "Rates of each step. Links die, so counts of another year cannot be compared, rates can.",
                "pub11_funnel",
                columns=("rate", "this build, %", "published, %"),
                rows=[(what, ours, other) for what, ours, other in rates],
            ),
            Figure("Samples of each corpus.", "pub11_funnel", columns=("corpus", *_STEPS), rows=table),
            Figure("Samples of RS3.", "rs3", columns=rs3.columns, rows=[tuple(row.values()) for row in rs3.rows]),
        ),
    )


def keywords(db: duckdb.DuckDBPyConnection) -> Section:
    """Return how often each keyword occurs."""
    rows = db.execute(
        "SELECT pattern, sum(n_captions)::BIGINT AS n, sum(n_strict)::BIGINT FROM keyword_count GROUP BY ALL"
        " HAVING n > 0 ORDER BY n DESC, pattern"
    ).fetchall()
    figure = Figure(
        f"Captions with each keyword, the {min(_SHOWN, len(rows))} most frequent of {len(rows)} that occur; thin bars:"
        " those that pass the strict rules. Both by logarithm.",
        "keyword_count",
        bars([(name, n, strict) for name, n, strict in rows[:_SHOWN]], "Captions with each keyword", is_log=True),
    )
    return Section("keywords", "Keywords", (figure,))


def downloads(db: duckdb.DuckDBPyConnection) -> Section:
    """Return the fates of the URLs, and the hosts with the most losses."""
    outcomes = db.execute(
        "SELECT 'fetched' AS what, count(*) AS n FROM fetched UNION ALL"
        " SELECT reason, count(*) FROM fetched_rejects GROUP BY reason ORDER BY n DESC, what"
    ).fetchall()
    n_urls = sum(n for _, n in outcomes)
    hosts = db.execute(
        """WITH url AS (SELECT DISTINCT fetch_id, host FROM planned)
           SELECT host, count(*) AS urls, count(r.fetch_id) AS lost, round(100 * lost / urls, 1) AS percent,
                  coalesce(mode(r.reason), '') AS mostly
           FROM url LEFT JOIN fetched_rejects r USING (fetch_id) GROUP BY host HAVING lost > 0
           ORDER BY lost DESC, host LIMIT 20"""
    ).fetchall()
    corpora = db.execute(
        """SELECT corpus, count(*) AS samples, count(f.fetch_id) AS fetched
           FROM sample s LEFT JOIN fetched f ON f.fetch_id = s.image_id WHERE half = 'pub11'
           GROUP BY ALL ORDER BY ALL"""
    ).fetchall()
    return Section(
        "download",
        "Download",
        (
            Figure(f"What became of {n_urls:,} URLs.", "fetched", bars([(w, n, None) for w, n in outcomes], "URLs")),
            Figure(
                "Share of the samples whose URL was fetched, %.",
                "sample, fetched",
                bars([(c, 100 * f / n, None) for c, n, f in corpora if n], "Samples fetched per corpus", unit=" %"),
            ),
            Figure(
                "The hosts that lost most URLs.",
                "planned, fetched",
                columns=("host", "URLs", "lost", "lost, %", "mostly"),
                rows=hosts,
            ),
        ),
    )


def duplicates(db: duckdb.DuckDBPyConnection) -> Section:
    """Return the number of duplicates by reason and by pair of corpora."""
    reasons = db.execute(
        "SELECT reason, count(*) AS n FROM survivor_rejects GROUP BY reason ORDER BY n DESC, reason"
    ).fetchall()
    pairs = db.execute(
        """SELECT kept.corpus, gone.corpus, count(*) FROM survivor_rejects r
           JOIN cluster_member m USING (sample_id) JOIN sample gone USING (sample_id)
           JOIN sample kept ON kept.sample_id = m.survivor_id GROUP BY ALL"""
    ).fetchall()
    names = sorted({name for kept, gone, _ in pairs for name in (kept, gone)})
    found = {(kept, gone): n for kept, gone, n in pairs}
    cells = [[found.get((kept, gone), 0) for gone in names] for kept in names]
    n_removed = sum(n for _, n in reasons)
    return Section(
        "duplicates",
        "Duplicates",
        (
            Figure(
                f"Why {n_removed:,} samples were removed.",
                "survivor",
                bars([(r, n, None) for r, n in reasons], "Reasons"),
            ),
            Figure(
                "Removed samples (columns) by the corpus of the sample that was kept for them (rows).",
                "cluster_member, sample",
                heat_map(cells, names, names, "Duplicates between corpora"),
            ),
        ),
    )


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
        counts, edges = np.histogram(rows, bins=_N_BINS)
        threshold = rules.get(name.split("_")[0])
        marks = {} if threshold is None else {"threshold": threshold}
        figures.append(
            Figure(
                f"{what} of {len(rows):,} samples that were judged.",
                "vlm_score, detector_score",
                histogram({"samples": counts.tolist()}, edges.tolist(), what, marks),
            )
        )
    figures += _heat_of_quantiles(db, judged)
    return Section("scores", "Outlier scores", figures)


def _heat_of_quantiles(db: duckdb.DuckDBPyConnection, judged: str) -> list[Figure]:
    shares = ", ".join(str(q) for q in _QUANTILES)
    cuts = db.execute(
        f"SELECT quantile_disc(vlm_score_cos, [{shares}]), quantile_disc(detector_prob, [{shares}]), count(*)"
        f" FROM ({judged}) WHERE vlm_score_cos IS NOT NULL AND detector_prob IS NOT NULL"
    ).fetchall()
    vlm, detector, n = cuts[0]
    if not n:
        return []
    cells = ", ".join(
        f"count(*) FILTER (vlm_score_cos >= {v!r} AND detector_prob >= {d!r})" for v in vlm for d in detector
    )
    flat = db.execute(f"SELECT {cells} FROM ({judged})").fetchall()[0]
    names = [f"top {100 - round(100 * q)} %" for q in _QUANTILES]
    grid = [list(flat[9 * i : 9 * i + 9]) for i in range(9)]
    return [
        Figure(
            f"Samples that remain of {n:,} if the prompts keep the top share (rows) and the detector the top share"
            " (columns), as in RS5M's figure 13.",
            "vlm_score, detector_score",
            heat_map(grid, names, [name.removeprefix("top ") for name in names], "What two quantiles leave"),
        )
    ]


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _rate(part: Any, whole: Any) -> float | None:
    return round(100 * part / whole, 1) if part is not None and whole else None
