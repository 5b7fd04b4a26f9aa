"""A small generated world, shared by all tests; signal handlers are restored after each test."""

import signal
from collections.abc import Iterator

import pytest

from flows.demo.world.reading import make_small_world, read_routes
from flows.demo.world.server import Answer
from flows.demo.world.world import World


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Restore the signal handler that the command line replaces."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_small_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def routes(world: World) -> dict[str, list[Answer]]:
    return read_routes(world)
