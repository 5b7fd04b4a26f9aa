from pathlib import Path

import pytest

from flows.ask.status import failures, status_report
from flows.run.runner import StageFailure
from tests.contract.laws import run_toy, toy_build
from tests.small_build import Build


def status(build: Build) -> dict[object, dict[str, object]]:
    return {row["stage"]: dict(row) for row in status_report(build.ledger()).rows}


def test_status_counts_partitions_and_rows_of_a_finished_build(finished: Build) -> None:
    found = status(finished)
    assert list(found) == [stage.name for stage in finished.stages]
    assert {(row["missing"], row["stale"], row["failed"], row["note"]) for row in found.values()} == {(0, 0, 0, "")}
    assert (found["plan"]["done"], found["plan"]["kept"], found["plan"]["rejected"]) == (4, 52, 2)


def test_status_distinguishes_missing_stale_and_failed_partitions(damaged: Build, tmp_path: Path) -> None:
    stale = status(damaged.with_settings(dedup={"max_distance": 3}))
    found = stale["find_pairs"]
    assert (found["stale"], found["missing"], found["done"]) == (1, 0, 0)
    notes = [str(row["note"]) for row in stale.values() if row["note"]]
    assert "run `make stage-dedup` first" in notes[0], "the first stage that waits says what for"
    assert stale["drop_duplicates"]["note"] == "waits: see compare_pairs"
    assert len({note for note in notes if "see " not in note}) == sum("see " not in note for note in notes)
    receipt = damaged.ledger().state(damaged.stage("plan")).receipts[0]
    (damaged.root / receipt.folder / "receipt.json").unlink()
    assert (status(damaged)["plan"]["missing"], status(damaged)["plan"]["done"]) == (1, 3)
    toy = toy_build("RAISES_INPUT_ERROR", tmp_path / "toy")
    with pytest.raises(StageFailure):
        run_toy(toy)
    assert (status(toy)["make"]["failed"], status(toy)["make"]["done"]) == (1, 1)
    assert list(failures(toy.ledger())) == [
        ("make/part-00", "the file is not as expected: found nothing; put one there")
    ]


def test_status_of_an_empty_build_says_what_to_run_first(small_sources: Path, tmp_path: Path) -> None:
    found = status(Build(tmp_path / "build", small_sources))
    assert {row["done"] for row in found.values()} == {0}
    assert found["list_sources"]["note"] == "run `make stage-inventory`"
    assert "run `make stage-inventory` first" in str(found["inventory"]["note"])
    assert found["filter"]["note"] == "waits: see inventory"
