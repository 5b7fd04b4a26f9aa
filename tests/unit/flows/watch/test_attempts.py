from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flows.ledger.attempt import Attempt
from flows.ledger.ledger import Piece
from flows.ledger.store import Store
from flows.run.worker import Task
from flows.watch.attempts import Attempts
from schemas.tables import FETCH_ATTEMPT, FETCH_PASS
from stages.contract import Outcome, no_rejects

URLS = [  # fetch_id, host, reason, bytes
    ("a", "one.example", None, 1_000_000),
    ("b", "one.example", "http_not_found", None),
    ("c", "bad.example", "http_not_found", None),
    ("d", "bad.example", "timeout", None),
]


def write(store: Store, table: Any, partition: str, rows: list[dict[str, Any]]) -> str:
    """Publish rows as a partition; return the fingerprint."""
    fingerprint = partition.ljust(12, "0").encode().hex()
    schema = table.schema
    full = pa.table({f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in schema}, schema=schema)
    receipt = {"table": table.name, "partition": partition, "fingerprint": fingerprint, "run": {}}
    with Attempt(store, table, partition, fingerprint) as attempt:
        attempt.commit(Outcome(full, no_rejects(table)), "", receipt)
    return fingerprint


Row = tuple[str, str, str | None, int | None]


def take(found: Attempts, folder: Path, number: int, urls: list[Row]) -> None:
    """Add a pass of one partition to the figures."""
    store, name = Store(folder), f"{number:03d}"
    partition = f"{name}-00000"
    of_pass = [
        {
            "fetch_id": f,
            "pass": number,
            "normalised_url": f"http://{host}/{f}",
            "host": host,
            "is_withdrawn": False,
            "partition": partition,
        }
        for f, host, _, _ in urls
    ]
    attempts = [
        {"fetch_id": f, "pass": number, "is_fetched": reason is None, "fetch_reason": reason, "n_bytes": n}
        for f, _, reason, n in urls
    ]
    reported = store.receipt(FETCH_PASS.name, name, write(store, FETCH_PASS, name, of_pass))
    assert reported is not None
    fingerprint = write(store, FETCH_ATTEMPT, partition, attempts)
    pieces = {"fetch_pass": [Piece(name, reported.kept_file, 0, len(reported.spans))]}
    found.take(store, Task("download", "", partition, fingerprint, {}, {}, pieces, {}, {}, 4, folder, folder))


@pytest.fixture
def taken(tmp_path: Path) -> Attempts:
    found = Attempts()
    take(found, tmp_path, 0, URLS)
    return found


def test_refusals_are_counted_by_reason_and_by_host(taken: Attempts) -> None:
    assert (taken.n_tried, taken.n_fetched, taken.n_bytes) == (4, 1, 1_000_000)
    assert taken.reasons == {"http_not_found": 2, "timeout": 1}
    assert taken.refused.most_common() == [("bad.example", 2), ("one.example", 1)]
    assert taken.tried == {"one.example": 2, "bad.example": 2}


def test_the_line_has_success_rate_bytes_and_the_most_frequent_reasons(taken: Attempts) -> None:
    assert taken.words() == "1 of 4 URLs fetched (25.0%), 1.0 MB; http_not_found 2, timeout 1"
    text = taken.markdown().replace("\\", "")
    assert text.index("| bad.example | 2 | 2 |") < text.index("| one.example | 1 | 2 |")
    assert taken.worst() == "not fetched from bad.example 2 of 2, one.example 1 of 2"
    assert Attempts().words() == Attempts().worst() == ""


def test_a_url_of_several_passes_counts_once_by_its_last_attempt(taken: Attempts, tmp_path: Path) -> None:
    new: Row = ("e", "bad.example", "http_throttled", None)
    take(taken, tmp_path, 1, [("d", "bad.example", "connection_failed", None), new])
    assert (taken.n_tried, taken.n_fetched) == (5, 1)
    assert taken.reasons == {"http_not_found": 2, "connection_failed": 1, "http_throttled": 1}
    assert taken.tried == {"one.example": 2, "bad.example": 3}
    take(taken, tmp_path, 2, [("d", "bad.example", None, 500), ("e", "bad.example", None, 500)])
    assert taken.words() == "3 of 5 URLs fetched (60.0%), 1.0 MB; http_not_found 2"
    assert taken.worst() == "not fetched from one.example 1 of 2, bad.example 1 of 3"


def test_urls_that_an_earlier_run_tried_count_in_full(tmp_path: Path) -> None:
    found = Attempts()
    take(found, tmp_path, 3, [("d", "bad.example", "timeout", None)])
    take(found, tmp_path, 4, [("d", "bad.example", "timeout", None)])
    assert found.words() == "0 of 1 URLs fetched (0.0%), 0.0 kB; timeout 1"
    assert found.worst() == "not fetched from bad.example 1 of 1"
