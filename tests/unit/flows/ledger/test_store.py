import json
from pathlib import Path

import pyarrow as pa
import pytest

from flows.ledger.digests import digest_columns
from flows.ledger.receipt import Receipt, encode_receipt, observation_fingerprint, publish, read_receipt
from flows.ledger.store import Store
from stages.contract import InputError, Outcome, no_rejects, rejects_table
from tests.contract.broken import GIVEN, MADE

FINGERPRINT = "f" * 64
HEAD = {"table": "made", "partition": "p", "fingerprint": FINGERPRINT, "run": {}}


def outcome(text: str = "c", n: int = 3, files: tuple[Path, ...] = ()) -> Outcome:
    kept = pa.table({"sample_id": [f"a_0_{i}" for i in range(n)], "caption": [text] * n, "similarity": [0.5] * n})
    rejects = rejects_table(MADE, {"sample_id": ["a_0_9"]}, ["not_an_image"], ["odd"])
    return Outcome(kept.cast(MADE.schema), rejects, files=files)


def commit(root: Path, text: str = "c", with_tar: bool = False) -> Receipt:
    store = Store(root)
    with store.attempt(MADE, "p", FINGERPRINT) as attempt:
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


def test_a_committed_partition_reads_back_as_it_was(tmp_path: Path) -> None:
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
    with store.attempt(MADE, "p", FINGERPRINT) as one, store.attempt(MADE, "p", FINGERPRINT) as other:
        first = other.commit(outcome("first"), "", head)
        second = one.commit(outcome("second"), "", head)
    assert second.body == first.body
    found = receipt_of(tmp_path)
    assert found is not None
    rows = store.read_spans([(found.kept_file, 0, -1)], MADE.schema)
    assert rows["caption"].to_pylist() == ["first"] * 3
    assert names(tmp_path) == {"receipt.json", *(file["file"] for file in first.files)}


def test_an_attempt_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Store(tmp_path).attempt(MADE, "p", FINGERPRINT) as attempt:
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
def test_a_damaged_receipt_is_none_and_the_next_attempt_replaces_it(tmp_path: Path, damage: str) -> None:
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


def test_parts_are_runs_of_row_groups_in_the_order_of_their_names(tmp_path: Path) -> None:
    kept = pa.table(
        {
            "sample_id": ["d", "a", "c", "b"],
            "source_row": [0, 1, 2, 3],
            "url": ["u"] * 4,
            "partition": ["y", "x", "y", "z"],
        }
    ).cast(GIVEN.schema)
    store = Store(tmp_path)
    with store.attempt(GIVEN, "whole", FINGERPRINT) as attempt:
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


def test_a_partition_without_rows_has_one_part_and_a_receipt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.attempt(MADE, "p", FINGERPRINT) as attempt:
        empty = Outcome(MADE.schema.empty_table(), no_rejects(MADE))
        attempt.commit(empty, "", HEAD)
    found = receipt_of(tmp_path)
    assert found is not None and found.spans["p"].n_rows == 0 == found.n_kept


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", ".hidden", "ä", "x" * 200])
def test_a_partition_name_that_is_no_plain_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a folder name"):
        Store(tmp_path).folder("made", name, FINGERPRINT)


def look(root: Path, number: str) -> None:
    fingerprint = observation_fingerprint("look", number)
    head = {**HEAD, "partition": number, "fingerprint": fingerprint}
    with Store(root).attempt(MADE, number, fingerprint) as attempt:
        attempt.commit(outcome(), "", head)


def test_observations_are_numbered_and_a_gap_is_refused(tmp_path: Path) -> None:
    for number in ("000", "001"):
        look(tmp_path, number)
    assert [r.partition for r in Store(tmp_path).observations("made", "look")] == ["000", "001"]
    look(tmp_path, "003")
    with pytest.raises(InputError, match="made/002 is damaged or was removed"):
        Store(tmp_path).observations("made", "look")


def test_a_damaged_observation_is_refused_and_not_counted_as_never_made(tmp_path: Path) -> None:
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
    with Store(tmp_path).attempt(MADE, "q", FINGERPRINT) as attempt:
        assert attempt.address(attempt.new_file("a.tar")) == f"made/q/{FINGERPRINT[:12]}/a.tar"
        assert attempt.read(address, 2, 3) == b"234"
        with pytest.raises(InputError, match="should hold 9 bytes at 5, found 5: it was deleted or cut"):
            attempt.read(address, 5, 9)
        with pytest.raises(InputError, match="found 0"):
            attempt.read("made/p/nowhere/tar", 0, 1)


def test_a_location_leads_to_the_file_of_the_receipt_that_stands(tmp_path: Path) -> None:
    made = commit(tmp_path, with_tar=True)
    (tmp_path / made.folder / made.body["files"][0]["file"]).unlink()
    commit(tmp_path, "again", with_tar=True)
    with Store(tmp_path).attempt(MADE, "q", FINGERPRINT) as attempt:
        assert attempt.read(f"{made.folder}/tar", 0, 10) == b"0123456789"


def test_a_failure_is_noted_beside_the_partition_that_has_no_receipt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.folder("made", "p", FINGERPRINT)
    assert store.failure(folder) is None
    store.note_failure(folder, "the disk is away")
    assert store.failure(folder) == "the disk is away"
    assert receipt_of(tmp_path) is None


def test_publishing_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "receipt.json"
    assert publish(target, b"one", "a") is True
    assert publish(target, b"two", "b") is False
    assert target.read_bytes() == b"one"
    assert names(tmp_path) == {"receipt.json"}


def test_a_receipt_names_its_own_sha256(tmp_path: Path) -> None:
    body = {"partition": "p", "text": "ä\n"}
    path = tmp_path / "receipt.json"
    path.write_bytes(encode_receipt(body))
    whole = json.loads(path.read_bytes())
    assert read_receipt(path) == body == {k: v for k, v in whole.items() if k != "receipt_sha256"}
    assert read_receipt(tmp_path / "none.json") is None


def test_a_page_that_was_changed_under_a_receipt_is_not_read(tmp_path: Path) -> None:
    made = commit(tmp_path)
    path = tmp_path / made.kept_file
    data = bytearray(path.read_bytes())
    data[12] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises((OSError, pa.ArrowException)):
        Store(tmp_path).read_spans([(made.kept_file, 0, -1)], MADE.schema)


def test_a_receipt_of_an_earlier_version_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_bytes(encode_receipt({"kept": {"parts": {}}}))
    assert read_receipt(path) == "receipt.json was written by an earlier version: build into a new folder"
