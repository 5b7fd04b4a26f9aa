"""A small generated world read back from its files: routes, and the file that arrives at a path.

For the tests of the world itself; the pipeline is not involved. Source files: flows/demo/world/source_reading.py.
"""

import json
import re
import socket
from pathlib import Path

from flows.demo.world.server import Answer
from flows.demo.world.world import Fate, World, make_world, normalise

N_ROWS = 400


def free_port() -> int:
    """Return a port on loopback that nothing uses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def make_small_world(out: Path) -> World:
    """Make a world of N_ROWS rows on a free port."""
    return make_world(out, n_rows=N_ROWS, port=free_port())


def read_routes(world: World) -> dict[str, list[Answer]]:
    """Return what each path answers, pass by pass."""
    found: dict[str, list[Answer]] = json.loads((world.out / "routes.json").read_text())
    return found


def path_of(fate: Fate, port: int) -> str:
    """Return path and query that a client asks for; the host's root for an empty path."""
    return normalise(fate.url).split(f":{port}", 1)[1]


def arriving_file(routes: dict[str, list[Answer]], path: str) -> str:
    """Return the file that a patient client gets in the end, following redirects."""
    for _ in range(9):
        answers = routes[path]
        # What was delivered is settled; a later pass does not ask again.
        answer = next((a for a in answers if a["kind"] in ("file", "redirect")), answers[-1])
        if answer["kind"] != "redirect":
            return str(answer["file"])
        path = re.sub(r"^http://[^/]+", "", answer["location"])
    raise AssertionError(f"{path} never arrives")
