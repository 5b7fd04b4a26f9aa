import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flows.ledger.receipt import read_receipt
from flows.run.events import Poisoned, Retried
from flows.run.executor import InlineExecutor, LocalExecutor
from flows.run.runner import Runner, StageFailure
from flows.run.worker import Committed
from schemas.fields import FIELD
from stages import MODULES
from stages.contract import ContractError
from tests.contract.broken import MAKE, attempts_under
from tests.contract.laws import toy_build
from tests.small_build import Build, Recorder, Web, assert_same_contents, contents
from tests.stopwatch import Stopwatch

ROOT = Path(__file__).parent.parent.parent


def run_local(build: Build) -> tuple[Recorder, BaseException | None]:
    """Run a toy pipeline in spawned workers; return the recorder and the error, None if it succeeded."""
    watcher = Recorder()
    with LocalExecutor(build.settings.run) as executor:
        runner = Runner(build.ledger(), executor, watcher, build.catalogue, build.sources)
        try:
            runner.run_module("toy")
        except (StageFailure, ContractError) as error:
            return watcher, error
    return watcher, None


def toy(name: str, folder: Path, **run: Any) -> Build:
    settings: Mapping[str, Any] = {"workers": 2, "memory_gb": 1.0, **run}
    return toy_build(name, folder, run=settings)


def done(build: Build) -> list[str]:
    return [r.partition for r in build.ledger().state(MAKE).receipts]


def n_attempts(build: Build) -> int:
    return attempts_under(build.sources).stat().st_size


@pytest.mark.parametrize(
    ("name", "run", "why"),
    [
        ("EXITS_HARD", {}, "its process ended with exit code 7"),
        ("KILLS_ITSELF", {}, "its process ended with signal SIGKILL"),
        ("HANGS", {"deadline_s": 0.5}, "it ran longer than run.deadline_s = 0.5"),
        ("EATS_MEMORY", {}, r"it held [12]\.\d\d GB; run.memory_gb = 1"),
    ],
)
def test_a_partition_whose_workers_die_twice_is_poisoned(
    tmp_path: Path, name: str, run: dict[str, Any], why: str
) -> None:
    build = toy("SOUND", tmp_path)
    build.run(InlineExecutor(), ["toy"])  # so that only the failing partition is due
    made = build.root / "made" / "part-00"
    made.rename(tmp_path / "away")
    build = Build(
        build.root,
        build.sources,
        {"run": {**build.sections["run"], **run}},
        toy(name, tmp_path).stages,
        f"tests.contract.broken:{name}",
    )
    watcher, error = run_local(build)
    assert isinstance(error, StageFailure)
    retried, poisoned = watcher.of(Retried), watcher.of(Poisoned)
    assert [event.partition for event in (*retried, *poisoned)] == ["part-00", "part-00"]
    for event in (*retried, *poisoned):
        assert re.search(f"make/part-00: {why}", event.message)
    assert "2 times; nothing of it was kept" in poisoned[0].message
    assert done(build) == ["part-01"]
    note = build.ledger().store.failure(
        build.ledger().store.folder("made", "part-00", build.ledger().fingerprint(MAKE, "part-00"))
    )
    assert note == poisoned[0].message
    assert re.search(
        rf"1 of 2 partitions failed:\n  part-00: make/part-00: {why}(.|\n)*the other 1 are done", str(error)
    )


def test_the_death_of_a_worker_does_not_affect_partitions_of_other_workers(tmp_path: Path) -> None:
    build = toy("EXITS_HARD", tmp_path)
    watcher, error = run_local(build)
    assert isinstance(error, StageFailure) and [f.partition for f in error.failures] == ["part-00"]
    assert [event.partition for name, event in watcher.events if name == "make" and isinstance(event, Committed)] == [
        "part-01"
    ]
    assert done(build) == ["part-01"]


def test_a_partition_whose_worker_died_once_is_done_by_another_worker(tmp_path: Path) -> None:
    build = toy("DIES_ONCE", tmp_path, workers=1)
    watcher, error = run_local(build)
    assert error is None
    assert [event.partition for event in watcher.of(Retried)] == ["part-00"]
    assert done(build) == ["part-00", "part-01"] and n_attempts(build) == 2


def test_a_transient_failure_is_retried_with_growing_waits(tmp_path: Path) -> None:
    build = toy("FAILS_TWICE", tmp_path, workers=1, retries=2, backoff_s=0.2)
    started = time.monotonic()
    watcher, error = run_local(build)
    assert error is None
    assert time.monotonic() - started > 0.2 + 0.4
    assert [(e.partition, e.message) for e in watcher.of(Retried)] == [("part-00", "the network was away")] * 2  # type: ignore[union-attr]
    # Other partitions do not wait for it.
    order = [e.partition for name, e in watcher.events if name == "make" and isinstance(e, Committed)]
    assert order == ["part-01", "part-00"]
    assert n_attempts(build) == 3


def test_a_partition_fails_when_a_transient_failure_persists_after_the_retries(tmp_path: Path) -> None:
    build = toy("FAILS_ALWAYS", tmp_path, workers=1, retries=1)
    _, error = run_local(build)
    assert isinstance(error, StageFailure) and "the network stays away" in str(error)
    assert n_attempts(build) == 2 and done(build) == ["part-01"]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("RAISES_INPUT_ERROR", StageFailure, "the file is not as expected"),
        ("RAISES_VALUE_ERROR", ContractError, "ValueError: a fault of the code"),
    ],
)
def test_wrong_input_and_wrong_code_are_not_retried(
    tmp_path: Path, name: str, kind: type[Exception], words: str
) -> None:
    build = toy(name, tmp_path, workers=1)
    watcher, error = run_local(build)
    assert isinstance(error, kind) and words in str(error)
    assert not watcher.of(Retried) and n_attempts(build) == 1


def test_rows_do_not_depend_on_where_partitions_run(tmp_path: Path) -> None:
    local, inline = toy("SOUND", tmp_path / "local"), toy("SOUND", tmp_path / "inline")
    assert run_local(local)[1] is None
    inline.run(InlineExecutor(), ["toy"])
    assert_same_contents(contents(local), contents(inline))


def test_ctrl_c_ends_a_run_cleanly_says_how_to_continue_and_the_next_run_finishes_it(
    small_web: Web, finished: Build, tmp_path: Path
) -> None:
    build = Build(tmp_path / "build", finished.sources)
    arguments = build.arguments(tmp_path)
    small_web.hold.clear()
    n_before = small_web.requests.total()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "build", *arguments],
        cwd=ROOT,
        text=True,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert small_web.wait_for_request(n_before, 300), process.communicate(timeout=5)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: supervisor and workers
        with Stopwatch() as watch:
            small_web.hold.set()
            said, errors = process.communicate(timeout=300)
    finally:
        small_web.hold.set()
        process.kill()
    assert watch.seconds < 30  # 3 s where nothing else runs
    assert process.returncode == 130, said + errors
    words = " ".join(said.split())
    assert "Finished partitions are kept; continue with: make build" in words
    assert f"SOURCES={build.sources}" in words and f"BUILD={build.root}" in words
    assert "Traceback" not in said + errors
    ledger = build.ledger()
    state = ledger.state(build.stage("download"))
    n_done = len(state.receipts)
    assert state.due, "the run had ended before it was stopped"
    for path in build.root.rglob("receipt.json"):
        assert isinstance(read_receipt(path), dict)
    watcher = build.run(InlineExecutor(), MODULES[: MODULES.index("download") + 1])
    redone = [n_due for name, _, n_due in watcher.begun if name == "download"]
    assert redone[0] == len(state.partitions) - n_done
    values = [f.name for f in ledger.writer["fetched"].writes.fields if FIELD[f.name].kind == "value"]
    assert build.rows("fetched", values) == finished.rows("fetched", values) != []
