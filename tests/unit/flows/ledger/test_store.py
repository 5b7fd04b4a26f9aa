from pathlib import Path

import pyarrow as pa
import pytest

from flows.ledger.attempt import Attempt
from flows.ledger.receipt import observation_fingerprint
from flows.ledger.store import Store
from stages.contract import InputError
from tests.contract.broken import MADE
from tests.unit.flows.ledger.made import FINGERPRINT, HEAD, commit, outcome, receipt_of


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", ".hidden", "ä", "x" * 200])
def test_a_partition_name_that_is_not_a_plain_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a folder name"):
        Store(tmp_path).folder("made", name, FINGERPRINT)


def look(root: Path, number: str) -> None:
    fingerprint = observation_fingerprint("look", number)
    head = {**HEAD, "partition": number, "fingerprint": fingerprint}
    with Attempt(Store(root), MADE, number, fingerprint) as attempt:
        attempt.commit(outcome(), "", head)


def test_observations_are_numbered_and_a_gap_is_refused(tmp_path: Path) -> None:
    for number in ("000", "001"):
        look(tmp_path, number)
    assert [r.partition for r in Store(tmp_path).observations("made", "look")] == ["000", "001"]
    look(tmp_path, "003")
    with pytest.raises(InputError, match="made/002 is damaged or was removed"):
        Store(tmp_path).observations("made", "look")


def test_a_damaged_observation_is_refused_and_not_taken_for_missing(tmp_path: Path) -> None:
    look(tmp_path, "000")
    receipt = next(tmp_path.rglob("receipt.json"))
    receipt.write_bytes(receipt.read_bytes()[:-1])
    with pytest.raises(InputError, match="made/000 is damaged"):
        Store(tmp_path).observations("made", "look")


def test_a_receipt_counts_only_where_it_belongs(tmp_path: Path) -> None:
    made = commit(tmp_path)
    other = "e" * 64
    (tmp_path / "made" / "p" / FINGERPRINT[:12]).rename(tmp_path / "made" / "p" / other[:12])
    assert Store(tmp_path).receipt("made", "p", other) is None
    assert made.fingerprint == FINGERPRINT


def test_folders_that_are_not_ours_are_not_listed(tmp_path: Path) -> None:
    made = commit(tmp_path)
    (tmp_path / "made" / "p" / "notes").mkdir()
    (tmp_path / "home" / "a" / "0123456789ab").mkdir(parents=True)
    assert list(Store(tmp_path).folders(["made"])) == [tmp_path / made.folder]


def test_reading_a_location_says_what_is_missing(tmp_path: Path) -> None:
    made = commit(tmp_path, with_tar=True)
    address = f"{made.folder}/tar"
    with Attempt(Store(tmp_path), MADE, "q", FINGERPRINT) as attempt:
        assert attempt.address(attempt.new_file("a.tar")) == f"made/q/{FINGERPRINT[:12]}/a.tar"
        assert attempt.read(address, 2, 3) == b"234"
        with pytest.raises(InputError, match="should hold 9 bytes at 5, found 5: it was deleted or cut"):
            attempt.read(address, 5, 9)
        with pytest.raises(InputError, match="found 0"):
            attempt.read("made/p/nowhere/tar", 0, 1)


def test_a_receipt_is_read_once_until_all_are_forgotten(tmp_path: Path) -> None:
    made, store = commit(tmp_path), Store(tmp_path)
    assert store.receipt("made", "p", FINGERPRINT) is store.receipt("made", "p", FINGERPRINT)
    (store.path(made.folder) / "receipt.json").unlink()
    assert store.receipt("made", "p", FINGERPRINT) is not None
    store.forget_all()
    assert store.receipt("made", "p", FINGERPRINT) is None


def test_a_location_leads_to_the_file_of_the_current_receipt(tmp_path: Path) -> None:
    made = commit(tmp_path, with_tar=True)
    (tmp_path / made.folder / made.body["files"][0]["file"]).unlink()
    commit(tmp_path, "again", with_tar=True)
    with Attempt(Store(tmp_path), MADE, "q", FINGERPRINT) as attempt:
        assert attempt.read(f"{made.folder}/tar", 0, 10) == b"0123456789"


def test_a_failure_is_recorded_beside_a_partition_without_a_receipt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.folder("made", "p", FINGERPRINT)
    assert store.failure(folder) is None
    store.note_failure(folder, "the disk is away")
    assert store.failure(folder) == "the disk is away"
    assert receipt_of(tmp_path) is None


def test_a_page_that_was_changed_under_a_receipt_is_not_read(tmp_path: Path) -> None:
    made = commit(tmp_path)
    path = tmp_path / made.kept_file
    data = bytearray(path.read_bytes())
    data[12] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises((OSError, pa.ArrowException)):
        Store(tmp_path).read_spans([(made.kept_file, 0, -1)], MADE.schema)
