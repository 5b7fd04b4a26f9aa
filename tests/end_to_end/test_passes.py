"""The download keeps a ledger: finished URLs are requested again only on demand."""

import shutil
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


@pytest.fixture(scope="module")
def fetched(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counter[str]]:
    """A build after its first pass, which tests must not change, and the requests of that pass."""
    build = tmp_path_factory.mktemp("fetched") / "build"
    with WorldServer(small_world) as server:
        _build(small_world, build)
    return build, server.requests


@pytest.fixture
def build(fetched: tuple[Path, Counter[str]], tmp_path: Path) -> Path:
    """A copy of that build, which a test may change."""
    return Path(shutil.copytree(fetched[0], tmp_path / "build", symlinks=True))


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


def test_a_retry_requests_only_transient_failures(
    small_world: Path, fetched: tuple[Path, Counter[str]], build: Path, server: WorldServer
) -> None:
    server.pass_number = 1
    _build(small_world, build, download=("--retry", "transient"))
    retried = _asked(server)
    assert 0 < len(retried) < len(fetched[1]) / 2
    table = (build / "dataset" / "tables" / "stage_download.csv").read_text()
    assert "http_not_found" in table


def test_a_refetch_requests_only_urls_with_the_named_reason(
    small_world: Path, build: Path, server: WorldServer
) -> None:
    larger = ("--refetch", "body_too_large", "--set", "download.max_bytes=20000000")
    _build(small_world, build, download=larger)
    asked = _asked(server)
    assert 0 < asked.total() <= 6
