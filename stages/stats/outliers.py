"""Statistics over both outlier scores: samples left by each pair of shares, and samples that both scores remove."""

import numpy as np
import pyarrow as pa

from schemas.manifests import Published
from schemas.statistic_tables import OUTLIER_CELL, OUTLIER_OVERLAP
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.models.opening import NONE
from stages.outliers.cells import TOPS, count_cells
from stages.outliers.survivors import SCORES
from stages.rows import query_rows, run_sql
from stages.stats.stage import PUBLISHED, TOTAL


def count_outlier_cells(inputs: Inputs, context: Context) -> Outcome:
    """Count the samples left by RS5M's 81 pairs of shares, beside the published cells.

    A score without a model refuses nothing.

    Source: RS5M, figure 13.
    """
    published: Published = context.tools["published"]
    theirs = {(cell.top_vlm, cell.top_detector): cell.remain for cell in published.outlier_cells}
    whole = theirs.get((100, 100))
    found = run_sql(f"SELECT vlm_score_cos AS vlm, detector_prob AS detector FROM ({SCORES})", inputs)
    rules = run_sql("SELECT score, rule FROM outlier_rule", inputs).to_pylist()
    given = [row["score"] for row in rules if row["rule"] != NONE]
    scores = [found[name].to_numpy().astype(np.float64) if name in given else None for name in ("vlm", "detector")]
    cells = count_cells(*scores)
    rows = []
    for i, top_vlm in enumerate(TOPS):
        for j, top_detector in enumerate(TOPS):
            other = theirs.get((top_vlm, top_detector))
            rows.append(
                {
                    "top_vlm": top_vlm,
                    "top_detector": top_detector,
                    "n_left": cells[i][j],
                    "left_share": round(cells[i][j] / cells[0][0], 4) if cells[0][0] else None,
                    "published_n_left": other,
                    "published_left_share": round(other / whole, 4) if other is not None and whole else None,
                }
            )
    return Outcome(pa.Table.from_pylist(rows, schema=OUTLIER_CELL.schema), no_rejects(OUTLIER_CELL))


def count_outlier_overlap(inputs: Inputs, context: Context) -> Outcome:
    """Return one row per corpus and one for the total: survivors below one threshold, below the other, below both."""
    # In two steps, so that the hash tables of the scores are gone when the corpora are looked up.
    scored = query_rows(f"SELECT sample_id, vlm_score_cos AS vlm, detector_prob AS detector FROM ({SCORES})", inputs)
    tables = {"scored": scored, "sample": inputs["sample"], "outlier_rule": inputs["outlier_rule"]}
    found = run_sql(f"SELECT {', '.join(OUTLIER_OVERLAP.schema.names)} FROM ({_OVERLAP})", tables)
    return Outcome(found.cast(OUTLIER_OVERLAP.schema), no_rejects(OUTLIER_OVERLAP))


_OVERLAP = f"""
    WITH rule AS (
        SELECT max(threshold) FILTER (score = 'vlm') AS least_vlm,
               max(threshold) FILTER (score = 'detector') AS least_detector,
               bool_or(score = 'vlm' AND rule <> '{NONE}') AS has_vlm,
               bool_or(score = 'detector' AND rule <> '{NONE}') AS has_detector
        FROM outlier_rule
    ), judged AS (
        SELECT corpus, (has_vlm AND vlm IS NULL) OR (has_detector AND detector IS NULL) AS is_unscored,
               NOT is_unscored AND has_vlm AND vlm < least_vlm AS is_low_vlm,
               NOT is_unscored AND has_detector AND detector < least_detector AS is_low_detector
        FROM scored JOIN sample USING (sample_id), rule
    )
    SELECT coalesce(corpus, '{TOTAL}') AS source, count(*) AS n_judged,
           count(*) FILTER (is_low_vlm AND NOT is_low_detector) AS n_low_vlm_alone,
           count(*) FILTER (is_low_detector AND NOT is_low_vlm) AS n_low_detector_alone,
           count(*) FILTER (is_low_vlm AND is_low_detector) AS n_low_both,
           round(n_low_both / nullif(count(*) FILTER (is_low_vlm OR is_low_detector), 0), 4) AS low_both_share,
           count(*) FILTER (is_unscored) AS n_unscored
    FROM judged GROUP BY ROLLUP (corpus) ORDER BY source = '{TOTAL}', source
"""

_SCORED = (
    Reads("survivor", ("sample_id", "image_id"), is_whole=True),
    Reads("sample", ("sample_id", "corpus"), is_whole=True),
    Reads("image", ("image_id", "pixel_sha256"), is_whole=True),
    Reads("vlm_score", ("pixel_sha256", "vlm_score_cos"), is_whole=True),
    Reads("detector_score", ("pixel_sha256", "detector_prob"), is_whole=True),
    Reads("outlier_rule", ("score", "rule", "threshold"), is_whole=True),
)
_LISTED = f"unnest([{', '.join(map(str, TOPS))}])"

COUNT_OUTLIER_CELLS = Stage(
    name="count_outlier_cells",
    module="stats",
    version=1,
    does="Counts the survivors that pairs of shares of both scores leave, beside the published cells.",
    reads=_SCORED,
    writes=OUTLIER_CELL,
    grain="reduce",
    given=Given(
        query=f"SELECT top_vlm, top_detector FROM (SELECT {_LISTED} AS top_vlm), (SELECT {_LISTED} AS top_detector)"
    ),
    run=count_outlier_cells,
    is_queried=True,
    tools=(PUBLISHED,),
)

COUNT_OUTLIER_OVERLAP = Stage(
    name="count_outlier_overlap",
    module="stats",
    version=1,
    does="Counts the survivors that each score and both scores remove, by corpus.",
    reads=_SCORED,
    writes=OUTLIER_OVERLAP,
    grain="reduce",
    given=Given(
        query="SELECT DISTINCT corpus AS source FROM sample SEMI JOIN survivor USING (sample_id)"
        f" UNION SELECT '{TOTAL}'",
        inputs=("sample", "survivor"),
    ),
    run=count_outlier_overlap,
    is_queried=True,
)
