"""robots.txt is requested once per origin and obeyed; an unreadable file is not taken as permission."""

import dataclasses
import gzip
import random
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer

import brotli
import pytest

from stages.download.fetching.attempts import fetch
from stages.download.fetching.limits import FetchLimits
from stages.download.fetching.robots import Robots
from stages.plan.urls import fetch_id
from tests.unit.stages.download.fetching.hostile_server import HostileServer, answer, serve

LIMITS = FetchLimits(allow_loopback=True, timeout_s=120, max_fetch_s=120, n_threads=8, ask_robots=True)


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with serve() as running:
        yield running


def reasons(server: HostileServer, folder: Path, *paths: str, **limits: object) -> list[str | None]:
    urls = [(fetch_id(path), server.url + path) for path in paths]
    chosen = dataclasses.replace(LIMITS, **{"host_slots": folder / "slots", **limits})  # type: ignore[arg-type]
    attempts = fetch(urls, tar_path=folder / "bodies.tar", work=folder / "work", limits=chosen)
    return [attempt.reason for attempt in attempts]


def text(*lines: str, pad: int = 0) -> bytes:
    return answer(200, body="\n".join(lines).encode() + b"\n" + b"#" * pad)


RULES = text("User-agent: *", "Disallow: /ok/1", "Allow: /ok/12", "", "User-agent: otherbot", "Disallow: /")


def test_disallowed_urls_are_never_requested(server: HostileServer, tmp_path: Path) -> None:
    server.robots = RULES
    assert reasons(server, tmp_path, "/ok/1", "/ok/11", "/ok/12", "/ok/2") == [
        "robots_disallows", "robots_disallows", None, None,
    ]  # fmt: skip
    assert Counter(server.paths) == {"/robots.txt": 1, "/ok/12": 1, "/ok/2": 1}


def test_rules_for_our_name_take_precedence_over_those_for_everybody(server: HostileServer, tmp_path: Path) -> None:
    server.robots = text("User-agent: *", "Disallow: /", "", "User-agent: RS5M-rebuild", "Disallow: /ok/3")
    assert reasons(server, tmp_path, "/ok/2", "/ok/3") == [None, "robots_disallows"]


def test_the_target_of_a_redirect_is_checked_too(server: HostileServer, tmp_path: Path) -> None:
    server.robots = text("User-agent: *", "Disallow: /ok/500")
    assert reasons(server, tmp_path, "/redirect/1", "/to?/ok/7") == ["robots_disallows", None]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429])
def test_without_a_file_all_is_allowed(server: HostileServer, tmp_path: Path, status: int) -> None:
    server.robots = answer(status, body=b"User-agent: *\nDisallow: /")
    assert reasons(server, tmp_path, "/ok/1") == [None]


@pytest.mark.parametrize(
    ("robots", "reason"),
    [
        (answer(500), "robots_unreachable"),
        (answer(503), "robots_unreachable"),
        (b"\x00\xffSSH\r\n\r\n", "robots_unreachable"),
        (answer(200, "Content-Encoding: gzip", body=b"\x1f\x8b\x08\x00"), "robots_unreachable"),
        (b"", "host_refuses"),
    ],
)
def test_an_unreadable_file_defers_the_urls(server: HostileServer, tmp_path: Path, robots: bytes, reason: str) -> None:
    server.robots = robots
    assert reasons(server, tmp_path, "/ok/1", "/ok/2") == [reason, reason]
    assert Counter(server.paths) == {"/robots.txt": 1}


def test_redirects_of_the_file_are_followed_up_to_five(server: HostileServer, tmp_path: Path) -> None:
    server.robots = answer(301, "Location: /coded")
    server.coded = RULES
    assert reasons(server, tmp_path, "/ok/1") == ["robots_disallows"]
    server.coded = answer(302, "Location: /coded")
    assert reasons(server, tmp_path / "loop", "/ok/1") == [None]
    assert Counter(server.paths)["/coded"] == 1 + 5


def test_a_file_is_read_to_its_limit(server: HostileServer, tmp_path: Path) -> None:
    server.robots = text("User-agent: *", "Disallow: /ok/1", pad=900_000)
    assert reasons(server, tmp_path, "/ok/1", "/ok/2") == ["robots_disallows", None]


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, brotli.compress])
def test_a_packed_file_is_read_to_its_limit_too(
    server: HostileServer, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    coding = {gzip.compress: "gzip", zlib.compress: "deflate"}.get(pack, "br")
    rules = b"User-agent: *\nDisallow: /ok/1\n"
    packs_badly = random.Random(1).randbytes(600_000).replace(b"\n", b"#")
    for n, rest in enumerate([b"#" * 900_000] + [packs_badly] * (coding == "gzip")):
        body = pack(rules + b"#" + rest + b"\nDisallow: /ok/2")
        server.robots = answer(200, f"Content-Encoding: {coding}", body=body)
        assert reasons(server, tmp_path / str(n), "/ok/1", "/ok/2") == ["robots_disallows", None]


@pytest.mark.parametrize(
    "place",
    ["http://10.0.0.1/robots.txt", "http://nowhere.invalid/robots.txt", "https://127.0.0.1:{port}/robots.txt"],
)
def test_a_fault_behind_a_redirect_of_the_file_defers_the_urls(
    server: HostileServer, tmp_path: Path, place: str
) -> None:
    port = server.url.rpartition(":")[2]
    server.robots = answer(301, f"Location: {place.format(port=port)}")
    assert reasons(server, tmp_path, "/ok/1", timeout_s=2, max_fetch_s=2) == ["robots_unreachable"]


def test_the_file_is_shared_and_expires(server: HostileServer, tmp_path: Path) -> None:
    server.robots = RULES
    for _ in range(3):
        assert reasons(server, tmp_path, "/ok/1") == ["robots_disallows"]
    assert server.paths == ["/robots.txt"]
    with sqlite3.connect(tmp_path / "slots" / "robots" / "robots.sqlite") as db:
        db.execute("UPDATE robots SET read_at = read_at - 86401")
    server.robots = answer(404)
    assert reasons(server, tmp_path, "/ok/1") == [None]


def test_a_worker_that_begins_waits_for_another_that_makes_the_cache(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "robots.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # SQLite refuses at once to switch to a write-ahead log beside a writer
    release = Timer(0.2, other.execute, ["COMMIT"])
    release.start()
    Robots(tmp_path, "rs5m").close()
    release.join()
    assert other.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    other.close()


def test_robots_txt_is_not_requested_if_switched_off(server: HostileServer, tmp_path: Path) -> None:
    server.robots = RULES
    assert reasons(server, tmp_path, "/ok/1", ask_robots=False) == [None]
    assert server.paths == ["/ok/1"]
    assert reasons(server, tmp_path, "/robots/noai", ask_robots=False, heed_opt_outs=False) == [None]
