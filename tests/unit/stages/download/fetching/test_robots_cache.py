"""A damaged cache of robots.txt is begun anew, in all processes, and never ends a download."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.download.fetching.robots_cache import RobotsCache

TEXT = b"User-agent: *\nDisallow: /"


def zero(data: bytes) -> bytes:
    return b"\0" * len(data)


def overwrite_half(data: bytes) -> bytes:
    return data[: len(data) // 2] + b"\xa5" * (len(data) - len(data) // 2)


def overwrite_start(data: bytes) -> bytes:
    return b"\xa5" * 4096 + data[4096:]


def fill(folder: Path) -> RobotsCache:
    cache = RobotsCache(folder)
    for n in range(200):
        cache.put(f"http://{n}.test", TEXT)
    return cache


@pytest.mark.parametrize("spoil", [zero, overwrite_half, overwrite_start])
def test_a_damaged_cache_is_begun_anew(
    tmp_path: Path, spoil: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path).close()
    path = tmp_path / "robots.sqlite"
    path.write_bytes(spoil(path.read_bytes()))
    cache = RobotsCache(tmp_path)
    assert [cache.get(f"http://{n}.test") for n in range(200)].count(TEXT) < 200
    cache.put("http://1.test", TEXT)
    assert cache.get("http://1.test") == TEXT
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"{path} is damaged (")
    cache.close()


def test_a_cache_that_another_process_began_anew_is_kept(tmp_path: Path) -> None:
    one, path = fill(tmp_path), tmp_path / "robots.sqlite"
    damaged = sqlite3.DatabaseError("database disk image is malformed")
    damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    other = RobotsCache(tmp_path)
    other._begin_anew(damaged)
    other.put("http://1.test", b"a: b")
    inode = path.stat().st_ino
    one._begin_anew(damaged)
    assert path.stat().st_ino == inode and one.get("http://1.test") == b"a: b"
    for cache in (one, other):
        cache.close()


def test_other_errors_of_the_database_are_raised(tmp_path: Path) -> None:
    (tmp_path / "robots.sqlite").mkdir()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        RobotsCache(tmp_path)
