"""A small partition for tests that write one and read it back."""

from pathlib import Path

import pyarrow as pa

from flows.ledger.attempt import Attempt
from flows.ledger.receipt import Receipt
from flows.ledger.store import Store
from stages.contract import Outcome, rejects_table
from tests.contract.broken import MADE

FINGERPRINT = "f" * 64
HEAD = {"table": "made", "partition": "p", "fingerprint": FINGERPRINT, "run": {}}


def outcome(text: str = "c", n: int = 3, files: tuple[Path, ...] = ()) -> Outcome:
    kept = pa.table({"sample_id": [f"a_0_{i}" for i in range(n)], "caption": [text] * n, "similarity": [0.5] * n})
    rejects = rejects_table(MADE, {"sample_id": ["a_0_9"]}, ["not_an_image"], ["odd"])
    return Outcome(kept.cast(MADE.schema), rejects, files=files)


def commit(root: Path, text: str = "c", with_tar: bool = False) -> Receipt:
    store = Store(root)
    with Attempt(store, MADE, "p", FINGERPRINT) as attempt:
        files = ()
        if with_tar:
            tar = attempt.new_file("tar")
            tar.write_bytes(b"0123456789")
            files = (tar,)
        return attempt.commit(outcome(text, files=files), "", HEAD)


def receipt_of(root: Path) -> Receipt | None:
    return Store(root).receipt("made", "p", FINGERPRINT)


def names(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*") if path.is_file()}
