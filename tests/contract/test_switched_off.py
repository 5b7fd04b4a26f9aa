"""A build with only one of the two outlier models."""

from pathlib import Path

import pytest

from flows.ask.dataset import all_reports
from flows.ask.explain import explain
from flows.ask.fates import write_fates
from flows.ask.status import status_report
from flows.ledger.verify import How, verify
from flows.preflight.forecast import Forecaster
from flows.run.executor import InlineExecutor
from tests.small_build import Build, contents


@pytest.mark.parametrize(
    ("section", "setting", "off", "other"),
    [
        ("outliers", {"detector": "none"}, ("score_detector",), "low_vlm_score"),
        (
            "embed",
            {"model": "none"},
            ("embed_prompts", "embed", "score_vlm", "list_own_captions", "match_captions", "rank_matches"),
            "low_detector_prob",
        ),
    ],
)
def test_a_build_without_one_of_the_models_accounts_for_every_row(
    damaged: Build, tmp_path: Path, section: str, setting: dict[str, str], off: tuple[str, ...], other: str
) -> None:
    build = damaged.with_settings(**{section: setting})
    watcher = build.run(InlineExecutor())
    assert not {name for name, *_ in watcher.begun} & set(off)
    found = contents(build)
    n_given, kept, refused = (found[name].num_rows for name in ("survivor", "relevant", "relevant_rejects"))
    assert n_given == kept + refused and kept and refused
    assert set(found["relevant_rejects"]["reason"].to_pylist()) == {other}
    ledger = build.ledger()
    assert [fault for fault in verify(ledger, How(1)) if not isinstance(fault, str)] == []
    notes = {row["stage"]: row["note"] for row in status_report(ledger).rows}
    name = f"{section}.{next(iter(setting))} = none"
    assert {stage: note for stage, note in notes.items() if note} == dict.fromkeys(off, f"off: {name}")
    shown = "\n".join(explain(ledger, "cc3m_0_0", build.sources))
    assert f"{off[-1]}: off: {name}" in shown and "published in" in shown
    assert sum(write_fates(ledger, tmp_path / "fates.csv").values()) == len(build.rows("sample"))
    assert len([report for report in all_reports(ledger) if report.rows]) > 20
    costs = {one.stage: one for one in Forecaster(ledger, {}, 0, tmp_path).forecast()}
    assert all(costs[stage].n_rows == 0 for stage in off) and costs["drop_outliers"].n_rows == n_given
