from flows.ask.tars import tar_digests
from flows.run.withdraw import outcome
from tests.small_build import Build


def test_tars_of_other_settings_are_not_called_missing(finished: Build) -> None:
    other = finished.with_settings(shard={"val_share": 0.5}).ledger()
    assert tar_digests(other) == {}
    lines = list(outcome(other, {"laion2b_0_18"}, {}))
    assert len(lines) == 2 and "of other settings or an earlier version" in lines[1] and "`make build`" in lines[1]


def test_an_entry_that_matches_nothing_is_named_and_no_other_line_is_printed(finished: Build) -> None:
    ledger = finished.ledger()
    assert list(outcome(ledger, {"laion2b_99_9"}, tar_digests(ledger)))[1:] == [
        "no sample to publish matches 1 entry: laion2b_99_9",
        "no tar has changed",
    ]
