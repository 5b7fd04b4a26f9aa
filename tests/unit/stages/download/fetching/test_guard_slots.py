import dataclasses
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.download.fetching.answer import Note
from stages.download.fetching.faults import Refused
from stages.download.fetching.guard import Guard
from stages.download.fetching.slots import HostSlots
from tests.stopwatch import Stopwatch, undisturbed
from tests.unit.stages.download.fetching.guard_client import LIMITS, fetch, fetch_all, fetch_in_child
from tests.unit.stages.download.fetching.hostile_server import HostileServer, body_of, serve


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with serve() as running:
        yield running


def test_limits_hold_for_one_host_over_two_processes(server: HostileServer, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    children = [
        spawn.Process(target=fetch_in_child, args=(f"{server.url}/slow", 24, tmp_path / "slots", 2)) for _ in range(2)
    ]
    server.wanted_busy = 2
    for child in children:
        child.start()
    for child in children:
        child.join(300)
    assert [child.exitcode for child in children] == [0, 0]
    assert server.n_connections == 48
    assert server.max_busy == 2


def test_limits_hold_for_one_host_over_threads(server: HostileServer) -> None:
    server.wanted_busy = 3
    limits = dataclasses.replace(LIMITS, n_threads=16, max_per_host=3)
    assert fetch_all(f"{server.url}/slow", n_urls=32, limits=limits) == [b"slow"] * 32
    assert server.max_busy == 3


def test_waiting_for_a_slot_does_not_count_as_fetch_time_but_is_bounded(server: HostileServer, tmp_path: Path) -> None:
    holder = HostSlots(tmp_path, max_per_host=1)
    limits = dataclasses.replace(LIMITS, max_fetch_s=0.3, n_threads=2, max_per_host=1, host_slots=tmp_path)

    def wait_and_fetch() -> tuple[float, Note, float, bytes | None, Note]:
        with holder.hold("127.0.0.1", max_wait_s=1) as waited_s, Stopwatch() as watch:
            held = fetch(f"{server.url}/ok/10", limits=limits)[1]
        return waited_s, held, watch.seconds, *fetch(f"{server.url}/ok/10", limits=limits)

    waited_s, held, seconds, body, note = undisturbed(wait_and_fetch)
    assert waited_s < 0.1
    assert held.reason == "no_result"
    assert 0.6 <= seconds < 5
    assert body == body_of("/ok/10")
    assert note.fetch_ms < 300


def test_a_slot_is_freed_by_a_refusal(server: HostileServer) -> None:
    limits = dataclasses.replace(LIMITS, n_threads=1, max_per_host=1)
    guard = Guard(limits)
    for n in range(5):
        with pytest.raises(Refused, match="http_not_found"):
            guard.open(f"{server.url}/missing/{n}")
    with guard.open(f"{server.url}/ok/10") as response:
        assert response.read() == body_of("/ok/10")
