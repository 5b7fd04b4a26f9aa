"""Bodies of a small store are destroyed; a kill at any point leaves a store that another purge finishes."""

import errno
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.ledger import purge as purging
from flows.ledger.attempt import Attempt
from flows.ledger.purge import Purged, purge_files
from flows.ledger.receipt import must_read
from flows.ledger.store import Store
from schemas.tables import FETCH_ATTEMPT
from stages.contract import InputError, Outcome, no_rejects
from stages.purged import is_purged, stand_in

FINGERPRINT = "a" * 64
SIZES = (0, 1, 5, 30, 31, 32, 1000, 700_000, 5_000_000)


class Killed(BaseException):
    """Stands for SIGKILL."""


def made(root: Path) -> tuple[Store, str, list[tuple[int, bytes]]]:
    """Return a store with one partition, the address of its file, and the place of each body in it."""
    store, bodies, at = Store(root), [], 512
    with Attempt(store, FETCH_ATTEMPT, "000-00000", FINGERPRINT) as attempt:
        tar = attempt.new_file("bodies.tar")
        with tar.open("wb") as file:
            for n, size in enumerate(SIZES):
                body = bytes([n + 1]) * size
                file.seek(at)
                file.write(body)
                bodies.append((at, body))
                at += size + 512
            file.write(bytes(1024))
        address = attempt.address(tar)
        rows = FETCH_ATTEMPT.schema.empty_table()
        run = {"run": {}, "table": "fetch_attempt", "partition": "000-00000", "fingerprint": FINGERPRINT}
        attempt.commit(Outcome(rows, no_rejects(FETCH_ATTEMPT), files=(tar,)), "", run)
    return store, address, bodies


def places(bodies: list[tuple[int, bytes]], *numbers: int) -> list[tuple[int, int]]:
    return [(bodies[n][0], len(bodies[n][1])) for n in numbers]


def check(root: Path, address: str, bodies: list[tuple[int, bytes]], gone: set[int]) -> dict[str, Any]:
    """Check every body, the digests of the receipt and that nothing else is in the folder; return the receipt."""
    store = Store(root)
    for n, (offset, body) in enumerate(bodies):
        found = store.read_located(address, offset, len(body), Path())
        assert found == (stand_in(len(body)) if n in gone else body)
        assert is_purged(found) == (n in gone and bool(body))
    receipt = store.receipt("fetch_attempt", "000-00000", FINGERPRINT)
    assert receipt is not None
    folder = store.path(receipt.folder)
    for file in receipt.files:
        data = (folder / file["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["size_bytes"], file["sha256"])
    assert {path.name for path in folder.iterdir()} == {"receipt.json", *(file["file"] for file in receipt.files)}
    return dict(must_read(folder / "receipt.json"))


def test_bodies_are_replaced_and_all_others_keep_their_places(tmp_path: Path) -> None:
    store, address, bodies = made(tmp_path)
    wanted = {0, 2, 3, 6, 8}
    (done,) = purge_files(store, {address: [*places(bodies, *wanted), *places(bodies, 2)]})
    assert done == Purged(address, 4, 5 + 30 + 1000 + 5_000_000)
    receipt = check(tmp_path, address, bodies, wanted)
    assert [(one["file"], one["n_bodies"]) for one in receipt["purged"]] == [("bodies.tar", 4)]
    # The same store reads the new file, and a second purge has nothing to do.
    assert store.read_located(address, bodies[1][0], 1, Path()) == bodies[1][1]
    assert list(purge_files(store, {address: places(bodies, *wanted)})) == []
    (more,) = purge_files(store, {address: places(bodies, 2, 7)})
    assert more.n_bodies == 1
    assert len(check(tmp_path, address, bodies, wanted | {7})["purged"]) == 2


STEPS = ("hardlink_to", "replace", "unlink", "fsync_folder", "encode_receipt", "stand_in")


def test_a_purge_killed_at_any_step_is_finished_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, address, bodies = made(tmp_path / "whole")
    n_kills = 0
    for step in STEPS:
        owner = Path if hasattr(Path, step) else purging
        real = getattr(owner, step)
        for at, is_after in ((n, after) for n in range(5) for after in (False, True)):
            root = tmp_path / f"{step}-{at}-{is_after}"
            shutil.copytree(whole.root, root)
            calls = iter(range(100))

            def killed(*words: Any, at: int = at, real: Any = real, calls: Iterator[int] = calls,
                       is_after: bool = is_after) -> Any:  # fmt: skip
                is_last = next(calls) == at
                if is_last and not is_after:
                    raise Killed
                found = real(*words)
                if is_last:
                    raise Killed
                return found

            with monkeypatch.context() as patch:
                patch.setattr(owner, step, killed)
                try:
                    list(purge_files(Store(root), {address: places(bodies, 3, 6)}))
                except Killed:
                    n_kills += 1
            assert Store(root).receipt("fetch_attempt", "000-00000", FINGERPRINT) is not None
            list(purge_files(Store(root), {address: places(bodies, 3, 6)}))
            check(root, address, bodies, {3, 6})
    assert n_kills > 15


@pytest.mark.parametrize("step", ["stand_in", "encode_receipt"])  # in the middle of the file, and after it
def test_a_disk_that_fills_leaves_the_old_file_alone_and_another_purge_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store, address, bodies = made(tmp_path)

    def full(*words: Any) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(purging, step, full)
        with pytest.raises(InputError, match=r"the disk is full: .*bodies.tar was not changed.* 5.7 MB must be free"):
            list(purge_files(store, {address: places(bodies, 3, 7)}))
    check(tmp_path, address, bodies, set())  # no half of the new file takes space either
    list(purge_files(store, {address: places(bodies, 3, 7)}))
    check(tmp_path, address, bodies, {3, 7})


def test_a_file_system_without_links_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: Path) -> None:
        raise OSError("no links here")

    store, address, bodies = made(tmp_path)
    monkeypatch.setattr(Path, "hardlink_to", refused)
    list(purge_files(store, {address: places(bodies, 5)}))
    check(tmp_path, address, bodies, {5})


@pytest.mark.parametrize("n_bytes", [1, 30, 31, 32, 100])
def test_a_stand_in_is_recognised_at_any_length(n_bytes: int) -> None:
    assert len(stand_in(n_bytes)) == n_bytes and is_purged(stand_in(n_bytes))
    assert not is_purged(b"\xff" + stand_in(n_bytes)[1:]) and not is_purged(b"")
