"""Sections on rows: the funnel, keywords, the download, duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from flows.ask.report import Row, query_report
from flows.page.drawings import bars, count, flow, heat_map
from flows.page.section import Figure, Section

if TYPE_CHECKING:
    import duckdb

_STEPS = ("rows", "keyword", "downloaded", "invalid", "duplicate", "outlier", "remain")
_SHOWN = 40


_LOSSES = (("invalid", "valid", "no valid image"), ("duplicate", "unique", "duplicates"),
           ("outlier", "remain", "outliers"))  # fmt: skip
_RS3_NAMES = {"source": "corpus", "unselected": "not chosen", "unpublished": "not published",
              "published_remain": "remain in RS5M"}  # fmt: skip
_RATES = (
    ("downloaded", "downloaded, of keyword matches"), ("invalid", "no valid image, of downloaded"),
    ("duplicate", "duplicates, of valid"), ("outlier", "outliers, of unique"),
)  # fmt: skip


def funnel(db: duckdb.DuckDBPyConnection) -> Section:
    """Return the funnel of PUB11 and the counts of RS3, beside the published figures."""
    found = query_report(
        db, "funnel", "FROM pub11_funnel ORDER BY source = 'Total', published_remain DESC, source"
    ).rows
    total = found[-1]
    rates = query_report(db, "rates", "FROM pub11_rate WHERE source = 'Total'").rows[0]
    flows = [
        flow(_flow_steps(total, prefix), f"Samples of PUB11 after each step, {whose}")
        for prefix, whose in (("", "this build"), ("published_", "as published"))
        if total[f"{prefix}keyword"] is not None
    ]
    rs3 = query_report(db, "rs3", "FROM rs3")
    return Section(
        "funnel",
        "From rows to the dataset",
        (
            Figure(
                f"Samples of PUB11 after each step, of {count(float(str(total['rows'])))} rows read: this build, and as"
                " published.",
                "pub11_funnel",
                Markup('<div class="pair">{}</div>').format(Markup("").join(flows)),
            ),
            Figure(
                "Rates of the step before, %. Links die, so counts of another year cannot be compared, rates can.",
                "pub11_rate",
                columns=("rate", "this build", "published"),
                rows=[
                    (what, _percent(rates[f"{name}_share"]), _percent(rates[f"published_{name}_share"]))
                    for name, what in _RATES
                ],
            ),
            Figure(
                "Samples of each corpus; what remains; of that, refused for publication.",
                "pub11_funnel",
                columns=("corpus", *_STEPS, "not published"),
                rows=[[row[name] for name in ("source", *_STEPS, "unpublished")] for row in found],
            ),
            Figure(
                "Samples of RS3: listed by the corpus, unreadable files, not chosen for the dataset, refused by screen,"
                " without a caption; what remains; of that, refused for publication.",
                "rs3",
                columns=[_RS3_NAMES.get(name, name) for name in rs3.columns],
                rows=[tuple(row.values()) for row in rs3.rows],
            ),
        ),
    )


def _flow_steps(row: Row, prefix: str) -> list[tuple[str, float, float, str]]:
    figures = {
        name: int(str(row[f"{prefix}{name}"] or 0)) for name in ("keyword", "downloaded", *(n for n, *_ in _LOSSES))
    }
    left = figures["downloaded"]
    steps: list[tuple[str, float, float, str]] = [
        ("with a keyword", figures["keyword"], 0, ""),
        ("downloaded", left, figures["keyword"] - left, "not downloaded"),
    ]
    for name, label, why in _LOSSES:
        left -= figures[name]
        steps.append((label, left, figures[name], why))
    return steps


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
        bars(
            [(name, n, strict) for name, n, strict in rows[:_SHOWN]],
            "Captions with each keyword",
            is_log=True,
            thin="by the strict rules",
        ),
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
            Figure(f"Outcome of {n_urls:,} URLs.", "fetched", bars([(w, n, None) for w, n in outcomes], "URLs")),
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


def _percent(share: object) -> float | None:
    return None if share is None else round(100 * float(str(share)), 1)
