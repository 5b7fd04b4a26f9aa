"""Compare a build with a release, image by image: same bytes, re-encoded, other picture, or gone.

The release is read by `flows/ask/released.py`; lists are compared by `flows/ask/compare.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.ask.compare import NOT_A_CANDIDATE, csv_safe
from flows.ask.fates import fates_query
from flows.ask.released import AGAIN, UNREADABLE, decode_images, read_release
from flows.ask.report import Report, query_report
from flows.ask.views import open_views, scalar
from flows.ledger.ledger import Ledger
from stages.contract import ContractError, InputError
from stages.rows import quote_text

RELATIONS = ("same bytes", "re-encoded", "other picture", "gone", AGAIN, UNREADABLE)


def compare_release(
    ledger: Ledger, release: Path, out: Path, open_other: Callable[[Path], Ledger]
) -> tuple[Report, Report]:
    """Write the relation of every released sample to a CSV; return its table by corpus, and that of the build.

    Samples are matched by name. An image has the same bytes if its sha256 is that of the build's published file or of
    the body it was made from; it is re-encoded if the pixels are equal, or the perceptual hashes as near as duplicates
    of the build. Of released tars only images with other bytes are decoded.

    Raises:
        InputError: the build is not finished, or the release cannot be read.
        ContractError: not every released row is counted exactly once.
    """
    if not ledger.state(ledger.writer["metafile"]).is_complete:
        raise InputError(f"{ledger.store.root} is not finished: run `make build` first")
    released = read_release(release, open_other)
    of_dedup = (ledger.settings.params(stage) for stage in ledger.stages if stage.module == "dedup")
    dedup: Any = next(
        params for params in of_dedup if hasattr(params, "max_distance") and hasattr(params, "min_detail")
    )
    with open_views(ledger) as db:
        db.register("released", released)
        db.execute(f"CREATE TEMP TABLE fate AS {fates_query(ledger)}")
        db.execute(f"CREATE TEMP TABLE own AS {_OWN}")
        changed = db.sql(_CHANGED).to_arrow_table()
        db.register("decoded", decode_images(changed))
        db.execute(f"CREATE TEMP TABLE relation AS {_related(dedup.max_distance, dedup.min_detail)}")
        if scalar(db, "SELECT count(*) FROM relation") != released.num_rows:
            raise ContractError(f"{released.num_rows} samples are released, others are compared: run `make verify`")
        out.parent.mkdir(parents=True, exist_ok=True)
        db.execute(f"COPY ({_CSV}) TO {quote_text(str(out))} (FORMAT csv, HEADER)")
        of_release = query_report(db, "samples of the release", _OF_RELEASE)
        return of_release, query_report(db, "samples of this build", _NEW)


_OWN = """
    SELECT m.sample_id, m.corpus, m.published_sha256, i.body_sha256, i.pixel_sha256, i.phash, i.phash_detail
    FROM metafile m JOIN sample USING (sample_id) JOIN image i USING (image_id)
"""
_CHANGED = """
    SELECT r.* FROM released r JOIN own o USING (sample_id)
    WHERE r.fault IS NULL AND r.pixel_sha256 IS NULL AND r.published_sha256 NOT IN (o.published_sha256, o.body_sha256)
"""


def _related(max_distance: int, min_detail: float) -> str:
    """Return SQL for the relation of each released sample to the build's."""
    return f"""
        SELECT r.sample_id, coalesce(r.corpus, 'unknown') AS corpus,
               CASE WHEN r.fault IS NOT NULL THEN r.fault
                    WHEN o.sample_id IS NULL THEN 'gone'
                    WHEN r.published_sha256 IN (o.published_sha256, o.body_sha256) THEN 'same bytes'
                    WHEN coalesce(r.pixel_sha256, d.pixel_sha256) = o.pixel_sha256
                      OR (bit_count(xor(coalesce(r.phash, d.phash), o.phash)) <= {max_distance}
                          AND o.phash_detail >= {min_detail}) THEN 're-encoded'
                    ELSE 'other picture' END AS relation,
               CASE WHEN o.sample_id IS NULL THEN f.stage END AS stage,
               CASE WHEN o.sample_id IS NULL AND r.fault IS NULL THEN coalesce(f.reason, '{NOT_A_CANDIDATE}') END
                   AS reason,
               r.published_sha256 AS released_sha256, o.published_sha256
        FROM released r LEFT JOIN own o ON o.sample_id = r.sample_id AND r.fault IS NULL
        LEFT JOIN (SELECT DISTINCT ON (sample_id) sample_id, pixel_sha256, phash FROM decoded) d
            ON d.sample_id = r.sample_id AND r.fault IS NULL
        LEFT JOIN fate f ON f.sample_id = r.sample_id AND r.fault IS NULL
    """


_CSV = f"""
    SELECT {csv_safe("sample_id")}, corpus, relation, stage, reason, released_sha256, published_sha256
    FROM relation ORDER BY relation.sample_id, relation
"""
_COUNTS = ", ".join(f"count(*) FILTER (relation = '{name}') AS \"{name}\"" for name in RELATIONS)
_OF_RELEASE = f"""
    WITH reasons AS (
        SELECT coalesce(corpus, 'Total') AS corpus, concat_ws(': ', stage, reason) AS why, count(*) AS n FROM relation
        WHERE relation = 'gone' GROUP BY GROUPING SETS ((corpus, stage, reason), (stage, reason))
    ), explained AS (
        SELECT corpus, string_agg(format('{{}} {{:,}}', why, n), ', ' ORDER BY n DESC, why) AS "why gone"
        FROM reasons GROUP BY corpus
    ), counted AS (
        SELECT coalesce(corpus, 'Total') AS corpus, count(*) AS released, {_COUNTS}
        FROM relation GROUP BY ROLLUP (corpus)
    )
    SELECT counted.*, "why gone" FROM counted LEFT JOIN explained USING (corpus) ORDER BY corpus = 'Total', corpus
"""
_NEW = """
    SELECT coalesce(corpus, 'Total') AS corpus, count(*) AS published, count(*) FILTER (is_released) AS released,
           count(*) FILTER (NOT is_released) AS new
    FROM (SELECT corpus, sample_id IN (SELECT sample_id FROM released WHERE fault IS NULL) AS is_released FROM own)
    GROUP BY ROLLUP (corpus) ORDER BY corpus = 'Total', 1
"""
