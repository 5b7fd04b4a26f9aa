"""Runs whose process is gone are closed, with their stages."""

from dataclasses import replace
from pathlib import Path

import pytest

from flows.deploy.serve import close_the_dead
from flows.watch.memory import MEMORY, Memory
from tests.unit.flows.watch.fake_server import FakeServer


@pytest.mark.parametrize(
    ("state", "is_alive", "expected"),
    [
        ("RUNNING", False, ("CRASHED", "CRASHED")), ("COMPLETED", False, ("COMPLETED", "COMPLETED")),
        ("FAILED", False, ("FAILED", "FAILED")), ("RUNNING", True, ("RUNNING", "RUNNING")),
        ("CRASHED", True, ("CRASHED", "RUNNING")),
    ],
)  # fmt: skip
def test_a_dead_process_leaves_no_open_run_and_no_open_stage(
    tmp_path: Path, state: str, is_alive: bool, expected: tuple[str, str]
) -> None:
    server, memory = FakeServer(), Memory(tmp_path / MEMORY)
    run = server.open_run("build", "b", {"build": str(tmp_path)})
    stage = server.open_run("sort", "sort", {}, parent_task=server.open_task(run, "sort", "0", "sort"))
    memory.add(run)
    if not is_alive:
        memory._write([replace(entry, born="") for entry in memory.read()])
    server.runs[run] = state
    suspects = close_the_dead(server, set())  # type: ignore[arg-type]
    assert (server.runs[run], server.runs[stage]) == (state, "RUNNING"), "one look is not enough"
    close_the_dead(server, suspects)  # type: ignore[arg-type]
    assert (server.runs[run], server.runs[stage]) == expected
    assert bool(memory.read()) is is_alive
