"""SIGKILL at random moments loses nothing, doubles nothing, and redoes nothing that was finished."""

import random
import shutil
from pathlib import Path

from tests.end_to_end.runs import assert_identical, copy_world, receipts, run, run_killed

N_KILLS = 30
SEED = 11
LONGEST_S = 4.0


def test_a_build_killed_thirty_times_equals_an_uninterrupted_one(
    small_world: Path, small_build: Path, tmp_path: Path
) -> None:
    build = tmp_path / "killed"
    copy_world(small_world, build)
    draw = random.Random(SEED)
    n_kills, known = 0, {}
    while n_kills < N_KILLS:
        was_killed = run_killed(draw.uniform(0.5, LONGEST_S), "build", "--build", build)
        n_kills += was_killed
        now = receipts(build)
        assert known.items() <= now.items(), "a committed partition was lost or ran twice"
        known = now
        if not was_killed:  # finished: go on with a part of it undone, so that late stages are hit as well
            _undo(build, known, draw)
    done = run("build", "--build", build)
    assert done.returncode == 0, done.stdout + done.stderr
    assert known.items() <= receipts(build).items()
    assert_identical(build, small_build)
    assert run("verify", "--build", build).returncode == 0


def _undo(build: Path, known: dict[str, str], draw: random.Random) -> None:
    """Remove the receipts of the stages after a random one; attempts stay: they are on record for ever."""
    later = ["fetched", "image", "duplicate", "unique", "shard_plan", "shard", "metafile", "pub11_funnel"]
    for table in later[draw.randrange(len(later)) :]:
        shutil.rmtree(build / table)
    for address in [a for a in known if not (build / a).exists()]:
        del known[address]
