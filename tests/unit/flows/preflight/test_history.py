"""Costs and rows are read from receipts; each run has the pilot share of the listing before it."""

from collections.abc import Mapping
from pathlib import Path

from flows.ledger.receipt import encode_receipt
from flows.preflight.history import read_history
from stages import STAGES


def put(build: Path, stage: str, partition: str, started: float, **more: object) -> None:
    table = next(one.writes.name for one in STAGES if one.name == stage)
    folder = build / table / partition / f"{int(started):012x}"
    folder.mkdir(parents=True)
    run: Mapping[str, object] = {
        "started": started, "finished": started + 9, "cpu_s": 5.0, "tools_s": 2.0, "tools_cpu_s": 1.0,
        "host": "h", "pid": 7,
    }  # fmt: skip
    body = {
        "stage": stage, "partition": partition, "run": run, "params": {}, "counts": None,
        "kept": {"n_rows": 8, "file": "kept", "size_bytes": 100}, "files": [{"size_bytes": 1000}],
        "rejects": {"n_rows": 2, "file": None, "reasons": {"http_not_found": 2}}, **more,
    }  # fmt: skip
    (folder / "receipt.json").write_bytes(encode_receipt(body))


def test_rows_seconds_and_bytes_are_read_from_the_receipts(tmp_path: Path) -> None:
    put(tmp_path, "screen", "00000", 1.0)
    (one,) = read_history(tmp_path, STAGES)
    assert (one.n_rows, one.n_kept, one.cpu_s, one.wall_s, one.tools_cpu_s, one.n_bytes) == (10, 8, 4.0, 7.0, 1.0, 1100)
    assert (one.pilot, one.process, dict(one.reasons)) == (1.0, "h/7", {"http_not_found": 2})


def test_the_rows_of_the_filter_are_its_given_rows(tmp_path: Path) -> None:
    put(tmp_path, "filter", "cc3m-00000", 1.0, counts={"given": 500, "kept": 8, "outside_pilot": 70})
    (one,) = read_history(tmp_path, STAGES)
    assert (one.n_rows, one.reasons["outside_pilot"]) == (500, 70)


def test_a_run_belongs_to_the_listing_before_it(tmp_path: Path) -> None:
    put(tmp_path, "list_sources", "000", 10.0, params={"pilot": 0.1})
    put(tmp_path, "screen", "00000", 11.0)
    put(tmp_path, "list_sources", "001", 20.0, params={"pilot": 1.0})
    put(tmp_path, "screen", "00001", 21.0)
    assert [(run.stage, run.pilot) for run in read_history(tmp_path, STAGES)] == [
        ("list_sources", 0.1), ("screen", 0.1), ("list_sources", 1.0), ("screen", 1.0),
    ]  # fmt: skip


def test_a_receipt_that_is_damaged_or_without_cpu_seconds_is_ignored(tmp_path: Path) -> None:
    put(tmp_path, "screen", "00000", 1.0)
    put(tmp_path, "screen", "00001", 2.0, run={"started": 2.0, "finished": 3.0})
    path = next(tmp_path.glob("image/00000/*/receipt.json"))
    path.write_bytes(path.read_bytes()[:-5])
    assert read_history(tmp_path, STAGES) == []
    assert read_history(tmp_path / "nowhere", STAGES) == []
