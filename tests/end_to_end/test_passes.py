"""Download is a ledger: what is settled is never asked for again, unless somebody says so."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.demo.world.server import WorldServer
from tests.end_to_end.runs import run

MODULES = ("inventory", "filter", "plan", "download")
ONE_PASS = ("--set", "download.allow_loopback=true", "--set", "download.passes=1")


@pytest.fixture
def server(small_world: Path) -> Iterator[WorldServer]:
    with WorldServer(small_world) as server:
        yield server


def _build(world: Path, build: Path, *words: str, download: tuple[str, ...] = ()) -> None:
    words = (*ONE_PASS, *words, *download)
    done = run("stage", *MODULES, "--sources", world / "sources", "--build", build, *words)
    assert done.returncode == 0, done.stdout


def _asked(server: WorldServer) -> Counter[str]:
    asked = Counter(server.requests)
    server.requests.clear()
    return asked


def test_new_rows_download_only_what_is_new(small_world: Path, server: WorldServer, tmp_path: Path) -> None:
    chosen = ("--set", 'inventory.corpora=["laion2b"]')
    _build(small_world, tmp_path / "build", *chosen)
    first = _asked(server)
    assert first
    _build(small_world, tmp_path / "build")
    second = _asked(server)
    _build(small_world, tmp_path / "build")
    assert second
    assert not _asked(server)
    # Redirects lead several URLs to one path: those alone may be asked for again.
    assert {p for p in first & second if "redirect" not in p and "good" not in p} == set()


def test_a_retry_asks_for_transient_failures_alone(small_world: Path, server: WorldServer, tmp_path: Path) -> None:
    _build(small_world, tmp_path / "build")
    first = _asked(server)
    server.pass_number = 1
    _build(small_world, tmp_path / "build", download=("--retry", "transient"))
    retried = _asked(server)
    assert 0 < len(retried) < len(first) / 2
    table = (tmp_path / "build" / "dataset" / "tables" / "stage_download.csv").read_text()
    assert "http_not_found" in table


def test_a_refetch_asks_for_the_named_reason_alone(small_world: Path, server: WorldServer, tmp_path: Path) -> None:
    _build(small_world, tmp_path / "build")
    server.requests.clear()
    larger = ("--refetch", "body_too_large", "--set", "download.max_bytes=20000000")
    _build(small_world, tmp_path / "build", download=larger)
    asked = _asked(server)
    assert 0 < asked.total() <= 6
