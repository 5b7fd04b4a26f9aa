"""Every sample's fate: the stage that decided, and why."""

from __future__ import annotations

from pathlib import Path

from flows.ledger import Ledger
from flows.report import write_csv
from flows.views import open_views, scalar
from stages.contract import ContractError, InputError

# The rows of a table that belong to a sample, by the first column of the table's key.
OF_SAMPLE = {
    "sample_id": "t.sample_id = s.sample_id",
    "fetch_id": "t.fetch_id = s.image_id",
    "image_id": "t.image_id = s.image_id",
    "pixel_sha256": "t.pixel_sha256 = s.pixel_sha256",
    "caption_id": "t.caption_id = s.caption_id",
}
SAMPLE_KEYS = ("sample_id", "fetch_id", "image_id")
# A sample of either half under every name that a table may know it by.
SAMPLES = """
    SELECT c.sample_id, p.fetch_id AS image_id, i.pixel_sha256, left(sha256(c.caption), 32) AS caption_id
    FROM candidate c LEFT JOIN planned p USING (sample_id) LEFT JOIN image i ON i.image_id = p.fetch_id
    UNION ALL
    SELECT sample_id, sample_id, i.pixel_sha256, NULL
    FROM (SELECT sample_id FROM labelled_image UNION ALL SELECT sample_id FROM labelled_image_rejects)
    LEFT JOIN image i ON i.image_id = sample_id
"""


def write_fates(ledger: Ledger, out: Path) -> dict[str, int]:
    """Write one row per candidate and labelled image: the stage that decided, and why; return rows by fate.

    Raises:
        InputError: when the build is not finished up to its tars.
        ContractError: when a sample has no fate, or two.
    """
    last = ledger.writer["shard"]
    state = ledger.state(last)
    if not state.is_complete:
        raise InputError(f"fates need a finished build: {state.blocked or ledger.describe_due(state)}")
    with open_views(ledger) as db:
        db.execute(f"CREATE TEMP TABLE fates AS {fates_query(ledger)}")
        n_samples = scalar(db, f"SELECT count(*) FROM ({SAMPLES})")
        n_fates = scalar(db, "SELECT count(*) FROM fates")
        if not n_fates == n_samples == scalar(db, "SELECT count(DISTINCT sample_id) FROM fates"):
            raise ContractError(f"{n_samples} samples, {n_fates} fates: run `make verify`")
        out.parent.mkdir(parents=True, exist_ok=True)
        write_csv(db.execute("SELECT * FROM fates ORDER BY sample_id"), out)
        return dict(db.execute("SELECT fate, count(*) FROM fates GROUP BY fate").fetchall())


def fates_query(ledger: Ledger) -> str:
    """Return SQL for the fate of every sample on which a stage has decided, over the views of a build."""
    decided = []
    for stage in ledger.stages:
        condition = OF_SAMPLE.get(stage.writes.key[0])
        if condition is None or stage.grain in ("count", "observe") or not stage.reasons:
            continue
        # A picture without a score is refused as a sample by drop_outliers; a drawn caption is no sample.
        if stage.writes.key[0] not in SAMPLE_KEYS:
            continue
        decided.append(
            f"SELECT DISTINCT s.sample_id, '{stage.name}' AS stage, 'rejected' AS fate, t.reason, t.detail"
            f' FROM "{stage.writes.name}_rejects" t JOIN s ON {condition}'
        )
    decided.append("SELECT sample_id, 'write_shards', 'kept', '', '' FROM shard")
    return f"""
        WITH s AS ({SAMPLES}), decided AS ({" UNION ALL ".join(decided)})
        SELECT s.sample_id, split_part(s.sample_id, '_', 1) AS corpus, coalesce(c.url, '') AS url, d.stage, d.fate,
               d.reason, d.detail, CASE WHEN d.stage = 'drop_duplicates' THEN u.survivor_id ELSE '' END AS survivor
        FROM s JOIN decided d USING (sample_id) LEFT JOIN candidate c USING (sample_id)
        LEFT JOIN duplicate u USING (sample_id)
        ORDER BY s.sample_id
    """
