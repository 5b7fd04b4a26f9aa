"""After SIGKILL at random moments nothing is lost or doubled, and no finished partition runs again.

What the killed runs make is what a run made in another place, with other workers.
"""

import json
import random
import shutil
from pathlib import Path

from stages import STAGES
from tests.end_to_end.runs import assert_identical, copy_world, receipts, run, run_killed

N_KILLS_AT_FIRST, N_KILLS_LATER = 10, 20
SEED = 11
LONGEST_AT_FIRST_S, LONGEST_LATER_S = 3.0, 5.5
OTHER_WORKERS = ("--set", "run.workers=1", "--set", "run.model_workers=1", "--set", "download.n_threads=9")


def test_a_build_killed_thirty_times_equals_an_uninterrupted_one(
    small_world: Path, small_build: Path, tmp_path: Path
) -> None:
    build = tmp_path / "killed"
    copy_world(small_world, build)
    draw = random.Random(SEED)
    n_kills = 0
    known = _kill_often(build, draw, {}, N_KILLS_AT_FIRST, LONGEST_AT_FIRST_S)
    assert run("build", "--build", build, *OTHER_WORKERS).returncode == 0
    assert known.items() <= receipts(build).items()
    known = receipts(build)
    while n_kills < N_KILLS_LATER:  # remove some late results, so that late stages are killed as well
        _undo(build, known, draw)
        known = _kill_often(build, draw, known, 2, LONGEST_LATER_S)
        n_kills += 2
    done = run("build", "--build", build, *OTHER_WORKERS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert known.items() <= receipts(build).items()
    assert_identical(build, small_build)
    ids = [json.loads((one / "dataset/build.json").read_text())["build_id"] for one in (build, small_build)]
    assert ids[0] == ids[1] and len(ids[0]) == 64
    assert run("verify", "--build", build).returncode == 0


def _kill_often(
    build: Path, draw: random.Random, known: dict[str, str], n_kills: int, longest_s: float
) -> dict[str, str]:
    """Start and kill the build n_kills times; return the receipts that exist in the end."""
    for _ in range(n_kills):
        run_killed(draw.uniform(0.5, longest_s), "build", "--build", build, *OTHER_WORKERS)
        now = receipts(build)
        assert known.items() <= now.items(), "a committed partition was lost or ran twice"
        known = now
    return known


def _undo(build: Path, known: dict[str, str], draw: random.Random) -> None:
    """Remove the tables of all stages from a random one on, but not the download's attempts, which are permanent."""
    later = [stage.writes.name for stage in STAGES]
    later = later[later.index("fetched") :]
    for table in later[draw.randrange(len(later)) :]:
        shutil.rmtree(build / table, ignore_errors=True)
    for address in [a for a in known if not (build / a).exists()]:
        del known[address]
