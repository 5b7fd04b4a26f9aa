from pathlib import Path

from flows.ask.tars import tar_digests
from flows.ledger.ledger import Ledger
from flows.run.executor import InlineExecutor
from flows.run.withdraw import outcome, was_interrupted
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


def withdraw(build: Build, folder: Path, *entries: str) -> Build:
    """Return a build whose entries are recorded, and whose tars still hold what they name."""
    listed = folder / "list.txt"
    listed.write_text("".join(f"{entry}\n" for entry in entries))
    build.with_settings(withdraw={"add": str(listed)}).run(InlineExecutor(), ["withdraw"])
    return build


def test_a_withdrawal_that_was_interrupted_is_told_from_tars_of_other_settings(damaged: Build, tmp_path: Path) -> None:
    assert tar_digests(damaged.ledger())
    withdraw(damaged, tmp_path, damaged.rows("shard", ["sample_id"])[0]["sample_id"])
    assert tar_digests(damaged.ledger()) == {}
    assert was_interrupted(damaged.ledger())
    assert not was_interrupted(damaged.with_settings(shard={"val_share": 0.5}).ledger())
    assert not was_interrupted(damaged.with_settings(dedup={"max_distance": 1}).ledger())  # more than the tars is due


def test_a_sample_that_an_earlier_list_took_out_is_named_as_such(damaged: Build, tmp_path: Path) -> None:
    rows = {row["sample_id"]: row["normalised_url"] for row in damaged.rows("planned", ["sample_id", "normalised_url"])}
    published = [row["sample_id"] for row in damaged.rows("shard", ["sample_id"])]
    # The entry that comes first in the alphabet is recorded: a URL before this name.
    by_url, by_name = [name for name in published if name.startswith("laion2b")][:2]
    before = tar_digests(damaged.ledger())
    withdraw(damaged, tmp_path, rows[by_url])
    withdraw(damaged, tmp_path, by_url, by_name).run(InlineExecutor(), ["shard"])
    _, found, others, new, *_ = lines_of(damaged.ledger(), {by_url, by_name}, before)
    assert found == "1 sample withdrawn by 1 of the entries"
    assert others == f"withdrawn by other entries before: {by_url}"
    assert new.startswith("new tars, ")
    again = lines_of(damaged.ledger(), {by_url}, tar_digests(damaged.ledger()))
    assert again[1:] == [others, "no tar has changed"]


def lines_of(ledger: Ledger, entries: set[str], before: dict[str, str]) -> list[str]:
    return list(outcome(ledger, entries, before))
