from pathlib import Path

import pyarrow as pa
import pytest

from flows.ledger.attempt import Attempt
from flows.ledger.digests import digest_columns
from flows.ledger.receipt import read_receipt
from flows.ledger.store import Store
from stages.contract import Outcome, no_rejects
from tests.contract.broken import GIVEN, MADE
from tests.unit.flows.ledger.made import FINGERPRINT, HEAD, commit, names, outcome, receipt_of


def test_a_committed_partition_is_read_back_unchanged(tmp_path: Path) -> None:
    made = commit(tmp_path, with_tar=True)
    found = receipt_of(tmp_path)
    assert found is not None and found.body == made.body
    assert (found.n_kept, found.reasons, found.partition) == (3, {"not_an_image": 1}, "p")
    store = Store(tmp_path)
    assert store.read_spans([(found.kept_file, 0, -1)], MADE.schema).equals(outcome().kept)
    assert store.read_spans([(found.rejects_file or "", 0, -1)], MADE.reject_schema).equals(outcome().rejects)
    assert found.spans["p"].digests == digest_columns(outcome().kept)
    assert names(tmp_path) == {"receipt.json", *(file["file"] for file in found.files)}
    assert found.n_bytes == sum(
        p.stat().st_size for p in tmp_path.rglob("*") if p.is_file() and p.name != "receipt.json"
    )


def test_the_first_writer_wins_and_the_second_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    head = HEAD
    with Attempt(store, MADE, "p", FINGERPRINT) as one, Attempt(store, MADE, "p", FINGERPRINT) as other:
        first = other.commit(outcome("first"), "", head)
        second = one.commit(outcome("second"), "", head)
    assert second.body == first.body
    found = receipt_of(tmp_path)
    assert found is not None
    rows = store.read_spans([(found.kept_file, 0, -1)], MADE.schema)
    assert rows["caption"].to_pylist() == ["first"] * 3
    assert names(tmp_path) == {"receipt.json", *(file["file"] for file in first.files)}


def test_an_attempt_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Attempt(Store(tmp_path), MADE, "p", FINGERPRINT) as attempt:
        attempt.new_file("tar").write_bytes(b"half")
        (attempt.work() / "scratch").write_bytes(b"x")
        raise RuntimeError
    assert names(tmp_path) == set()
    assert receipt_of(tmp_path) is None


def test_a_file_that_no_receipt_names_does_not_exist(tmp_path: Path) -> None:
    made = commit(tmp_path)
    folder = tmp_path / made.folder
    (folder / "receipt.json").unlink()
    assert receipt_of(tmp_path) is None
    assert Store(tmp_path).fingerprints("made", "p") == []
    again = commit(tmp_path, "again")
    assert receipt_of(tmp_path) is not None and again.body["attempt"] != made.body["attempt"]


@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "swapped", "binary"])
def test_a_damaged_receipt_counts_as_missing_and_the_next_attempt_replaces_it(tmp_path: Path, damage: str) -> None:
    made = commit(tmp_path)
    path = tmp_path / made.folder / "receipt.json"
    whole = path.read_bytes()
    changed = {
        "cut": whole[:-20], "empty": b"", "changed": whole.replace(b'"n_rows": 3', b'"n_rows": 4'),
        "swapped": whole.replace(b"not_an_image", b"empty_file"), "binary": bytes(range(256)) * 4,
    }[damage]  # fmt: skip
    assert changed != whole
    path.write_bytes(changed)
    assert receipt_of(tmp_path) is None
    assert isinstance(read_receipt(path), str)
    commit(tmp_path, "again")
    found = receipt_of(tmp_path)
    assert found is not None and found.body["attempt"] != made.body["attempt"]
    assert [name for name in names(tmp_path) if name.startswith("receipt.json.damaged-")]


@pytest.mark.parametrize("which", ["kept", "rejects", "tar"])
@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_a_lost_or_cut_data_file_makes_the_receipt_void_and_the_next_attempt_replaces_it(
    tmp_path: Path, which: str, damage: str
) -> None:
    made = commit(tmp_path, with_tar=True)
    name = made.body["files"][0]["file"] if which == "tar" else made.body[which]["file"]
    path = tmp_path / made.folder / name
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    assert receipt_of(tmp_path) is None
    commit(tmp_path, "again", with_tar=True)
    found = receipt_of(tmp_path)
    assert found is not None
    assert found.body["attempt"] != made.body["attempt"]
    assert Store(tmp_path).read_spans([(found.kept_file, 0, -1)], MADE.schema)["caption"].to_pylist() == ["again"] * 3


def test_spans_are_consecutive_row_groups_sorted_by_name(tmp_path: Path) -> None:
    kept = pa.table(
        {
            "sample_id": ["d", "a", "c", "b"],
            "source_row": [0, 1, 2, 3],
            "url": ["u"] * 4,
            "partition": ["y", "x", "y", "z"],
        }
    ).cast(GIVEN.schema)
    store = Store(tmp_path)
    with Attempt(store, GIVEN, "whole", FINGERPRINT) as attempt:
        head = {**HEAD, "table": "given", "partition": "whole"}
        receipt = attempt.commit(Outcome(kept, no_rejects(GIVEN)), "partition", head)
    assert list(receipt.spans) == ["x", "y", "z"]
    assert receipt.rejects_file is None
    schema = pa.schema([GIVEN.schema.field("sample_id")])
    found = {
        name: store.read_spans([(receipt.kept_file, p.first_group, p.n_groups)], schema)["sample_id"].to_pylist()
        for name, p in receipt.spans.items()
    }
    assert found == {"x": ["a"], "y": ["d", "c"], "z": ["b"]}
    assert "peer_address" not in receipt.spans["x"].digests


def test_a_partition_without_rows_has_one_span_and_a_receipt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Attempt(store, MADE, "p", FINGERPRINT) as attempt:
        empty = Outcome(MADE.schema.empty_table(), no_rejects(MADE))
        attempt.commit(empty, "", HEAD)
    found = receipt_of(tmp_path)
    assert found is not None and found.spans["p"].n_rows == 0 == found.n_kept
