import contextlib
import importlib
import os
import re
import socket
import string
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.run.events import Advanced, Poisoned, Retried
from flows.run.executor import Interrupted
from flows.run.worker import Committed, Failed
from flows.watch import mirror as mirror_module
from flows.watch.mirror import Mirror, mirrored
from flows.watch.pace import Pace
from flows.watch.ui import API_URL, HOST, NO_TELEMETRY, UI_HOME, URL_FILE, find_api_url, server_environment
from flows.watch.waves import MOST_WAVES, StageRun, safe_markdown, wave_size
from stages.contract import InputError
from tests.contract.broken import MAKE
from tests.small_build import Build, Recorder
from tests.unit.flows.watch.test_progress import task

ROOT = Path(__file__).parents[4]
SAID = {"profile": "small", "build": "b", "command": "make build"}


def test_nothing_of_prefect_is_imported_without_a_server() -> None:
    code = (
        "import sys, flows.cli, flows.watch.mirror\n"
        "with flows.watch.mirror.mirrored('watcher', None, {}, print) as watcher: assert watcher == 'watcher'\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('prefect', 'httpx')])"
    )
    environment = {name: value for name, value in os.environ.items() if name not in (API_URL, UI_HOME)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize("n_due", [1, 199, 200, 201, 399, 400, 401, 9_999, 100_000])
def test_there_are_at_most_200_waves_and_every_partition_is_in_one(n_due: int) -> None:
    run = StageRun(0, MAKE, n_due, Pace(n_due, 0))
    n_begun, n_over = 0, 0
    for number in range(n_due):
        wave, is_new = run.take(Committed(str(number), 1, 1))
        n_begun += is_new
        n_over += wave.is_over
    assert n_begun == n_over == -(-n_due // wave_size(n_due)) <= MOST_WAVES
    assert run.pace.n_ended == n_due


def test_a_wave_is_over_when_its_last_partition_ended_however_it_ended() -> None:
    run = StageRun(0, MAKE, 400, Pace(400, 0))
    wave, is_new = run.take(Advanced("a", 0))
    assert is_new and not wave.is_over and wave.name == "a and 1 more"
    assert run.take(Retried("a", "make/a: the network was away\nmore")) == (wave, False)
    assert run.take(Poisoned("b", "make/b: it died")) == (wave, False)
    assert not wave.is_over and wave.faults == ["b: it died"]
    run.take(Failed("a", "input", "no"))
    assert wave.is_over
    assert run.faults == {"the network was away": 1, "it died": 1, "no": 1}
    assert run.summary() == "2 of 400 partitions, 2 failed"


@pytest.mark.parametrize(
    "foreign",
    [
        "<script>alert(1)</script>",
        "</td></tr>|`x`|[click](javascript:alert(1))",
        "![x](http://host/x.png) https://host www.host.org a@host.org",
        "&lt;img src=x onerror=alert(1)&gt;",
        "```\n# head\n\x1b[31m",
    ],
)
def test_foreign_text_is_neither_markup_nor_html(foreign: str) -> None:
    run = StageRun(0, MAKE, 1, Pace(1, 0))
    run.take(Failed("a", "input", foreign))
    row = next(line for line in run.markdown().splitlines() if line.startswith("| 1 |"))
    fault = row.removeprefix("| 1 | ").removesuffix(" |")
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", fault)
    assert not set(bare) & (set(string.punctuation) - {","}) and bare.isprintable() is ("\u200b" not in bare)
    assert not re.search(r"://|www\.|@\w", fault.replace("\\", ""))


def test_plain_words_stay_readable() -> None:
    assert safe_markdown("ä b, 3 <") == "ä b, 3 \\<"
    assert safe_markdown("http://a.b") == "http\\:\u200b\\/\\/a\\.b"


@pytest.fixture
def dead_api() -> str:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return f"http://{HOST}:{probe.getsockname()[1]}/api"


def small(tmp_path: Path) -> Build:
    (tmp_path / "build").mkdir()
    return Build(tmp_path / "build", tmp_path, {})


def test_a_dead_server_switches_the_mirror_off_at_once_with_one_line(
    tmp_path: Path, dead_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**NO_TELEMETRY, API_URL: dead_api, "PREFECT_CLIENT_MAX_RETRIES": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    importlib.import_module("flows.watch.orchestrate")  # its seconds of import are not the mirror's
    said: list[str] = []
    recorder = Recorder()
    started = time.monotonic()
    with mirrored(recorder, small(tmp_path).ledger(), SAID, said.append) as watcher:
        watcher.begin(MAKE, 1, 1, 10)
        watcher.see(MAKE, task("a"), Committed("a", 9, 10))
        watcher.end(MAKE, 1.0)
    assert time.monotonic() - started < 3
    assert len(said) == 1 and said[0].startswith("Prefect gets no further updates: "), said
    assert recorder.begun == [("make", 1, 1)] and len(recorder.events) == 1


class Silent:
    """A scribe that writes down the order of what it is told."""

    refusals = (ConnectionRefusedError,)
    page = "page"

    def __init__(self, refuse: int = 0) -> None:
        self.told: list[tuple[object, ...]] = []
        self.stages_open: set[int] = set()
        self.refuse = refuse

    def __getattr__(self, name: str) -> Callable[..., None]:
        def write(*words: object) -> None:
            if self.refuse:
                self.refuse -= 1
                raise ConnectionRefusedError("away")
            self.told.append((name, *words))

        return write


def mirror_of(scribe: Silent, build: Build, said: list[str]) -> Mirror:
    return Mirror(lambda: scribe, build.ledger(), SAID, said.append)  # type: ignore[arg-type, return-value]


def test_the_order_of_what_is_told_is_that_of_the_run(tmp_path: Path) -> None:
    scribe, said = Silent(refuse=2), list[str]()
    with mirror_of(scribe, small(tmp_path), said) as mirror:
        mirror.begin(MAKE, 3, 0, 0)  # nothing due: nothing to show
        mirror.end(MAKE, 0.0)
    assert [told[0] for told in scribe.told] == ["open_build", "close_build"]
    assert scribe.told[-1] == ("close_build", "COMPLETED", "")
    assert said == ["Prefect: page"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(Interrupted(), "CANCELLED"), (KeyboardInterrupt(), "CANCELLED"), (OSError("full"), "CRASHED")],
)
def test_a_run_that_was_stopped_is_shown_as_such(tmp_path: Path, error: BaseException, outcome: str) -> None:
    scribe = Silent()
    with pytest.raises(type(error)), mirror_of(scribe, small(tmp_path), []) as mirror:
        mirror.begin(MAKE, 2, 2, 0)
        mirror.see(MAKE, task("a"), Advanced("a", 1))
        raise error
    assert [told[0] for told in scribe.told if not told[0].startswith("show")] == [
        "open_build", "open_stage", "open_wave", "close_build"
    ]  # fmt: skip
    assert scribe.told[-1][1] == outcome


class Stuck(Silent):
    """A scribe whose first call ends when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def open_build(self, *words: object) -> None:
        self.begun.set()
        self.go_on.wait()


class Impatient(Mirror):
    """A mirror whose end is broken off by a second Ctrl-C."""

    def _wait(self, thread: threading.Thread, end: float) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("kind", [Mirror, Impatient])
@pytest.mark.parametrize("error", [InputError("where are the corpora?"), KeyboardInterrupt(), None])
def test_threads_that_are_busy_at_the_end_are_waited_for_and_do_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Mirror], error: BaseException | None
) -> None:
    monkeypatch.setattr(mirror_module, "_AFTER_STOP_S", 0.0)
    monkeypatch.setattr(mirror_module, "_LAST_WORDS_S", 0.0)
    scribe = Stuck()
    mirror = kind(lambda: scribe, small(tmp_path).ledger(), SAID, lambda text: None)  # type: ignore[arg-type, return-value]
    try:
        with contextlib.suppress(InputError, KeyboardInterrupt), mirror:
            scribe.begun.wait()
            mirror.begin(MAKE, 2, 2, 0)
            if error is not None:
                raise error
        assert mirror._threads[0].is_alive()
        assert not any(thread.daemon for thread in mirror._threads), "a daemon would not be waited for"
    finally:
        scribe.go_on.set()
    for thread in mirror._threads:
        thread.join(20)
        assert not thread.is_alive()
    assert scribe.told == []


def test_a_stale_address_is_ignored_and_said(tmp_path: Path, dead_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API_URL, raising=False)
    monkeypatch.setenv(UI_HOME, str(tmp_path))
    said: list[str] = []
    assert find_api_url(said.append) == "" and said == []
    (tmp_path / URL_FILE).write_text(dead_api.removesuffix("/api"))
    assert find_api_url(said.append) == ""
    assert len(said) == 1 and "does not answer" in said[0]
    (tmp_path / URL_FILE).write_text("http://elsewhere.example:80")
    assert find_api_url(said.append) == ""


def test_what_the_environment_says_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UI_HOME, str(tmp_path))
    (tmp_path / URL_FILE).write_text("http://127.0.0.1:9")
    for url in ("http://127.0.0.1:8/api", ""):
        monkeypatch.setenv(API_URL, url)
        assert find_api_url(pytest.fail) == url


def test_the_server_is_told_to_send_nothing_and_nothing_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    environment = server_environment(tmp_path, "http://127.0.0.1:4200")
    assert "PREFECT_API_KEY" not in environment
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["PREFECT_HOME"] == str(tmp_path)
    assert environment["PREFECT_SERVER_UI_API_URL"] == "http://127.0.0.1:4200/api"
