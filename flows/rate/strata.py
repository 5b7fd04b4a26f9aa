"""The strata of each task: SQL over a build's tables that returns each item, its decision and its stratum.

Every query returns item, stratum, decision, sample_id, other_id and facts (JSON). Nothing is drawn here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.ledger.ledger import Ledger
from flows.rate.nearest import nearest_kept
from stages.contract import InputError

if TYPE_CHECKING:
    import duckdb

NEAR_SHARE = 0.05  # "near a threshold": within 5 % of the scored samples by rank, or of the 64 bits of a hash
_NO_OTHER = "NULL::VARCHAR AS other_id, '{}' AS facts"

_RATED_RS3 = f"""
    SELECT sample_id AS item, l.corpus AS stratum, 'kept' AS decision, sample_id, {_NO_OTHER}
    FROM caption JOIN labelled_image l USING (sample_id)
"""
_RATED_PUB11 = f"""
    SELECT sample_id AS item, c.corpus AS stratum, 'kept' AS decision, sample_id, {_NO_OTHER}
    FROM relevant JOIN candidate c USING (sample_id)
"""
_FILTER = f"""
    SELECT sample_id AS item, corpus AS stratum, 'kept' AS decision, sample_id, {_NO_OTHER} FROM candidate
"""
# An item is near a threshold if moving the thresholds by 5 % of the ranks would change its decision.
_OUTLIERS = f"""
    WITH rule AS (
        SELECT any_value(threshold) FILTER (score = 'vlm') AS least_vlm,
               any_value(n_at_least) FILTER (score = 'vlm') AS n_vlm,
               any_value(threshold) FILTER (score = 'detector') AS least_detector,
               any_value(n_at_least) FILTER (score = 'detector') AS n_detector
        FROM outlier_rule
    ), scored AS (
        SELECT u.sample_id, v.vlm_score_cos AS vlm, d.detector_prob AS detector,
               rank() OVER (ORDER BY v.vlm_score_cos DESC NULLS LAST) AS vlm_rank,
               rank() OVER (ORDER BY d.detector_prob DESC NULLS LAST) AS detector_rank,
               {NEAR_SHARE} * count(*) OVER () AS near
        FROM survivor u JOIN image i USING (image_id)
        LEFT JOIN vlm_score v USING (pixel_sha256) LEFT JOIN detector_score d USING (pixel_sha256)
    ), judged AS (
        SELECT s.*, coalesce(vlm < least_vlm, false) AS is_low_vlm,
               coalesce(detector < least_detector, false) AS is_low_detector,
               coalesce(vlm IS NOT NULL AND abs(vlm_rank - n_vlm) <= near, false) AS is_near_vlm,
               coalesce(detector IS NOT NULL AND abs(detector_rank - n_detector) <= near, false) AS is_near_detector,
               CASE WHEN r.sample_id IS NULL THEN 'kept' ELSE 'rejected' END AS decision, r.reason
        FROM scored s CROSS JOIN rule LEFT JOIN relevant_rejects r USING (sample_id)
        WHERE r.sample_id IS NOT NULL OR s.sample_id IN (SELECT sample_id FROM relevant)
    )
    SELECT sample_id AS item, decision, sample_id, NULL::VARCHAR AS other_id,
           json_object('vlm_score_cos', vlm, 'detector_prob', detector)::VARCHAR AS facts,
           CASE WHEN decision = 'kept' THEN
                    'kept' || CASE WHEN is_near_vlm OR is_near_detector THEN ', near a threshold' ELSE '' END
                WHEN is_low_vlm AND is_low_detector THEN 'low by both'
                    || CASE WHEN is_near_vlm AND is_near_detector THEN ', near the thresholds' ELSE '' END
                WHEN is_low_vlm THEN
                    'low_vlm_score alone' || CASE WHEN is_near_vlm THEN ', near the threshold' ELSE '' END
                WHEN is_low_detector THEN
                    'low_detector_prob alone' || CASE WHEN is_near_detector THEN ', near the threshold' ELSE '' END
                ELSE reason END AS stratum
    FROM judged
"""
_REMOVED = """
    SELECT m.sample_id AS item, 'rejected' AS decision, m.sample_id, m.survivor_id AS other_id,
           json_object('phash_distance', phash_distance)::VARCHAR AS facts,
           duplicate_reason || CASE WHEN duplicate_reason = 'near_duplicate' AND phash_distance >= {limit} - {bits}
                                    THEN ', near the limit' ELSE '' END AS stratum
    FROM cluster_member m SEMI JOIN survivor_rejects USING (sample_id) WHERE duplicate_reason IS NOT NULL
"""
_NOT_REMOVED = """
    SELECT sample_id AS item, 'kept' AS decision, sample_id, other_id,
           json_object('phash_distance', phash_distance)::VARCHAR AS facts,
           'kept' || CASE WHEN phash_distance <= {limit} + {bits} THEN ', near the limit' ELSE '' END AS stratum
    FROM nearest_kept
"""
_CAPTION = """
    SELECT sample_id || ' ' || n AS item, sample_id, NULL::VARCHAR AS other_id,
           json_object('n', n, 'first_rank', first_rank, 'second_rank', second_rank,
                       'rotation_variance', rotation_variance)::VARCHAR AS facts,
           CASE WHEN candidate_caption = generated_caption THEN 'kept' ELSE 'rejected' END AS decision,
           CASE WHEN candidate_caption = generated_caption AND top_caption = invariant_caption
                    THEN 'chosen: highest rank and least variance'
                WHEN candidate_caption = generated_caption AND candidate_caption = top_caption
                    THEN 'chosen: highest rank'
                WHEN candidate_caption = generated_caption THEN 'chosen: least variance'
                WHEN second_rank IS NULL THEN 'dropped by the first model'
                WHEN rotation_variance IS NULL THEN 'dropped by the second model'
                ELSE 'ranked, not chosen' END AS stratum
    FROM caption JOIN caption_score USING (sample_id) JOIN caption_candidate USING (sample_id, n)
    WHERE trim(candidate_caption) <> ''
    QUALIFY row_number() OVER (PARTITION BY sample_id, candidate_caption ORDER BY n) = 1
"""
_GPE = f"""
    SELECT sample_id AS item, sample_id, {_NO_OTHER},
           CASE WHEN bool_or(place IS NOT NULL) THEN 'kept' ELSE 'rejected' END AS decision,
           CASE count(place) WHEN 0 THEN 'no place found' WHEN 1 THEN 'one place found'
                ELSE 'several places found' END AS stratum
    FROM place GROUP BY sample_id
"""
_MARKED = """
    SELECT sample_id || ' ' || evaluation_set || ' ' || evaluation_split AS item, 'marked' AS decision, sample_id,
           evaluation_set || '/' || evaluation_path AS other_id,
           json_object('measure', measure, 'match_distance', match_distance, 'match_variant', match_variant,
                       'match_correlation', match_correlation, 'n_inliers', n_inliers)::VARCHAR AS facts,
           CASE measure WHEN 'pixels' THEN 'equal pixels' WHEN 'keypoints' THEN 'agreeing keypoints' ELSE 'near hash'
               || CASE WHEN match_correlation < {limit} + {near} THEN ', near the limit' ELSE '' END END AS stratum
    FROM contaminated
"""
_CAPTIONS = "SELECT sample_id AS item, caption AS text FROM candidate"
_TEXTS = {
    "audit_filter": _CAPTIONS,
    "audit_gpe": _CAPTIONS,
    "audit_caption": "SELECT sample_id || ' ' || n AS item, candidate_caption AS text FROM caption_candidate",
    "rating rs3": "SELECT sample_id AS item, generated_caption AS text FROM caption",
    "rating pub11": _CAPTIONS,
}
_QUERIES = {
    "rating rs3": _RATED_RS3,
    "rating pub11": _RATED_PUB11,
    "audit_filter": _FILTER,
    "audit_outliers": _OUTLIERS,
    "audit_caption": _CAPTION,
    "audit_gpe": _GPE,
}
# By task: the last table that it needs. Pictures are shown if the question is about them.
_NEEDS = {
    "rating rs3": "caption",
    "rating pub11": "relevant",
    "audit_filter": "candidate",
    "audit_outliers": "relevant",
    "audit_dedup": "survivor",
    "audit_contamination": "contaminated",
    "audit_caption": "caption",
    "audit_gpe": "place",
}
_WITHOUT_PICTURES = ("audit_filter", "audit_gpe")


def has_pictures(name: str) -> bool:
    """Return whether the items of a task are shown with their pictures."""
    return name not in _WITHOUT_PICTURES


def text_query(name: str) -> str | None:
    """Return SQL for each item's text; None if the task shows no text."""
    return _TEXTS.get(name)


def item_query(ledger: Ledger, db: duckdb.DuckDBPyConnection, name: str, seed: str) -> str:
    """Return SQL for all items of a task.

    Args:
        ledger: the build.
        db: a database with a view of each table, to which tables may be added.
        name: name of the task; for ratings followed by the half.
        seed: seed that chooses the kept samples to compare with all others.

    Raises:
        InputError: the table that the task needs has no rows yet, or only stale ones.
    """
    writer = ledger.writer[_NEEDS[name]]
    if not ledger.state(writer).receipts:
        raise InputError(f"{_NEEDS[name]} has no current rows in this build: run `make stage-{writer.module}` first")
    if name in _QUERIES:
        return _QUERIES[name]
    if name == "audit_contamination":
        params = ledger.settings.params(ledger.writer["contaminated"])
        return _MARKED.format(limit=params.min_correlation, near=NEAR_SHARE)  # type: ignore[attr-defined]
    limit = ledger.settings.params(ledger.writer["cluster_member"]).max_distance  # type: ignore[attr-defined]
    bits = int(NEAR_SHARE * 64)
    nearest_kept(db, seed)
    return f"{_REMOVED.format(limit=limit, bits=bits)} UNION ALL BY NAME {_NOT_REMOVED.format(limit=limit, bits=bits)}"


def rated_halves(ledger: Ledger) -> Sequence[str]:
    """Return the halves with captions to rate, RS3 first, since the published rating is of its captions."""
    return [half for half in ("rs3", "pub11") if _n_rows(ledger, _NEEDS[f"rating {half}"])]


def _n_rows(ledger: Ledger, table: str) -> int:
    return sum(receipt.n_kept for receipt in ledger.state(ledger.writer[table]).receipts)
