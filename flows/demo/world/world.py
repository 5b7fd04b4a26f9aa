"""Makes the generated world: source files, the files behind their URLs, and the planned fate of every row.

An independent oracle: it derives fates from its own plan and imports nothing of the pipeline. Its output depends
only on the number of rows, the seed and the port.
"""

import argparse
import csv
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from flows.demo.world.captions import PATTERNS, holds_keyword
from flows.demo.world.labelled import LABELLED, plan_labelled
from flows.demo.world.places import place
from flows.demo.world.plan import Plan
from flows.demo.world.rows import mark_duplicates, mark_outliers, mark_unsafe, normalise
from flows.demo.world.server import serve
from flows.demo.world.sources import write_sources

__all__ = ["PATTERNS", "Fate", "World", "holds_keyword", "load_world", "make_world", "normalise"]

MIN_ROWS = 400
_WORLD_NAMES = frozenset({"sources", "www", "routes.json", "fates.csv", "labelled_truth.csv", "world.json"})


@dataclass(frozen=True)
class Fate:
    """The expected fate of a source row or a labelled image.

    A row with reason listed_again has the first row's sample_id; all other ids are unique.

    Attributes:
        stage: the deciding stage; write_shards for kept rows.
        fate: kept or rejected.
        survivor: for a duplicate, the sample_id of the kept copy; else "".
    """

    sample_id: str
    corpus: str
    url: str
    stage: str
    fate: str
    reason: str
    survivor: str


@dataclass(frozen=True)
class World:
    """A generated world on disk.

    Attributes:
        out: folder with sources/, www/, routes.json, fates.csv, labelled_truth.csv and world.json.
        n_rows: number of source rows of the web corpora.
        port: TCP port in the URLs.
        fates: one per source row, sorted by corpus, part and row, then one per labelled image.
    """

    out: Path
    n_rows: int
    seed: int
    port: int
    fates: tuple[Fate, ...]

    @property
    def sources(self) -> Path:
        """The SOURCES folder."""
        return self.out / "sources"

    @property
    def web_fates(self) -> tuple[Fate, ...]:
        """The fates of the web corpora's rows."""
        return tuple(fate for fate in self.fates if fate.corpus not in LABELLED)

    def counts(self) -> dict[str, int]:
        """Return the number of rows by `stage/reason`; `stage/kept` for kept rows."""
        found = Counter(f"{fate.stage}/{fate.reason or fate.fate}" for fate in self.fates)
        return dict(sorted(found.items()))


def make_world(out: Path, *, n_rows: int = 3000, seed: int = 5, port: int = 18431) -> World:
    """Write a world and return it, replacing an older world in the same folder.

    Raises:
        FileExistsError: the folder contains other files.
        ValueError: n_rows is below MIN_ROWS, too few for every fate to occur.
    """
    if n_rows < MIN_ROWS:
        raise ValueError(f"a world of {n_rows} rows cannot have every fate: at least {MIN_ROWS} rows are needed")
    _check_room(out)
    plan = Plan(n_rows, seed, port)
    placed = place(plan.rows, seed)
    mark_duplicates(plan.rows)
    mark_outliers(plan.rows)
    mark_unsafe(plan.rows)
    fates = tuple(
        Fate(
            row.sample_id, row.corpus, row.url or "", row.stage, "rejected" if row.reason else "kept", row.reason,
            row.survivor,
        )
        for rows in placed.values()
        for row in rows
    )  # fmt: skip
    labelled = plan_labelled(n_rows, seed, plan.gallery, plan.rows)
    fates += tuple(
        Fate(row.sample_id, row.corpus, "", row.stage, "rejected" if row.reason else "kept", row.reason, "")
        for row in labelled.rows
    )
    world = World(out, n_rows, seed, port, fates)
    _clear(out)
    write_sources(world.sources, placed, seed)
    labelled.write(world.sources, out / "labelled_truth.csv")
    for name, body in plan.web.files.items():
        path = out / "www" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    _write_json(out / "routes.json", plan.web.routes)
    _write_fates(out / "fates.csv", fates)
    _write_json(out / "world.json", {"rows": n_rows, "seed": seed, "port": port, "counts": world.counts()})
    return world


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True) + "\n")


def _write_fates(path: Path, fates: Sequence[Fate]) -> None:
    names = [field.name for field in fields(Fate)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([getattr(fate, name) for name in names] for fate in fates)


def _check_room(out: Path) -> None:
    """Raise FileExistsError if the folder contains anything but a complete or partial world."""
    foreign = sorted(path.name for path in out.iterdir() if path.name not in _WORLD_NAMES) if out.exists() else []
    if foreign:
        raise FileExistsError(f"{out} contains {foreign[0]}, which is not part of a world: give a new or empty folder")


def _clear(out: Path) -> None:
    """Remove an older world; world.json is removed first and written last, so a world that has one is complete."""
    for name in ("world.json", "routes.json", "fates.csv", "labelled_truth.csv"):
        (out / name).unlink(missing_ok=True)
    for name in ("sources", "www"):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)


def load_world(out: Path) -> World:
    """Return the world that `make_world` wrote to a folder."""
    about = json.loads((out / "world.json").read_text())
    with (out / "fates.csv").open(encoding="utf-8", newline="") as file:
        fates = tuple(Fate(**row) for row in csv.DictReader(file))
    return World(out, about["rows"], about["seed"], about["port"], fates)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a world or serve one; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m flows.demo.world", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="write a world into a folder")
    make.add_argument("out", type=Path)
    make.add_argument("--rows", type=int, default=3000)
    make.add_argument("--seed", type=int, default=5)
    make.add_argument("--port", type=int, default=18431)
    server = commands.add_parser("serve", help="serve a world's images on loopback")
    server.add_argument("out", type=Path)
    server.add_argument("--pass", dest="pass_number", type=int, default=0, help="download pass to serve, from 0")
    server.add_argument("--until-eof", action="store_true", help="stop when standard input closes")
    options = parser.parse_args(arguments)
    if options.command == "serve":
        return serve(options.out, options.pass_number, until_eof=options.until_eof)
    if options.rows < MIN_ROWS:
        parser.error(f"--rows {options.rows}: expected at least {MIN_ROWS}, so that every fate occurs")
    start = time.monotonic()
    try:
        world = make_world(options.out, n_rows=options.rows, seed=options.seed, port=options.port)
    except FileExistsError as error:
        print(error, file=sys.stderr)
        return 1
    for name, n_rows in world.counts().items():
        print(f"{n_rows:6d}  {name}")
    print(f"{len(world.fates):6d}  rows in {options.out}, made in {time.monotonic() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
