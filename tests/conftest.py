"""Fixtures of all tests: a small finished build, its sources and its web server, made once per session."""

import os
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

# Each process computes with one thread; numpy and torch read this at import. A thread that waits for work keeps a core
# busy that other tests need: the tests of keypoints take half as much CPU again with two.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | os.environ

from flows.run.executor import InlineExecutor
from tests.small_build import Build, Web, write_sources

# The same examples in every run; a new failing example gets its own test.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _own_opener() -> Iterator[None]:
    """Restore urllib's opener after each test: a download in this process installs a guarded one."""
    yield
    urllib.request.install_opener(None)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def small_web() -> Iterator[Web]:
    with Web() as web:
        yield web


@pytest.fixture(scope="session")
def small_sources(small_web: Web, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sources(tmp_path_factory.mktemp("small") / "sources", small_web)


@pytest.fixture(scope="session")
def finished(small_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A finished build that tests must not change; they can change `damaged`."""
    build = Build(tmp_path_factory.mktemp("finished") / "build", small_sources)
    build.run(InlineExecutor())
    return build


@pytest.fixture
def damaged(finished: Build, tmp_path: Path) -> Build:
    """A copy of the finished build that a test may change."""
    return finished.copy_to(tmp_path / "build")


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system whose size a test sets."""

    path: Path

    def resize(self, n_bytes: int) -> None:
        """Set its size, in whole pages."""
        subprocess.run(["mount", "-o", f"remount,size={n_bytes}", self.path], check=True)

    def leave(self, n_bytes: int) -> None:
        """Set its size so that about this many bytes are free."""
        now = os.statvfs(self.path)
        self.resize((now.f_blocks - now.f_bfree) * now.f_frsize + n_bytes)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system of 400 MB in memory; its test is marked needs_root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ("mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs")
    mounted = subprocess.run([*words, folder], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield SmallDisk(folder)
    subprocess.run(["umount", "-l", folder], check=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many damaged inputs the tests read, by reader: tests record them as properties "damaged NAME"."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    calls = [report for report in reports if getattr(report, "when", "") == "call"]  # a teardown has them once more
    counts: Counter[str] = Counter()
    for name, n_inputs in (one for report in calls for one in report.user_properties):
        if name.startswith("damaged "):
            counts[name.removeprefix("damaged ")] += n_inputs
    if counts:
        listed = ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items()))
        terminalreporter.write_line(f"damaged inputs: {counts.total():,} ({listed})")
