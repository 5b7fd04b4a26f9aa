import os
from pathlib import Path

import pytest

from flows.ledger.journal import JOURNAL, Journal, receipt_digest
from flows.ledger.partition_check import SeenFile, see_file
from flows.ledger.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "table").mkdir()
    (tmp_path / "table/one").write_bytes(b"one")
    (tmp_path / "table/two").write_bytes(b"two")
    return Store(tmp_path)


def see(store: Store, name: str) -> SeenFile:
    return see_file(store.path(f"table/{name}"), f"table/{name}")


def write(store: Store, is_resumed: bool = False) -> None:
    with Journal(store, is_resumed) as journal:
        journal.add("table/p", "receipt", (see(store, "one"), see(store, "two")))


def test_a_checked_partition_is_known_to_a_later_process_with_its_sha256(store: Store) -> None:
    write(store)
    with Journal(store, is_resumed=True) as journal:
        assert journal.known("table/p", "receipt") == (see(store, "one"), see(store, "two"))
        assert journal.known("table/q", "receipt") is None
        assert journal.known("table/p", "another receipt") is None


@pytest.mark.parametrize("change", ["size", "time", "inode", "gone"])
def test_a_changed_file_makes_its_partition_unknown(store: Store, change: str) -> None:
    write(store)
    path = store.path("table/two")
    before = path.stat()
    if change == "size":
        path.write_bytes(b"twoo")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "time":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    elif change == "inode":
        new = path.with_name("new")
        new.write_bytes(b"owt")
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        new.replace(path)
    else:
        path.unlink()
    with Journal(store, is_resumed=True) as journal:
        assert journal.known("table/p", "receipt") is None


def test_a_verification_that_is_not_resumed_begins_an_empty_journal(store: Store) -> None:
    write(store)
    with Journal(store, is_resumed=False) as journal:
        assert journal.known("table/p", "receipt") is None
    with Journal(store, is_resumed=True) as journal:
        assert journal.known("table/p", "receipt") is None


def test_a_truncated_line_is_ignored_and_the_lines_after_it_count(store: Store) -> None:
    write(store)
    path = store.path(JOURNAL)
    path.write_bytes(path.read_bytes()[:-30])
    with Journal(store, is_resumed=True) as journal:
        assert journal.known("table/p", "receipt") is None
        journal.add("table/q", "receipt", (see(store, "one"),))
    with Journal(store, is_resumed=True) as journal:
        assert journal.known("table/q", "receipt") == (see(store, "one"),)


def test_lines_of_another_format_are_ignored(store: Store) -> None:
    write(store)
    path = store.path(JOURNAL)
    path.write_text(path.read_text().replace("[1, ", "[0, ", 1))
    with Journal(store, is_resumed=True) as journal:
        assert journal.known("table/p", "receipt") is None


def test_the_digest_of_a_receipt_changes_with_it(store: Store) -> None:
    assert receipt_digest(store, "table") == ""
    (store.path("table") / "receipt.json").write_text("one")
    one = receipt_digest(store, "table")
    (store.path("table") / "receipt.json").write_text("two")
    assert "" != one != receipt_digest(store, "table")
