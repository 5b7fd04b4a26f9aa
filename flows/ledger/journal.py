"""A journal of the partitions that `verify` found sound, so that an interrupted one goes on where it stopped.

Trusts sizes, inodes and modification times: who wants the bytes read again leaves it out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from types import TracebackType
from typing import Self

from flows.ledger.partition_check import SeenFile
from flows.ledger.store import Store

JOURNAL = ".verified.jsonl"
_FORMAT = 1  # raised when a check covers more than before, so that earlier entries no longer count


class Journal:
    """The sound partitions and files, one per line, written as they are found.

    Args:
        store: the build.
        is_resumed: keep the entries of an earlier verification; else it begins empty.
    """

    def __init__(self, store: Store, is_resumed: bool) -> None:
        self._store = store
        path = store.path(JOURNAL)
        self._known = dict(_entries(path)) if is_resumed else {}
        self._file = path.open("a" if is_resumed else "w", encoding="utf-8")
        if is_resumed and self._file.tell():
            self._file.write("\n")  # a line that was cut ends here

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def add(self, name: str, receipt: str, seen: tuple[SeenFile, ...]) -> None:
        """Note that something is sound: its name, the digest of its receipt, the files that were read."""
        line = [_FORMAT, name, receipt, [astuple(file) for file in seen]]
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def known(self, name: str, receipt: str) -> tuple[SeenFile, ...] | None:
        """Return the files that were found sound before; None if they were not, or have changed."""
        found = self._known.get(name)
        if found is None or found[0] != receipt:
            return None
        files = []
        for file in found[1]:
            try:
                now = self._store.path(file.address).stat()
            except OSError:
                return None
            if (now.st_ino, now.st_size, now.st_mtime_ns) != (file.inode, file.size_bytes, file.mtime_ns):
                return None
            # The number of a device may be another one after a restart of the machine.
            files.append(SeenFile(file.address, now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, file.sha256))
        return tuple(files)


def receipt_digest(store: Store, folder: str) -> str:
    """Return the sha256 of a receipt as it is stored now; "" where it is gone."""
    try:
        return hashlib.sha256((store.path(folder) / "receipt.json").read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def _entries(path: Path) -> Iterator[tuple[str, tuple[str, list[SeenFile]]]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                version, name, receipt, files = json.loads(line)
                if version == _FORMAT:
                    yield name, (receipt, [SeenFile(*file) for file in files])
            except (ValueError, TypeError):  # cut by a kill: it is checked again
                continue
