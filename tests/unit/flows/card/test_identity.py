from typing import Any

from flows.card.identity import FINAL_MODULES, build_id, unfinished
from flows.ledger.ledger import Ledger
from flows.run.executor import InlineExecutor
from tests.small_build import Build


def test_tables_made_again_by_another_executor_at_another_time_have_the_same_id(damaged: Build) -> None:
    ledger = damaged.ledger()
    before = build_id(ledger)
    receipts = [r for stage in ledger.stages if stage.module in FINAL_MODULES for r in ledger.state(stage).receipts]
    for receipt in receipts:
        (damaged.root / receipt.folder / "receipt.json").unlink()
    assert build_id(damaged.ledger()) == ""
    damaged.with_settings(run={"workers": 1, "model_workers": 1}).run(InlineExecutor(), FINAL_MODULES)
    again = damaged.ledger().state(damaged.stage("write_shards")).receipts[0]
    assert again.body["run"] != next(r for r in receipts if r.partition == again.partition).body["run"]
    assert build_id(damaged.ledger()) == before
    assert len(before) == 64


def test_another_row_has_another_id_and_a_missing_table_none(damaged: Build) -> None:
    before = build_id(damaged.ledger())
    other = damaged.with_settings(shard={"text_separator": " | "})
    assert build_id(other.ledger()) == ""
    assert "plan_shards" in unfinished(other.ledger())
    other.run(InlineExecutor(), FINAL_MODULES)
    assert unfinished(other.ledger()) == []
    assert build_id(other.ledger()) not in ("", before)
    assert build_id(damaged.ledger()) == before


def test_the_id_depends_on_every_final_table_and_tar(finished: Build) -> None:
    ledger = finished.ledger()
    before = build_id(ledger)
    final = [stage for stage in ledger.stages if stage.module in FINAL_MODULES]
    assert len(final) > 10
    for stage in final:
        ledger.refresh()
        receipt = ledger.state(stage).receipts[0]  # one without rows has digests too
        digests = next(iter(receipt.body["kept"]["spans"].values()))["digests"]
        assert _while_changed(digests, stage.writes.key[0], ledger) != before, stage.name
    tar = next(r for r in ledger.state(ledger.writer["shard"]).receipts if r.n_kept).body["files"][0]
    assert _while_changed(tar, "sha256", ledger) != before
    times = ledger.state(ledger.writer["shard"]).receipts[0].body["run"]
    assert _while_changed(times, "host", ledger) == before == build_id(ledger)


def _while_changed(body: dict[str, Any], name: str, ledger: Ledger) -> str:
    """Return the id with a changed receipt, which is then restored."""
    kept, body[name] = body[name], "0" * 64
    try:
        return build_id(ledger)
    finally:
        body[name] = kept
