"""Further sections: tokens of CLIP, UTM zones, link rot by year, evaluation sets."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from flows.page.drawings import bars, heat_map, histogram
from flows.page.section import Figure, Section
from stages.models.clip_tokens import count_tokens

if TYPE_CHECKING:
    import duckdb

_HALVES = {"pub11": "PUB11", "rs3": "RS3"}
_N_TOKENIZED = 20_000  # captions per half, which take half a second
_MAX_TOKENS = 77  # limit of CLIP's text encoder, including begin and end
_TOKENS = (*range(1, 122, 4), 1_000_000)


def tokens(db: duckdb.DuckDBPyConnection) -> Section:
    """Return the number of CLIP tokens of the published texts, for a sample chosen by hash."""
    found = db.execute(
        f"SELECT half, unnest(min_by(left(published_text, 4000), md5(sample_id), {_N_TOKENIZED}))"
        " FROM metafile GROUP BY half"
    ).fetchall()
    drawn, notes = {}, []
    for half, name in _HALVES.items():
        lengths = count_tokens([text for of, text in found if of == half])
        if lengths:
            drawn[name] = [float(sum(a <= n < b for n in lengths)) for a, b in pairwise(_TOKENS)]
            longer = 100 * sum(n > _MAX_TOKENS for n in lengths) / len(lengths)
            notes.append(f"{longer:.1f} % of {len(lengths):,} of {name} are longer")
    figure = Figure(
        f"CLIP's tokens of the published texts, chosen by hash. CLIP reads {_MAX_TOKENS}: {'; '.join(notes)}. The last"
        " bin holds all longer ones.",
        "metafile",
        histogram(drawn, [float(e) for e in _TOKENS], "Tokens per text", {"CLIP reads": float(_MAX_TOKENS)}),
    )
    return Section("tokens", "Tokens of CLIP", (figure,))


def utm_zones(db: duckdb.DuckDBPyConnection) -> Section:
    """Return a heat map of UTM zones for each hemisphere, with six zones per row."""
    found = db.execute("SELECT utm_hemisphere, utm_zone, sum(n_pub11 + n_rs3)::BIGINT FROM utm_count GROUP BY ALL")
    counts = {(str(side), int(zone)): int(n) for side, zone, n in found.fetchall()}
    figures = []
    for side in sorted({side for side, _ in counts}):
        cells = [[float(counts.get((side, 10 * i + k), 0)) for k in range(1, 11)] for i in range(6)]
        n = int(sum(map(sum, cells)))
        rows = [f"{10 * i + 1} to {10 * i + 10}" for i in range(6)]
        drawing = heat_map(cells, rows, [f"+{k}" for k in range(10)], f"UTM zones of hemisphere {side}")
        figures.append(Figure(f"UTM zones of hemisphere {side}: {n:,} published samples.", "utm_count", drawing))
    return Section("utm", "UTM zones", figures)


def link_rot(db: duckdb.DuckDBPyConnection) -> Section:
    """Return the share of lost URLs by the year in the URL's path, which many content systems write."""
    found = db.execute(
        """WITH url AS (SELECT any_value(reason) AS reason, nullif(regexp_extract(any_value(normalised_url),
                            '[/_-]((?:199|20[0-2])[0-9])[/_-]', 1), '') AS year
                        FROM planned LEFT JOIN fetched_rejects USING (fetch_id) GROUP BY fetch_id)
           SELECT year, count(*), count(reason) FROM url GROUP BY year ORDER BY year"""
    ).fetchall()
    dated = [(year, n, lost) for year, n, lost in found if year is not None]
    n_dated, n_all = sum(n for _, n, _ in dated), sum(n for _, n, _ in found)
    caption = f"Lost URLs by the year in their path, %. {n_dated:,} of {n_all:,} URLs name one."
    rows = [(f"{year} ({n:,})", 100 * lost / n, None) for year, n, lost in dated]
    drawing = bars(rows, "Lost URLs by year", unit=" %") if rows else ""
    return Section("rot", "Link rot by year", (Figure(caption, "planned, fetched", drawing),))


def contamination(db: duckdb.DuckDBPyConnection) -> Section:
    """Return the number of samples of each corpus whose picture is in an evaluation set."""
    found = db.execute(
        """SELECT evaluation_set || ' ' || coalesce(evaluation_split, ''), corpus, count(DISTINCT sample_id)
           FROM contaminated JOIN sample USING (sample_id) GROUP BY ALL"""
    ).fetchall()
    if not found:
        caption = "No picture of an evaluation set was found, or none was given (make stage-contamination EVAL=…)."
        return Section("contamination", "Evaluation sets", (Figure(caption, "contaminated"),))
    cells = {(name.strip(), corpus): n for name, corpus, n in found}
    sets, corpora = (sorted({pair[i] for pair in cells}) for i in (0, 1))
    drawing = heat_map([[cells.get((s, c), 0) for c in corpora] for s in sets], sets, corpora, "Contamination")
    caption = "Samples with a picture of an evaluation set (rows: set and split), by corpus (columns)."
    return Section("contamination", "Evaluation sets", (Figure(caption, "contaminated, sample", drawing),))
