from pathlib import Path

from flows.ask.status import status_report
from flows.ledger.garbage import collect_garbage
from flows.run.executor import InlineExecutor
from tests.small_build import Build, assert_same_contents, contents


def status(build: Build) -> dict[object, dict[str, object]]:
    return {row["stage"]: dict(row) for row in status_report(build.ledger()).rows}


def files(build: Build) -> set[Path]:
    found = {p.relative_to(build.root) for p in build.root.rglob("*") if p.is_file()}
    return {p for p in found if not any(part.startswith(".") for part in p.parts)}


def test_garbage_is_exactly_the_files_that_no_receipt_names(finished: Build, damaged: Build) -> None:
    before = files(damaged)
    assert collect_garbage(damaged.ledger(), is_dry_run=False) == (0, 0, [])
    assert files(damaged) == before
    receipt = damaged.ledger().state(damaged.stage("screen")).receipts[0]
    strays = [
        damaged.root / receipt.folder / "abandoned.kept.parquet",
        damaged.root / receipt.folder / "receipt.json.damaged-1",
        damaged.root / "image/000-00000/0123456789ab/half.kept.parquet",
    ]
    for stray in strays:
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_bytes(b"rubbish")
    assert collect_garbage(damaged.ledger(), is_dry_run=True)[:2] == (3, 21)
    assert all(stray.exists() for stray in strays)
    assert collect_garbage(damaged.ledger(), is_dry_run=False)[:2] == (3, 21)
    assert files(damaged) == before
    assert_same_contents(contents(finished), contents(damaged))


def test_results_of_other_settings_are_garbage_once_the_new_ones_are_finished(damaged: Build) -> None:
    other = damaged.with_settings(dedup={"max_distance": 3})
    n_files, _, notes = collect_garbage(other.ledger(), is_dry_run=True)
    assert n_files == 0
    assert len(notes) == 1 and notes[0].startswith("nothing removed of what is not complete: find_pairs, ")
    other.run(InlineExecutor())
    n_files, n_bytes, notes = collect_garbage(other.ledger(), is_dry_run=False)
    assert n_files >= 2 and n_bytes > 0 and notes == []
    assert status(damaged)["cluster"]["done"] == 0
    assert status(damaged)["download"]["done"] == 3, "observations are never removed"
    kept = contents(other)
    assert kept["shard_tars"] and kept["pair_tars"]
