"""The robots.txt files of origins, kept for a day for all workers; a damaged cache is begun anew.

Not for reading the rules: `robots.py` does that.
"""

import fcntl
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.download.fetching.damaged import report_damage

_EXPIRY_S = 24 * 3600.0  # RFC 9309, 2.4
_WAIT_S, _POLL_S = 60.0, 0.01  # behind other processes
_BESIDE = ("", "-wal", "-shm")  # the files of a database


class RobotsCache:
    """One database file for all workers: a file an origin would be a million small files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._path = folder / "robots.sqlite"
        self._open()

    def get(self, origin: str) -> bytes | None:
        """Return the file of an origin, None if it is unknown or older than a day."""
        rows = self._ask("SELECT read_at, text FROM robots WHERE origin = ?", (origin,))
        if not rows or not 0 <= time.time() - rows[0][0] < _EXPIRY_S:
            return None
        try:
            return zlib.decompress(rows[0][1])
        except zlib.error:  # damaged on the disk: it is requested again
            return None

    def put(self, origin: str, text: bytes) -> None:
        """Keep the file of an origin."""
        self._ask("INSERT OR REPLACE INTO robots VALUES (?, ?, ?)", (origin, time.time(), zlib.compress(text)))

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    def _ask(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as error:
                self._begin_anew(error)
                return self._db.execute(sql, values).fetchall()

    def _open(self) -> None:
        with _alone(self._path):
            try:
                self._db = _connect(self._path)
            except sqlite3.DatabaseError as error:
                _remove(self._path, error)
                self._db = _connect(self._path)
            self._inode = self._path.stat().st_ino

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        with _alone(self._path):
            # Another process may have begun anew already; while ours is open, its inode is no other file's.
            if not self._path.exists() or self._path.stat().st_ino == self._inode:
                _remove(self._path, error)
        self._db.close()
        self._open()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no other process open or remove the database in the block."""
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _connect(path: Path) -> sqlite3.Connection:
    # Each statement is a transaction of its own.
    db = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        _log_ahead(db)
        db.execute("PRAGMA synchronous=OFF")  # a file that a crash costs is requested again
        db.execute("CREATE TABLE IF NOT EXISTS robots (origin TEXT PRIMARY KEY, read_at REAL, text BLOB)")
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _log_ahead(db: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. For this SQLite does not wait for another connection, whatever its time-out."""
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if _code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(_POLL_S)


def _remove(path: Path, error: sqlite3.DatabaseError) -> None:
    """Remove a damaged database; raise any other error."""
    if _code_of(error) not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        raise error
    report_damage(path, error, "it is begun anew, and robots.txt of each host is requested again")
    for ending in _BESIDE:
        Path(f"{path}{ending}").unlink(missing_ok=True)


def _code_of(error: sqlite3.DatabaseError) -> int:
    return error.sqlite_errorcode & 0xFF  # behind it: which kind of it
