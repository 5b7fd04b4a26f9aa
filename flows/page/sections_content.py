"""Sections on the samples: captions, sizes, places, times, licences."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.page.drawings import ENDLESS, LAND_DEGREES, bars, histogram, world_map
from flows.page.section import Figure, Section
from stages.geometa.countries import names_by_code
from stages.geometa.places import populated_cells
from stages.stats.matches import BINS_A_UNIT

if TYPE_CHECKING:
    import duckdb

_HALVES = {"pub11": "PUB11", "rs3": "RS3"}
_DEGREES = 5
_SHOWN = 30
_EXAMPLES = 12


def captions(db: duckdb.DuckDBPyConnection) -> Section:
    """Return lengths of the published captions, and examples."""
    rows = db.execute(
        "SELECT half, len(string_split_regex(trim(published_text), '\\s+')) AS n_words, count(*)"
        " FROM metafile GROUP BY ALL"
    ).fetchall()
    longest = max((n for _, n, _ in rows), default=0)
    edges = [*range(0, 82, 2), max(longest + 1, int(ENDLESS))]
    drawn = {
        name: _binned([(n, count) for half_, n, count in rows if half_ == half], edges)
        for half, name in _HALVES.items()
    }
    examples = db.execute(
        f"SELECT corpus, published_text FROM metafile ORDER BY md5(sample_id) LIMIT {_EXAMPLES}"
    ).fetchall()
    return Section(
        "captions",
        "Captions",
        (
            Figure(
                "Words of the published captions; the last bin holds all longer ones.",
                "metafile",
                histogram({k: v for k, v in drawn.items() if sum(v)}, [float(e) for e in edges], "Words per caption"),
            ),
            Figure(
                f"{len(examples)} captions, chosen by hash.", "metafile", columns=("corpus", "caption"), rows=examples
            ),
        ),
    )


def generated_captions(db: duckdb.DuckDBPyConnection) -> Section:
    """Return a few labelled images' candidates with their scores, best first."""
    rows = db.execute(
        """WITH few AS (SELECT sample_id FROM caption ORDER BY md5(sample_id) LIMIT 4)
           SELECT sample_id, candidate_caption, round(first_score_cos, 3), round(second_score_cos, 3),
                  rotation_variance,
                  concat_ws(', ', CASE WHEN candidate_caption = generated_caption THEN 'published' END,
                                  CASE WHEN candidate_caption = top_caption THEN 'ranked first' END,
                                  CASE WHEN candidate_caption = invariant_caption THEN 'least changed' END)
           FROM few JOIN caption_candidate USING (sample_id) JOIN caption_score USING (sample_id, n)
           JOIN caption USING (sample_id) ORDER BY sample_id, second_rank NULLS LAST, first_rank NULLS LAST, n"""
    ).fetchall()
    figures = [
        Figure(
            f"{sample_id}: the {len(found)} captions generated for this image, best first. Scores are cosines of"
            " image and caption; the second scorer sees only the first one's best. Variance: over rotated images.",
            "caption_candidate, caption_score, caption",
            columns=("candidate", "first scorer", "second scorer", "variance", "choice"),
            rows=[row[1:] for row in found],
        )
        for sample_id, found in ((key, list(group)) for key, group in groupby(rows, key=itemgetter(0)))
    ]
    return Section("generated", "Generated captions", figures)


def matches(db: duckdb.DuckDBPyConnection) -> Section:
    """Return the histogram of the match of images and their own captions, by corpus, and its tiers."""
    rows = db.execute("SELECT source, least_cos, n_matched FROM caption_cos_bin ORDER BY least_cos").fetchall()
    if not rows:
        caption = "Images were not compared with their captions (embed.match_captions, embed.model)."
        return Section("matches", "Images and their captions", (Figure(caption, "caption_cos_bin"),))
    first, last = (round(rows[n][1] * BINS_A_UNIT) for n in (0, -1))
    edges = [n / BINS_A_UNIT for n in range(first, last + 2)]
    drawn: dict[str, list[float]] = {}
    for source, least, n in rows:
        drawn.setdefault(source, [0.0] * (len(edges) - 1))[round(least * BINS_A_UNIT) - first] = n
    tiers = db.execute(
        """SELECT source, top_percent, n_matched, least_caption_cos, mean_caption_cos FROM caption_tier
           ORDER BY source = 'Total', source, top_percent"""
    ).fetchall()
    return Section(
        "matches",
        "Images and their captions",
        (
            Figure(
                "Cosine of each remaining image and its own caption, by embed's model, which reads only the beginning"
                " of a long caption.",
                "caption_cos_bin",
                histogram(dict(sorted(drawn.items())), edges, "Cosine of image and caption"),
            ),
            Figure(
                "Samples that match best; shard.caption_top_share publishes such a tier alone.",
                "caption_tier",
                columns=("corpus", "top, %", "samples", "least cosine", "mean cosine"),
                rows=tiers,
            ),
        ),
    )


def sizes(db: duckdb.DuckDBPyConnection) -> Section:
    """Return widths, heights, aspect ratios and ground sample distances of the published images."""
    edges = [0, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, ENDLESS]
    figures = []
    for column, what in (("width_px", "Width"), ("height_px", "Height")):
        drawn = _of_halves(db, column, edges)
        figures.append(
            Figure(
                f"{what} of the published images, px.", "metafile", histogram(drawn, [float(e) for e in edges], what)
            )
        )
    shape = [0.0, 0.25, 0.5, 0.67, 0.8, 0.95, 1.05, 1.25, 1.5, 2.0, 4.0, ENDLESS]
    drawn = _of_halves(db, "width_px / height_px", shape)
    figures.append(Figure("Width divided by height.", "metafile", histogram(drawn, shape, "Aspect ratio")))
    distances = db.execute(
        "SELECT corpus, count(*), round(min(gsd_m), 2), round(median(gsd_m), 2), round(max(gsd_m), 2)"
        " FROM labelled_image WHERE gsd_m IS NOT NULL GROUP BY corpus ORDER BY corpus"
    ).fetchall()
    if distances:
        figures.append(
            Figure(
                "Ground sample distance as the corpus states it.",
                "labelled_image",
                columns=("corpus", "images", "least, m", "median, m", "most, m"),
                rows=distances,
            )
        )
    return Section("sizes", "Image sizes", figures)


def places(db: duckdb.DuckDBPyConnection) -> Section:
    """Return where and when the published images were taken, if known."""
    cells = db.execute(
        f"""SELECT least(floor((latitude_deg + 90) / {_DEGREES}), {180 // _DEGREES - 1})::INT,
                   least(floor((longitude_deg + 180) / {_DEGREES}), {360 // _DEGREES - 1})::INT, count(*)
            FROM metafile WHERE latitude_deg IS NOT NULL GROUP BY ALL"""
    ).fetchall()
    n_known, n_all = sum(n for *_, n in cells), db.execute("SELECT count(*) FROM metafile").fetchall()[0][0]
    n_countries = int(db.execute("SELECT coalesce(sum(n_pub11 + n_rs3), 0) FROM country_count").fetchall()[0][0])
    countries = [(names_by_code().get(code, code), n, None) for code, n, _ in _top(db, "country_count", "country_code")]
    months = db.execute(
        "SELECT coalesce(month::VARCHAR, 'unknown'), n_pub11 + n_rs3 FROM month_count ORDER BY month"
    ).fetchall()
    names = db.execute(
        f"SELECT place, count(DISTINCT sample_id) AS n FROM place GROUP BY place ORDER BY n DESC, place LIMIT {_SHOWN}"
    ).fetchall()
    return Section(
        "places",
        "Places and times",
        (
            Figure(
                f"Positions of {n_known:,} of {n_all:,} published images in cells of {_DEGREES} degrees, by logarithm."
                " Grey: where GeoNames (CC BY 4.0) has a populated place.",
                "metafile",
                world_map(
                    {(row, column): n for row, column, n in cells},
                    _DEGREES,
                    "World map of positions",
                    populated_cells(LAND_DEGREES),
                ),
            ),
            Figure(
                f"Countries of {n_countries:,} published images, the most frequent ones.",
                "country_count",
                bars(countries, "Countries"),
            ),
            Figure(
                f"Month of the picture, known of {sum(n for _, n in months):,} published images.",
                "month_count",
                bars([(month, n, None) for month, n in months], "Months"),
            ),
            Figure(
                'Place names in captions, the most frequent ones; "unknown" are captions without one.',
                "place",
                bars([(name, n, None) for name, n in names], "Place names"),
            ),
        ),
    )


def licences(db: duckdb.DuckDBPyConnection) -> Section:
    """Return the licences of annotations and, separately, of images."""
    rows = db.execute(
        """SELECT corpus, coalesce(annotation_licence, 'not stated'), coalesce(image_licence, 'not stated'),
                  count(*) AS n
           FROM metafile GROUP BY ALL ORDER BY corpus, n DESC, 2, 3"""
    ).fetchall()
    figure = Figure(
        "Published samples by licence. The licence of an annotation says nothing about the rights in the image.",
        "metafile",
        columns=("corpus", "annotation", "image", "samples"),
        rows=rows,
    )
    return Section("licences", "Licences", (figure,))


def _top(db: duckdb.DuckDBPyConnection, table: str, column: str) -> list[tuple[str, float, None]]:
    rows = db.execute(
        f"SELECT coalesce({column}::VARCHAR, 'unknown'), sum(n_pub11 + n_rs3)::BIGINT AS n FROM {table} GROUP BY ALL"
        f" ORDER BY n DESC, 1 LIMIT {_SHOWN}"
    ).fetchall()
    return [(name, n, None) for name, n in rows]


def _of_halves(db: duckdb.DuckDBPyConnection, value: str, edges: list[Any]) -> dict[str, list[float]]:
    listed = ", ".join(str(edge) for edge in edges[1:-1])
    rows = db.execute(
        f"SELECT half, len(list_filter([{listed}], lambda e: e <= {value})) AS bin, count(*) FROM metafile GROUP BY ALL"
    ).fetchall()
    drawn = {}
    for half, name in _HALVES.items():
        counts = np.zeros(len(edges) - 1)
        for of, number, n in rows:
            counts[number] += n if of == half else 0
        if counts.sum():
            drawn[name] = counts.tolist()
    return drawn


def _binned(rows: list[tuple[int, int]], edges: list[int]) -> list[float]:
    values, weights = [n for n, _ in rows], [count for _, count in rows]
    return np.histogram(values, bins=edges, weights=weights)[0].tolist() if rows else [0.0] * (len(edges) - 1)
