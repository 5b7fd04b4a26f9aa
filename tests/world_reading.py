"""A small generated world read back from its files: source rows, routes, and the file that arrives at a path.

For the tests of the world itself; the pipeline is not involved.
"""

import bz2
import json
import re
import socket
from pathlib import Path
from urllib.parse import unquote_plus

import pyarrow.parquet as pq

from tests.world import Fate, World, make_world, normalise
from tests.world_rows import CC3M, YFCC
from tests.world_server import Answer

N_ROWS = 400


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def make_small_world(out: Path) -> World:
    """Make a world of N_ROWS rows on a free port."""
    return make_world(out, n_rows=N_ROWS, port=free_port())


def read_routes(world: World) -> dict[str, list[Answer]]:
    """Return what each path answers, pass by pass."""
    return json.loads((world.out / "routes.json").read_text())


def source_rows(world: World) -> dict[str, tuple[str | None, str | None] | None]:
    """Return caption and URL by sample_id, read back from the files; None for a line that cannot be read."""
    rows: dict[str, tuple[str | None, str | None] | None] = {}
    for path in sorted(world.sources.rglob("part-*.parquet")):
        corpus, part = path.parent.name, int(path.name.split("-")[1])
        table = pq.read_table(path)
        names = {name.lower(): name for name in table.column_names}
        pairs = zip(table[names["text"]].to_pylist(), table[names["url"]].to_pylist(), strict=True)
        rows |= {f"{corpus}_{part}_{n}": pair for n, pair in enumerate(pairs)}
    lines = (world.sources / CC3M / "Train_GCC-training.tsv").read_bytes().removesuffix(b"\n").split(b"\n")
    for n, line in enumerate(lines):
        try:
            caption, url = line.decode().split("\t")
            rows[f"{CC3M}_0_{n}"] = (caption, url)
        except ValueError:
            rows[f"{CC3M}_0_{n}"] = None
    return rows | _photos(world.sources / YFCC)


def _photos(folder: Path) -> dict[str, tuple[str, str] | None]:
    listed = bz2.decompress((folder / "yfcc100m_subset_data.tsv.bz2").read_bytes()).decode().splitlines()
    rows: dict[str, tuple[str, str] | None] = {f"{YFCC}_{line.split()[1]}": None for line in listed}
    first, second = folder / "yfcc100m_dataset-0.bz2", folder / "yfcc100m_dataset-7"
    for line in (bz2.decompress(first.read_bytes()) + second.read_bytes()).removesuffix(b"\n").split(b"\n"):
        fields = line.split(b"\t")
        sample_id = f"{YFCC}_{fields[0].decode()}"
        if sample_id in rows and len(fields) == 23 and not line.endswith(b"\xff"):
            texts = [unquote_plus(fields[n].decode()) for n in (6, 7)]
            rows[sample_id] = (" ".join(text for text in texts if text), fields[14].decode())
    return rows


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
