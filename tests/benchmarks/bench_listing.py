"""bench-listing: cost per entry of listing SOURCES, and that later commands do not list it again.

The files are real and empty, half in one flat folder and half in folders of four: only their number matters.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from schemas.tables import SOURCE_LISTING
from stages.contract import Context, Outcome, no_rejects
from stages.inventory.stage import LIST_SOURCES, ListingParams
from tests.benchmarks.harness import BENCH, Goal, Row, cpu_seconds, report, seconds, sized

MAX_LOOK_US = 10  # per entry: ten million take 100 s
MAX_OVER_BARE = 3.5  # over a bare walk that stats each file; the ratio holds on a slow or shared machine
N_ENTRIES = sized(1_000_000, 2_000)
_PER_FOLDER = 4


def main() -> None:
    """Measure, print and write build/bench/listing.json."""
    sources = make_sources(BENCH / "listing" / "sources", N_ENTRIES)
    found: list[Outcome] = []
    bare_s = cpu_seconds(lambda: walk(sources))
    first_s = cpu_seconds(lambda: found.append(look(sources, SOURCE_LISTING.schema.empty_table())))
    kept, rejects = found[0].kept, found[0].rejects
    again: list[Outcome] = []
    again_wall_s = seconds(lambda: again.append(look(sources, kept, rejects)))
    again_s = cpu_seconds(lambda: again.append(look(sources, kept, rejects)))
    case = f"{N_ENTRIES:,} files"
    rows = [
        _row(f"{case}: first look", first_s, bare_s),
        _row(f"{case}: look again, nothing has changed", again_s, bare_s),
        Row(f"{case}: look again, wall time", again_wall_s * 1e6 / N_ENTRIES, "us per entry"),
    ]
    goals = [
        Goal("first look, CPU us per entry", first_s * 1e6 / N_ENTRIES, MAX_LOOK_US),
        Goal("look again, CPU us per entry", again_s * 1e6 / N_ENTRIES, MAX_LOOK_US),
        Goal("first look over a bare walk", first_s / bare_s, MAX_OVER_BARE),
        Goal("files that are not listed", N_ENTRIES - kept.num_rows, 0),
        Goal("rows of a second look at the same", sum(outcome.kept.num_rows for outcome in again), 0),
    ]
    report("listing", rows, goals)


def look(sources: Path, before: pa.Table, rejects: pa.Table | None = None) -> Outcome:
    """Return the listing of SOURCES."""
    given = {"source_listing": before, "source_listing_rejects": no_rejects(SOURCE_LISTING)}
    given |= {} if rejects is None else {"source_listing_rejects": rejects}
    context = Context("000", ListingParams(corpora=(), halves="both", pilot=1.0), None, {}, None, sources)  # type: ignore[arg-type]
    return LIST_SOURCES.run(given, context)


def walk(folder: Path) -> int:
    """Return the number of files under a folder after calling stat on each: the floor of a listing."""
    n_files, waiting = 0, [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    entry.stat()
                    n_files += 1
    return n_files


def make_sources(sources: Path, n_entries: int) -> Path:
    """Make a SOURCES folder with n_entries empty files of MillionAID and FMoW, unless it exists."""
    done = sources.with_name(f"{n_entries}.made")
    if not done.exists():
        shutil.rmtree(sources.parent, ignore_errors=True)
        flat = sources / "millionaid" / "test"
        flat.mkdir(parents=True)
        _touch(n_entries // 2, lambda i: flat / f"P{i:07d}.jpg")
        _touch(n_entries - n_entries // 2, lambda i: _view(sources / "fmow" / "train" / "airport", i))
        done.touch()
    return sources


def _view(folder: Path, i: int) -> Path:
    scene, view = divmod(i, _PER_FOLDER)
    if not view:
        (folder / f"airport_{scene}").mkdir(parents=True)
    return folder / f"airport_{scene}" / f"airport_{scene}_{view // 2}_rgb.{'json' if view % 2 else 'jpg'}"


def _touch(n_files: int, path_of: Callable[[int], Path]) -> None:
    for i in range(n_files):
        os.close(os.open(path_of(i), os.O_CREAT | os.O_WRONLY))


def _row(case: str, value_s: float, floor_s: float) -> Row:
    return Row(case, value_s * 1e6 / N_ENTRIES, "us per entry", floor_s * 1e6 / N_ENTRIES, value_s / floor_s)


if __name__ == "__main__":
    main()
