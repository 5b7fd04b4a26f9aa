"""The download keeps a ledger: finished URLs are requested again only on demand."""

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


def test_only_the_urls_of_new_rows_are_requested(small_world: Path, server: WorldServer, tmp_path: Path) -> None:
    chosen = ("--set", 'inventory.corpora=["laion2b"]')
    _build(small_world, tmp_path / "build", *chosen)
    first = _asked(server)
    assert first
    _build(small_world, tmp_path / "build")
    second = _asked(server)
    _build(small_world, tmp_path / "build")
    assert second
    assert not _asked(server)
    # Several URLs may redirect to one path; only such paths may be requested again.
    assert {p for p in first & second if "redirect" not in p and "good" not in p} == set()


def test_a_retry_requests_only_transient_failures(small_world: Path, server: WorldServer, tmp_path: Path) -> None:
    _build(small_world, tmp_path / "build")
    first = _asked(server)
    server.pass_number = 1
    _build(small_world, tmp_path / "build", download=("--retry", "transient"))
    retried = _asked(server)
    assert 0 < len(retried) < len(first) / 2
    table = (tmp_path / "build" / "dataset" / "tables" / "stage_download.csv").read_text()
    assert "http_not_found" in table


def test_a_refetch_requests_only_urls_with_the_named_reason(
    small_world: Path, server: WorldServer, tmp_path: Path
) -> None:
    _build(small_world, tmp_path / "build")
    server.requests.clear()
    larger = ("--refetch", "body_too_large", "--set", "download.max_bytes=20000000")
    _build(small_world, tmp_path / "build", download=larger)
    asked = _asked(server)
    assert 0 < asked.total() <= 6
