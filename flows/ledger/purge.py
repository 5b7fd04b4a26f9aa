"""Destroy bodies in files that receipts name: a file takes the place of the old one, and its receipt records it.

Not for choosing the bodies: that is `flows/run/purge.py`. A kill leaves the old file or the new one, whole; running it
again finishes the work.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from flows.ledger.disk import free_gb, is_disk_full
from flows.ledger.receipt import encode_receipt, fsync_folder, must_read
from flows.ledger.store import Store
from stages.contract import InputError
from stages.purged import is_purged, stand_in

Place = tuple[int, int]  # first byte and length of a body in its file

_CHUNK_BYTES = 4 << 20
_HEAD_BYTES = 64  # of a body, to see whether it was destroyed before: a new file has all its stand-ins or is not there


@dataclass(frozen=True)
class Purged:
    """The number of bodies destroyed in one file, and of their bytes."""

    address: str
    n_bodies: int
    n_bytes: int


def purge_files(store: Store, places: Mapping[str, Sequence[Place]]) -> Iterator[Purged]:
    """Replace bodies by stand-ins of their length, file by file; yield the files that held one.

    Args:
        store: the build; the caller holds its lease.
        places: the bodies in each file, by the file's address.

    Raises:
        InputError: a receipt is damaged, or the disk is full; what was destroyed before stays so.
    """
    for address in sorted(places):
        folder = store.path(address.rpartition("/")[0])
        body = must_read(folder / "receipt.json")
        _remove_strays(folder, body)
        path = store.locate(address)
        found = _left(path, places[address])
        if not found:
            continue
        try:
            _replace(folder, body, path, found)
        except OSError as error:
            _remove_strays(folder, must_read(folder / "receipt.json"))  # at once: half a file may fill the disk
            if is_disk_full(error) and path.exists():
                raise InputError(_disk_full(path)) from error
            raise
        store.forget(address)
        yield Purged(address, len(found), sum(n_bytes for _, n_bytes in found))


def count_left(store: Store, places: Mapping[str, Sequence[Place]]) -> int:
    """Return how many of the bodies are not destroyed; the arguments are those of `purge_files`."""
    return sum(len(_left(store.locate(address), of_file)) for address, of_file in places.items())


def _disk_full(path: Path) -> str:
    return (
        f"the disk is full: {path} was not changed. To write it again without what is destroyed,"
        f" {path.stat().st_size / 1e6:,.1f} MB must be free ({free_gb(path)}). Free them and run the same command"
        " again; nothing is lost"
    )


def _left(path: Path, places: Sequence[Place]) -> list[Place]:
    """Return the places that still have their body, in order."""
    return [place for place in sorted(set(places)) if place[1] and not _was_purged(path, place)]


def _was_purged(path: Path, place: Place) -> bool:
    with path.open("rb") as file:
        file.seek(place[0])
        return is_purged(file.read(min(_HEAD_BYTES, place[1])))


def _replace(folder: Path, body: Mapping[str, Any], path: Path, places: Sequence[Place]) -> None:
    """Rewrite a file without some bodies, then the receipt that names it, then remove the former file."""
    attempt = uuid.uuid4().hex[:12]
    record = {"finished": time.time(), "file": path.name.partition(".")[2], "n_bodies": len(places)}
    new = {
        **body,
        "attempt": attempt,
        "kept": _renamed(body["kept"], folder, attempt),
        "rejects": _renamed(body["rejects"], folder, attempt),
        "files": [
            _rewritten(file, path, attempt, places) if file["file"] == path.name else _renamed(file, folder, attempt)
            for file in body["files"]
        ],
        "purged": [*body.get("purged", []), record],
    }
    fsync_folder(folder)
    draft = folder / f"receipt.json.{attempt}"
    with draft.open("wb") as file:
        file.write(encode_receipt(new))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / "receipt.json")
    fsync_folder(folder)
    _remove_strays(folder, new)


def _renamed(file: Mapping[str, Any], folder: Path, attempt: str) -> dict[str, Any]:
    """Return a file's entry under the name of the new attempt; its bytes are the same."""
    if not file["file"]:
        return dict(file)
    name = f"{attempt}.{file['file'].partition('.')[2]}"
    try:
        (folder / name).hardlink_to(folder / file["file"])
    except OSError:  # a file system without links
        shutil.copy2(folder / file["file"], folder / name)
    return {**file, "file": name}


def _rewritten(file: Mapping[str, Any], path: Path, attempt: str, places: Sequence[Place]) -> dict[str, Any]:
    name = f"{attempt}.{path.name.partition('.')[2]}"
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as old, path.with_name(name).open("wb", buffering=0) as new:
        for chunk in _without(old, places):
            new.write(chunk)
            digest.update(chunk)
        os.fsync(new.fileno())
    return {**file, "file": name, "sha256": digest.hexdigest()}


def _without(old: BinaryIO | Any, places: Sequence[Place]) -> Iterator[bytes]:
    """Yield a file's bytes with stand-ins for some bodies, which do not overlap and are in order."""
    at = 0
    for offset, n_bytes in places:
        yield from _stretch(old, offset - at)
        yield stand_in(n_bytes)
        at = offset + n_bytes
        old.seek(at)
    yield from _stretch(old, None)


def _stretch(old: BinaryIO | Any, n_bytes: int | None) -> Iterator[bytes]:
    while n_bytes is None or n_bytes > 0:
        chunk = old.read(_CHUNK_BYTES if n_bytes is None else min(_CHUNK_BYTES, n_bytes))
        if not chunk:
            return
        n_bytes = None if n_bytes is None else n_bytes - len(chunk)
        yield chunk


def _remove_strays(folder: Path, body: Mapping[str, Any]) -> None:
    """Remove the files of other attempts: leftovers of a killed purge, and the old file once the new one counts."""
    for path in folder.iterdir():
        if path.is_file() and path.name != "receipt.json" and not path.name.startswith(f"{body['attempt']}."):
            path.unlink()
    fsync_folder(folder)
