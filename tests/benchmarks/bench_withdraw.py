"""bench-withdraw: the time of a withdrawal that rewrites all of 128 tars of small members, three a sample.

Rows are synthetic, as in bench-global. The bodies, which are all one JPEG, and the stages of a withdrawal are real.
N_CANDIDATES=2200000 makes one build of about as many members as the goal has (half an hour, 25 GB of disk).
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flows.ask.tars import tar_digests
from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.run.executor import LocalExecutor
from flows.run.runner import Runner
from flows.settings import load_settings
from stages import MODULES, STAGES
from stages.contract import Reads, Stage
from stages.screen.strip_metadata import strip_metadata
from tests.benchmarks.global_build import N_ROWS, ROWS, SYNTHETIC, inventing
from tests.benchmarks.harness import BENCH, IS_TOY, Goal, Row, report, seconds, sized
from tests.benchmarks.silent import Silent
from tests.benchmarks.web_images import draw_jpegs

N_CANDIDATES = (300,) if IS_TOY else tuple(map(int, os.environ.get("N_CANDIDATES", "10000 200000").split()))
GOAL_TARS, GOAL_MEMBERS, GOAL_S = 128, 40_000, 600
MEMBERS_OF_A_SAMPLE = 3  # name, picture and caption, as published
N_WORKERS = sized(2, 1)
_SETTINGS = (
    f"run.workers={N_WORKERS}",
    "run.reserve_gb=0",
    "run.memory_gb=4",
    "download.placeholder_n_urls=0",
    "download.placeholder_n_direct=0",
    f"shard.n_shards={sized(32, 2)}",
)
_BODY = "body.jpg"  # under SOURCES
_DATA = list(draw_jpegs(2, (96, 96)))[1]  # the first has a colour profile, which holds the time of day
_PUBLISHED = strip_metadata(_DATA, "JPEG", 1).data
_REAL = "write_shards"
_MEMBERS_BYTES = 5_000  # of a sample in a tar: body, caption, record, headers
# What the rows of these stages say of the body.
_COLUMNS = {
    "fetch_attempt": ("body_file", "body_offset", "n_bytes", "body_sha256"),
    "labelled_image": ("body_file", "body_offset", "n_bytes", "body_sha256"),
    "image": ("n_bytes", "body_sha256", "published_sha256", "published_n_bytes"),
}
_VALUES = {
    "body_file": f"'sources:{_BODY}'",
    "body_offset": "0",
    "n_bytes": str(len(_DATA)),
    "body_sha256": f"'{hashlib.sha256(_DATA).hexdigest()}'",
    "published_sha256": f"'{hashlib.sha256(_PUBLISHED).hexdigest()}'",
    "published_n_bytes": str(len(_PUBLISHED)),
}


def _stages() -> Iterator[Stage]:
    for stage, real in zip(SYNTHETIC, STAGES, strict=True):
        if stage.writes.name in _COLUMNS:
            said = ", ".join(f"{_VALUES[name]} AS {name}" for name in _COLUMNS[stage.writes.name])
            yield inventing(real, f"SELECT * REPLACE ({said}) FROM ({ROWS[stage.name]})")
        else:
            yield replace(real, bytes_per_row=_MEMBERS_BYTES) if stage.name == _REAL else stage


CATALOGUE = "tests.benchmarks.bench_withdraw:OF_ONE_BODY"
OF_ONE_BODY: tuple[Stage, ...] = tuple(_stages())


@dataclass(frozen=True)
class Cost:
    """The cost of one withdrawal, and the tars and members of the build."""

    wall_s: float
    cpu_s: float
    n_tars: int
    n_members: int


def main() -> None:
    """Measure, print and write build/bench/withdraw.json."""
    costs = [measure(n) for n in N_CANDIDATES]
    rows = [
        Row(f"{c.n_tars} tars, {c.n_members:,} members in all; floor: CPU", c.wall_s, "s", c.cpu_s, c.wall_s / c.cpu_s)
        for c in costs
    ]
    small, large = costs[0], costs[-1]
    goals = [Goal(f"{large.n_tars} tars of {large.n_members:,} members in all, s", large.wall_s, GOAL_S)]
    if large is not small:
        per_member_s = (large.cpu_s - small.cpu_s) / (large.n_members - small.n_members)
        whole_s = large.wall_s + per_member_s * (GOAL_TARS * GOAL_MEMBERS - large.n_members) / N_WORKERS
        rows.append(Row("CPU of each further member", per_member_s * 1e6, "us"))
        goals.append(Goal(f"{GOAL_TARS} tars of {GOAL_MEMBERS:,} members each, extrapolated, s", whole_s, GOAL_S))
    report("withdraw", rows, goals)


def measure(n_candidates: int) -> Cost:
    """Return the cost of withdrawing one sample of every tar of a build of n candidates."""
    root = BENCH / f"withdraw-{n_candidates}"
    shutil.rmtree(root, ignore_errors=True)
    sources = root / "sources"
    sources.mkdir(parents=True)
    (sources / N_ROWS).write_text(str(n_candidates))
    (sources / _BODY).write_bytes(_DATA)
    ledger = _run(root, MODULES, ())
    before = tar_digests(ledger)
    named = ledger.read(Reads("shard", ("sample_id", "shard"), is_whole=True)).to_pylist()
    of_tar = {row["shard"]: row["sample_id"] for row in named}
    listed = root / "list.txt"
    listed.write_text("\n".join(sorted(of_tar.values())) + "\n")
    settings = (f'withdraw.add="{listed.resolve()}"',)
    started = _children_cpu_s()
    wall_s = seconds(lambda: _run(root, ("withdraw", "shard", "stats"), settings))
    cpu_s = _children_cpu_s() - started
    after = tar_digests(_ledger(root, ()))
    unchanged = [name for name in before if before[name] == after.get(name)]
    if unchanged or not before:
        raise RuntimeError(f"expected every one of {len(before)} tars to change, unchanged: {unchanged[:3]}")
    shutil.rmtree(root)
    return Cost(wall_s, cpu_s, len(before), MEMBERS_OF_A_SAMPLE * len(named))


def _run(root: Path, modules: Sequence[str], settings: Sequence[str]) -> Ledger:
    ledger = _ledger(root, settings)
    with LocalExecutor(ledger.settings.run) as executor:
        Runner(ledger, executor, Silent(), CATALOGUE, root / "sources").run(modules)
    return ledger


def _ledger(root: Path, settings: Sequence[str]) -> Ledger:
    return Ledger(Store(root / "build"), OF_ONE_BODY, load_settings("paper", [*_SETTINGS, *settings], OF_ONE_BODY))


def _children_cpu_s() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


if __name__ == "__main__":
    main()
