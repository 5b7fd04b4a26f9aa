"""The fate of every sample: the stage that decided, and why."""

from __future__ import annotations

from pathlib import Path

from flows.ask.report import write_csv
from flows.ask.spine import known_by, samples_query
from flows.ask.views import open_views, scalar
from flows.ledger.ledger import Ledger
from stages.contract import ContractError, InputError
from stages.safety.hash_lists import HASH_LISTED


def write_fates(ledger: Ledger, out: Path) -> dict[str, int]:
    """Write one row per candidate and labelled image: the stage that decided, and why; return rows by fate.

    Raises:
        InputError: the build is not finished up to its tars.
        ContractError: a sample has no fate, or two.
    """
    last = ledger.writer["shard"]
    state = ledger.state(last)
    if not state.is_complete:
        raise InputError(f"fates need a finished build: {state.blocked or ledger.describe_due(state)}")
    with open_views(ledger) as db:
        db.execute(f"CREATE TEMP TABLE fates AS {fates_query(ledger)}")
        n_samples = scalar(db, f"SELECT count(*) FROM ({samples_query(ledger)})")
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
        samples = known_by(ledger, stage.writes.key[0])
        if samples is None or not stage.decides or stage.grain in ("count", "observe") or not stage.reasons:
            continue
        decided.append(
            f"SELECT DISTINCT s.sample_id, '{stage.name}' AS stage, 'rejected' AS fate, t.reason, t.detail"
            f' FROM "{stage.writes.name}_rejects" t JOIN ({samples}) s USING ("{stage.writes.key[0]}")'
        )
    decided.append("SELECT sample_id, 'write_shards', 'kept', '', '' FROM shard")
    return f"""
        WITH decided AS ({" UNION ALL ".join(decided)})
        SELECT s.sample_id, s.corpus,
               CASE WHEN d.reason = '{HASH_LISTED}' THEN '' ELSE coalesce(c.url, '') END AS url,
               d.stage, d.fate, d.reason, d.detail,
               CASE WHEN d.stage = 'drop_duplicates' THEN u.survivor_id ELSE '' END AS survivor
        FROM ({samples_query(ledger)}) s JOIN decided d USING (sample_id) LEFT JOIN candidate c USING (sample_id)
        LEFT JOIN cluster_member u USING (sample_id)
        ORDER BY s.sample_id
    """
