"""Makes a small generated world and reads its routes back: for the tests of the world itself.

Imports nothing of the pipeline. Source files are read in flows/demo/world/source_reading.py.
"""

import json
import re
import socket
from pathlib import Path

from flows.demo.world.server import Answer
from flows.demo.world.world import Fate, World, make_world, normalise

N_ROWS = 400


def free_port() -> int:
    """Return an unused port on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def make_small_world(out: Path) -> World:
    """Make a world of N_ROWS rows on a free port."""
    return make_world(out, n_rows=N_ROWS, port=free_port())


def read_routes(world: World) -> dict[str, list[Answer]]:
    """Return the answers of each path, one per download pass."""
    found: dict[str, list[Answer]] = json.loads((world.out / "routes.json").read_text())
    return found


def path_of(fate: Fate, port: int) -> str:
    """Return the path and query that a client requests; "/" for an empty path."""
    return normalise(fate.url).split(f":{port}", 1)[1]


def arriving_file(routes: dict[str, list[Answer]], path: str) -> str:
    """Return the file that a client finally gets, following redirects and retrying in later passes."""
    for _ in range(9):
        answers = routes[path]
        # A delivered URL is not requested again in a later pass.
        answer = next((a for a in answers if a["kind"] in ("file", "redirect")), answers[-1])
        if answer["kind"] != "redirect":
            return str(answer["file"])
        path = re.sub(r"^http://[^/]+", "", answer["location"])
    raise AssertionError(f"{path} never arrives")
