from dataclasses import replace
from pathlib import Path

import pytest

from flows.watch.closing import bury
from flows.watch.memory import MEMORY, Memory
from tests.unit.flows.watch.fake_server import FakeServer

GIVEN = "11111111-1111-4111-8111-111111111111"


def test_only_dead_runs_are_closed_with_their_recorded_outcome(tmp_path: Path) -> None:
    server, memory = FakeServer(), Memory(tmp_path / MEMORY)
    alive, dead, ended = (server.open_run("build", "b", {}) for _ in range(3))
    for run in (alive, dead, ended):
        memory.add(run)
    figures = [("build-progress", "progress", 40.0, "2 of 5 stages")]
    memory.note(ended, "FAILED", "the disk is full", figures, ["screen: 4 of 9 partitions"])
    server.show(ended, "build-progress", "progress", 20.0, "when the server died")
    memory._write([replace(e, born="") if e.run != alive else e for e in memory.read()])
    bury(server, memory, only_dead=True)  # type: ignore[arg-type]
    assert (server.runs[alive], server.runs[dead], server.runs[ended]) == ("RUNNING", "CRASHED", "FAILED")
    assert server.messages[ended] == "the disk is full" and server.shown("build-progress") == 40.0
    assert server.logs == ["screen: 4 of 9 partitions"]
    assert [entry.run for entry in memory.read()] == [alive]


@pytest.mark.parametrize("text", ["", "{", "[1]", '["x"]', '[{"run": "no id"}]', '[{"run": 3}]'])
def test_a_damaged_record_of_runs_closes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / MEMORY).write_text(text)
    bury(FakeServer(), Memory(tmp_path / MEMORY))  # type: ignore[arg-type]
    Memory(tmp_path / MEMORY).add(GIVEN)
    assert [entry.run for entry in Memory(tmp_path / MEMORY).read()] == [GIVEN]
