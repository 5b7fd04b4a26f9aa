import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from flows.run.events import Advanced
from flows.run.worker import Committed, Failed
from flows.watch import sync as sync_module
from flows.watch.closing import bury
from flows.watch.course import Course
from flows.watch.memory import MEMORY, Memory
from flows.watch.sync import _RUNNER_ENDED, Door, Sync
from tests.contract.broken import MAKE
from tests.unit.flows.watch.fake_server import Away, FakeServer, Unknown
from tests.unit.flows.watch.test_progress import task

SORT, LAST = replace(MAKE, name="sort"), replace(MAKE, name="last")
SAID = {"profile": "small", "name": "b", "flow": "build"}
GIVEN = "11111111-1111-4111-8111-111111111111"
ALIVE = Door(GIVEN, os.getppid())
GONE = Door(GIVEN, 1 << 22)


class Wanted:
    """A sync with a fake server, and its messages and calls."""

    def __init__(self, folder: Path, door: Door | None = None) -> None:
        self.server, self.said, self.n_cancelled = FakeServer(), list[str](), 0
        self.course = Course([MAKE, SORT])
        self.memory = Memory(folder / MEMORY)
        if door is not None:
            self.server.runs[door.run] = "RUNNING"
        self.sync = Sync(self.server, self.course, self.memory, SAID, door, self.said.append, self._cancel)  # type: ignore[arg-type]

    def _cancel(self) -> None:
        self.n_cancelled += 1

    def half_way(self) -> None:
        """Complete one stage and start another."""
        self.course.begin(MAKE, 2, 2, 20)
        for name in ("a", "b"):
            self.course.see(MAKE, task(name), Committed(name, 9, 10, {"no_url": 1}))
        self.course.end(MAKE, True)
        self.course.begin(SORT, 3, 3, 30)
        self.course.see(SORT, task("a"), Committed("a", 10, 10))
        self.course.see(SORT, task("b"), Advanced("b", 5))

    def complete(self) -> None:
        for name in ("b", "c"):
            self.course.see(SORT, task(name), Committed(name, 10, 10))
        self.course.end(SORT, True)


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    return Wanted(tmp_path)


def test_stages_and_waves_are_shown_in_their_states_and_created_once(wanted: Wanted) -> None:
    wanted.half_way()
    wanted.sync.step()
    server = wanted.server
    assert Counter(server.runs.values()) == {"RUNNING": 2, "COMPLETED": 1}
    assert Counter(server.tasks.values()) == {"COMPLETED": 4, "RUNNING": 2}  # make, its 2 waves, one wave of sort
    made = (server.calls["open_run"], server.calls["open_task"])
    wanted.sync.step()
    assert (server.calls["open_run"], server.calls["open_task"]) == made
    wanted.complete()
    wanted.sync.finish("COMPLETED", "")
    assert set(server.runs.values()) == set(server.tasks.values()) == {"COMPLETED"}
    assert server.shown("build-progress") == 100
    assert wanted.memory.read() == []
    assert any(line.startswith("make: 2 of 2 partitions") for line in server.logs) and not wanted.course.lines


@pytest.mark.parametrize("n_calls", range(0, 30, 3))
def test_a_server_that_fails_at_any_call_gets_everything_later(tmp_path: Path, n_calls: int) -> None:
    wanted = Wanted(tmp_path)
    wanted.half_way()
    wanted.server._call = _away_after(wanted.server, n_calls)  # type: ignore[method-assign]
    with pytest.raises(Away):
        wanted.sync.step(is_last=True)
        wanted.sync.step(is_last=True)
        wanted.sync.finish("COMPLETED", "")
        pytest.fail(f"it took fewer than {n_calls} calls")
    del wanted.server._call  # type: ignore[method-assign]
    wanted.complete()
    wanted.sync.step()
    wanted.sync.finish("COMPLETED", "")
    assert set(wanted.server.runs.values()) == set(wanted.server.tasks.values()) == {"COMPLETED"}
    assert len(wanted.server.runs) == 3 and len(wanted.server.tasks) == 7
    assert wanted.server.shown("build-progress") == 100


def test_a_stage_that_waits_for_a_worker_has_no_run_yet(wanted: Wanted) -> None:
    wanted.course.begin(MAKE, 2, 2, 20)
    wanted.sync.step()
    assert (len(wanted.server.runs), len(wanted.server.tasks)) == (1, 0)
    wanted.course.see(MAKE, task("a"), Advanced("a", 0))
    wanted.sync.step()
    assert (len(wanted.server.runs), len(wanted.server.tasks)) == (2, 2)


def test_a_server_that_refuses_most_calls_shows_the_build_before_its_stages(wanted: Wanted) -> None:
    wanted.half_way()
    wanted.server._call = _away_after(wanted.server, 4)  # type: ignore[method-assign]
    with pytest.raises(Away):
        wanted.sync.step(is_last=True)
    assert "make" in str(wanted.server.shown("build-stages"))
    assert wanted.server.calls["open_task"] == 0


@pytest.mark.parametrize("name", ["open_run", "open_task", "show"])
def test_what_a_dying_server_wrote_down_without_an_answer_exists_once(tmp_path: Path, name: str) -> None:
    wanted = Wanted(tmp_path, ALIVE)
    wanted.half_way()
    wanted.server.unanswered = name
    with pytest.raises(Away):
        wanted.sync.step(is_last=True)
    wanted.complete()
    wanted.sync.finish("COMPLETED", "")
    assert len(wanted.server.runs) == 3 and len(wanted.server.tasks) == 7
    assert wanted.server.shown("build-progress") == 100


def _away_after(server: FakeServer, n_calls: int):  # type: ignore[no-untyped-def]
    left = [n_calls]
    call = type(server)._call

    def fail(name: str, *known: str) -> None:
        if not left[0]:
            raise Away("away")
        left[0] -= 1
        call(server, name, *known)

    return fail


def test_an_emptied_database_is_filled_with_the_current_state(wanted: Wanted) -> None:
    wanted.half_way()
    wanted.sync.step()
    before = wanted.sync.run
    wanted.server.lose_everything()
    with pytest.raises(Unknown):
        wanted.sync.step()
    wanted.sync.forget()
    wanted.complete()
    wanted.sync.step()
    wanted.sync.finish("COMPLETED", "")
    assert wanted.sync.run != before
    assert len(wanted.server.runs) == 3 and set(wanted.server.runs.values()) == {"COMPLETED"}


@pytest.mark.parametrize("kind", ["CANCELLING", "CANCELLED"])
def test_a_run_is_cancelled_once_by_its_own_state(wanted: Wanted, kind: str) -> None:
    wanted.sync.step()
    wanted.server.runs[wanted.sync.run] = kind
    for _ in range(3):
        wanted.sync.step()
    assert wanted.n_cancelled == 1 and wanted.server.runs[wanted.sync.run] == kind


def test_a_living_flow_cancels_logs_and_ends_its_run_itself(tmp_path: Path) -> None:
    wanted = Wanted(tmp_path, ALIVE)
    wanted.half_way()
    wanted.server.runs[GIVEN] = "CANCELLING"
    wanted.sync.step()
    assert wanted.sync.run == GIVEN and wanted.n_cancelled == 0 and wanted.server.logs == []
    wanted.sync.finish("CANCELLED", "stopped")
    assert wanted.server.runs[GIVEN] == "CANCELLING", "the flow sets the state"
    assert [(entry.run, entry.outcome) for entry in wanted.memory.read()] == [(GIVEN, "CANCELLED")]


@pytest.mark.parametrize(("kind", "wait_s"), [("CANCELLED", 99.0), ("CANCELLING", 0.0)])
def test_a_cancellation_that_a_living_flow_does_not_pass_on_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, wait_s: float
) -> None:
    monkeypatch.setattr(sync_module, "_FLOW_CANCELS_WITHIN_S", wait_s)
    wanted = Wanted(tmp_path, ALIVE)
    wanted.sync.step()
    wanted.server.runs[GIVEN] = kind
    for _ in range(3):
        wanted.sync.step()
    assert wanted.n_cancelled == 1 and wanted.said.count("cancelled in Prefect") == 1


@pytest.mark.parametrize("door", [ALIVE, GONE, None])
def test_a_suspended_run_goes_on_says_so_once_and_is_ended_by_the_sync(tmp_path: Path, door: Door | None) -> None:
    wanted = Wanted(tmp_path, door)
    wanted.half_way()
    wanted.sync.step()
    for kind in ("PAUSED", "SCHEDULED", "PAUSED"):
        wanted.server.runs[wanted.sync.run] = kind
        wanted.sync.step()
        assert wanted.server.runs[wanted.sync.run] == "RUNNING"
    assert wanted.n_cancelled == 0 and sum("cannot be suspended" in line for line in wanted.said) == 1
    wanted.complete()
    wanted.sync.finish("COMPLETED", "")
    assert set(wanted.server.runs.values()) == set(wanted.server.tasks.values()) == {"COMPLETED"}
    assert wanted.memory.read() == []


@pytest.mark.parametrize(("kind", "message"), [("CRASHED", "Process exited"), ("CANCELLED", _RUNNER_ENDED)])
def test_a_run_without_its_flow_continues_and_is_ended_by_the_sync(tmp_path: Path, kind: str, message: str) -> None:
    wanted = Wanted(tmp_path, GONE)
    wanted.sync.step()
    wanted.server.runs[GIVEN], wanted.server.messages[GIVEN] = kind, message
    wanted.sync.step()
    assert wanted.server.runs[GIVEN] == "RUNNING" and wanted.n_cancelled == 0
    wanted.sync.finish("COMPLETED", "")
    assert wanted.server.runs[GIVEN] == "COMPLETED" and wanted.memory.read() == []


def test_open_runs_of_a_killed_process_are_closed_and_a_second_attempt_has_its_own_tasks(tmp_path: Path) -> None:
    first = Wanted(tmp_path, GONE)
    first.half_way()
    first.sync.step()
    second = Wanted(tmp_path, GONE)
    second.server = second.sync.scribe = first.server  # type: ignore[assignment]
    second.half_way()
    second.sync.step()
    assert Counter(first.server.tasks.values()) == {"COMPLETED": 8, "CRASHED": 2, "RUNNING": 2}
    assert first.server.runs[GIVEN] == "RUNNING"


def test_a_failed_partition_shows_as_a_failed_wave_and_stage(wanted: Wanted) -> None:
    wanted.course.begin(MAKE, 2, 2, 20)
    wanted.course.see(MAKE, task("a"), Failed("a", "input", "no such file"))
    wanted.course.see(MAKE, task("b"), Committed("b", 10, 10))
    wanted.course.end(MAKE, True)
    wanted.sync.step()
    assert Counter(wanted.server.tasks.values()) == {"FAILED": 2, "COMPLETED": 1}
    wanted.sync.finish("FAILED", "make: 1 of 2 partitions failed")
    assert set(wanted.server.runs.values()) == {"FAILED"}
    assert "**1 failed**" in str(wanted.server.shown("build-stages"))


def test_a_stage_that_another_stages_failure_stopped_has_not_failed_itself(wanted: Wanted) -> None:
    wanted.half_way()
    wanted.sync.step()
    wanted.course.begin(LAST, 1, 1, 10)
    wanted.course.see(LAST, task("a"), Failed("a", "input", "no such file"))
    for stage in (LAST, SORT):
        wanted.course.end(stage, False)
    wanted.sync.finish("FAILED", "last: 1 of 1 partitions failed:\n  a: no such file")
    server = wanted.server
    assert list(server.runs.values()) == ["FAILED", "COMPLETED", "CANCELLED", "FAILED"]
    stopped = server.messages[list(server.runs)[2]]
    assert stopped.startswith("stopped: 1 of 3 partitions")
    assert stopped.endswith("the build ended: last: 1 of 1 partitions failed")
    assert "RUNNING" not in server.tasks.values()


def test_the_page_of_a_killed_run_says_that_its_figures_are_old(tmp_path: Path) -> None:
    killed = Wanted(tmp_path)
    killed.half_way()
    killed.sync.step(is_last=True)
    killed.sync.step(is_last=True)
    server = killed.server
    build, _, stage = server.runs
    before = dict(server.artifacts)
    server._call = _away_after(server, 4)  # type: ignore[method-assign]
    with pytest.raises(Away):  # in the middle of the marks
        bury(server, killed.memory)  # type: ignore[arg-type]
    del server._call  # type: ignore[method-assign]
    bury(server, killed.memory)  # type: ignore[arg-type]
    marked = [artifact for artifact, (run, _, _) in server.artifacts.items() if run in (build, stage)]
    assert len(marked) >= 4
    for artifact, (run, key, data) in server.artifacts.items():
        kind, description = server.descriptions[artifact]
        n_marks = int(artifact in marked)
        assert description.count("killed, or the machine went down") == n_marks, key
        assert description.count("last figures, of 2026-05-04 03:02 UTC") == n_marks, key
        assert str(data).count("Run the same command again") == n_marks * (kind == "markdown"), key
        assert str(data).endswith(str(before[artifact][2])) and run in server.runs
    assert server.runs[stage] == "CRASHED"


def test_a_second_attempt_shows_its_own_figures_again(tmp_path: Path) -> None:
    first = Wanted(tmp_path, GONE)
    first.half_way()
    first.sync.step(is_last=True)
    second = Wanted(tmp_path, GONE)
    second.server = second.sync.scribe = first.server  # type: ignore[assignment]
    second.sync.step(is_last=True)
    marks = {key: "killed" in first.server.descriptions[a][1] for a, (_, key, _) in first.server.artifacts.items()}
    assert not marks["build-progress"] and not marks["figures-make"] and marks["figures-sort"]
