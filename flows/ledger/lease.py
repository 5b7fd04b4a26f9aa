"""The lease on a build folder: one run at a time, the next one waits and then finds its work done.

The kernel frees it when the holder dies, however it dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from flows.ledger.disk import is_disk_full
from flows.ledger.writable import NotWritableError

LEASE = ".lease"  # every build folder has one: also its mark
_POLL_S = 0.25


@contextmanager
def hold_lease(build: Path, command: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lease on a build folder, waiting for another run to end first.

    Raises:
        NotWritableError: the folder cannot be made, or its lease cannot be written.
    """
    path = build / LEASE
    with _open_lease(path) as file:
        has_told = False
        while not try_lock(file.fileno()):
            if not has_told:
                tell(f"waiting for another run on {build}: {_holder(path)}")
                has_told = True
            time.sleep(_POLL_S)
        file.truncate(0)
        _describe_holder(file.fileno(), command)
        yield


def _open_lease(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        if is_disk_full(error):
            raise
        raise NotWritableError(path.parent, error) from error


def _describe_holder(descriptor: int, command: str) -> None:
    """Write who holds the lease, for those who wait; on a full disk nothing, since `gc` must run there."""
    said = {"pid": os.getpid(), "host": platform.node(), "command": command, "since": _now()}
    try:
        os.write(descriptor, json.dumps(said).encode())
    except OSError as error:
        if not is_disk_full(error):
            raise


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process alone and return True, or False if another has the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return "it has just begun"
    return f"`{holder['command']}`, process {holder['pid']} on {holder['host']}, since {holder['since']}"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
