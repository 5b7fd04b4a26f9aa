import contextlib
import importlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flows.run.events import Advanced
from flows.run.interrupts import Interrupted
from flows.run.worker import Committed
from flows.watch import mirror as mirror_module
from flows.watch.course import Course
from flows.watch.memory import MEMORY, Memory
from flows.watch.mirror import Mirror, mirrored
from flows.watch.ui import API_URL, HOST, NO_TELEMETRY, UI_HOME
from stages.contract import InputError
from tests.contract.broken import MAKE
from tests.small_build import Build
from tests.stopwatch import Stopwatch
from tests.unit.flows.watch.fake_server import FakeServer
from tests.unit.flows.watch.test_progress import task

ROOT = Path(__file__).parents[4]
SAID = {"profile": "small", "name": "b", "flow": "build", "build": "b"}


def test_prefect_is_not_imported_without_a_server() -> None:
    code = (
        "import sys, flows.cli, flows.watch.mirror\n"
        "with flows.watch.mirror.mirrored(None, None, {}, print): pass\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('prefect', 'httpx')])"
    )
    environment = {name: value for name, value in os.environ.items() if name not in (API_URL, UI_HOME)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def small(tmp_path: Path) -> Build:
    (tmp_path / "build").mkdir()
    return Build(tmp_path / "build", tmp_path, {})


def test_a_server_that_never_answers_costs_one_line_and_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        dead_api = f"http://{HOST}:{probe.getsockname()[1]}/api"
    for name, value in {**NO_TELEMETRY, API_URL: dead_api, "PREFECT_CLIENT_MAX_RETRIES": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    importlib.import_module("flows.watch.orchestrate")  # its import time must not count for the mirror
    said: list[str] = []
    course = Course([])
    with Stopwatch() as watch, mirrored(course, small(tmp_path).ledger(), SAID, said.append):
        course.begin(MAKE, 1, 1, 10)
        course.see(MAKE, task("a"), Committed("a", 9, 10))
    assert watch.seconds < 10  # seconds that the last words would take from a server that is slow
    assert len(said) == 1 and said[0].startswith("Prefect does not answer: "), said


def mirror_of(server: FakeServer, build: Build, said: list[str]) -> Mirror:
    return Mirror(lambda: server, Course([]), build.ledger(), SAID, said.append)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Interrupted(), "CANCELLED"), (KeyboardInterrupt(), "CANCELLED"), (OSError("full"), "CRASHED"),
        (InputError("where are the corpora?"), "FAILED"),
    ],
)  # fmt: skip
def test_a_stopped_run_is_shown_as_stopped(tmp_path: Path, error: BaseException, outcome: str) -> None:
    server = FakeServer()
    with pytest.raises(type(error)), mirror_of(server, small(tmp_path), []) as mirror:
        mirror.course.begin(MAKE, 2, 2, 0)
        mirror.course.see(MAKE, task("a"), Advanced("a", 1))
        mirror.course.end(MAKE, False)
        raise error
    build, stage = server.runs
    assert server.runs[build] == outcome and server.runs[stage] == "CANCELLED", "nothing of the stage has failed"
    assert set(server.tasks.values()) == {"CANCELLED"} and len(server.tasks) == 2
    assert server.messages[stage].startswith("stopped: 0 of 2 partitions")
    assert server.messages[stage].endswith(f"the build ended: {server.messages[build]}")


def test_a_returning_server_gets_everything_and_loss_and_return_are_each_printed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "_TICK_S", 0.01)
    server, said = FakeServer(n_away=5), list[str]()
    with mirror_of(server, small(tmp_path), said) as mirror:
        mirror.course.begin(MAKE, 1, 1, 0)
        mirror.course.see(MAKE, task("a"), Committed("a", 1, 1))
        end = time.monotonic() + 300
        while not server.tasks and time.monotonic() < end:
            time.sleep(0.01)
    assert [line.split(":")[0] for line in said if "page of" not in line] == [
        "Prefect does not answer", "Prefect answers again"
    ]  # fmt: skip
    assert set(server.runs.values()) == set(server.tasks.values()) == {"COMPLETED"}


def test_a_run_that_ends_while_the_server_is_away_is_closed_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "_TICK_S", 0.01)
    server, build = FakeServer(), small(tmp_path)
    with mirror_of(server, build, []) as mirror:
        end = time.monotonic() + 300
        while not server.artifacts and time.monotonic() < end:
            time.sleep(0.01)
        server.is_away = True
        mirror.course.begin(MAKE, 1, 1, 0)
        mirror.course.see(MAKE, task("a"), Committed("a", 1, 1))
        mirror.course.end(MAKE, True)
    memory = Memory(build.ledger().store.root / MEMORY)
    assert [entry.outcome for entry in memory.read()] == ["COMPLETED"]
    assert [figure[0] for entry in memory.read() for figure in entry.figures] == ["build-progress", "build-stages"]
    server.is_away = False
    with mirror_of(server, build, []):
        pass
    assert list(server.runs.values()) == ["COMPLETED", "COMPLETED"] and memory.read() == []
    assert [line.partition(":")[0] for line in server.logs] == ["make"]


class Stuck(FakeServer):
    """A server whose first call blocks until the test releases it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def open_run(self, *words: object, **more: object) -> str:
        self.begun.set()
        self.go_on.wait()
        return super().open_run(*words, **more)  # type: ignore[arg-type]


class Impatient(Mirror):
    """A mirror whose end is interrupted by a second Ctrl-C."""

    def _wait(self, thread: threading.Thread, end: float) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("kind", [Mirror, Impatient])
@pytest.mark.parametrize("error", [InputError("where are the corpora?"), KeyboardInterrupt(), None])
def test_the_end_waits_for_busy_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Mirror], error: BaseException | None
) -> None:
    monkeypatch.setattr(mirror_module, "_AFTER_STOP_S", 0.0)
    monkeypatch.setattr(mirror_module, "_LAST_WORDS_S", 0.0)
    server = Stuck()
    mirror = kind(lambda: server, Course([]), small(tmp_path).ledger(), SAID, lambda text: None)  # type: ignore[arg-type, return-value]
    try:
        with contextlib.suppress(InputError, KeyboardInterrupt), mirror:
            server.begun.wait()
            if error is not None:
                raise error
        assert mirror._threads[0].is_alive()
        assert not any(thread.daemon for thread in mirror._threads), "the interpreter does not wait for daemon threads"
    finally:
        server.go_on.set()
    for thread in mirror._threads:
        thread.join(300)
        assert not thread.is_alive()
