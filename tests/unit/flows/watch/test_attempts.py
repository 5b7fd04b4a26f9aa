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


@pytest.fixture
def taken(tmp_path: Path) -> Attempts:
    store = Store(tmp_path)
    of_pass = [
        {
            "fetch_id": f,
            "pass": 0,
            "normalised_url": f"http://{host}/{f}",
            "host": host,
            "is_withdrawn": False,
            "partition": "000-00000",
        }
        for f, host, _, _ in URLS
    ]
    attempts = [
        {"fetch_id": f, "pass": 0, "is_fetched": reason is None, "fetch_reason": reason, "n_bytes": n}
        for f, _, reason, n in URLS
    ]
    reported = store.receipt(FETCH_PASS.name, "000", write(store, FETCH_PASS, "000", of_pass))
    assert reported is not None
    fingerprint = write(store, FETCH_ATTEMPT, "000-00000", attempts)
    pieces = {"fetch_pass": [Piece("000", reported.kept_file, 0, len(reported.spans))]}
    task = Task("download", "", "000-00000", fingerprint, {}, {}, pieces, {}, {}, 4, tmp_path, tmp_path)
    found = Attempts()
    found.take(store, task)
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
