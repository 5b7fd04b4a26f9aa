"""bench-purge: the time to destroy one body of a hundred in download tars of 40,000 small members.

The goal is for 128 tars; fewer are written, and the time is extrapolated by their number.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from flows.ledger.attempt import Attempt
from flows.ledger.purge import Place, purge_files
from flows.ledger.store import Store
from schemas.tables import FETCH_ATTEMPT
from stages.contract import Outcome, no_rejects
from stages.download.fetching.spool import Spool
from tests.benchmarks.harness import BENCH, Goal, Row, report, seconds, sized

N_TARS, N_MEMBERS = sized(4, 2), sized(40_000, 200)
GOAL_TARS, GOAL_S = 128, 600
BODY_BYTES = 3_000
ONE_OF = 100


def main() -> None:
    """Measure, print and write build/bench/purge.json."""
    root = BENCH / "purge"
    shutil.rmtree(root, ignore_errors=True)
    store = Store(root)
    places = dict(make_tar(store, n) for n in range(N_TARS))
    files = [store.locate(address) for address in places]
    floor_s = seconds(lambda: [copy_and_hash(path) for path in files])
    purged = []
    value_s = seconds(lambda: purged.extend(purge_files(store, places)))
    assert sum(one.n_bodies for one in purged) == N_TARS * N_MEMBERS // ONE_OF
    whole_s = value_s * GOAL_TARS / N_TARS
    rows = [
        Row(f"{N_TARS} tars of {N_MEMBERS:,} members; floor: copy and sha256", value_s, "s", floor_s, value_s / floor_s)
    ]
    report("purge", rows, [Goal(f"{GOAL_TARS} tars of {N_MEMBERS:,} members, extrapolated, s", whole_s, GOAL_S)])
    shutil.rmtree(root)


def make_tar(store: Store, number: int) -> tuple[str, list[Place]]:
    """Write a partition's tar and receipt; return its address and the places of the bodies to destroy."""
    partition, fingerprint = f"000-{number:05d}", f"{number:064x}"
    with Attempt(store, FETCH_ATTEMPT, partition, fingerprint) as attempt:
        tar = attempt.new_file("bodies.tar")
        spool = Spool(tar, on_write=None, on_failure=lambda: None)
        for n in range(N_MEMBERS):
            spool.add(f"{n:032x}", n.to_bytes(4) * (BODY_BYTES // 4), None)
        spool.finish()
        spool.close()
        run = {"run": {}, "table": "fetch_attempt", "partition": partition, "fingerprint": fingerprint}
        attempt.commit(Outcome(FETCH_ATTEMPT.schema.empty_table(), no_rejects(FETCH_ATTEMPT), files=(tar,)), "", run)
        bodies = list(spool.bodies.values())[::ONE_OF]
        return attempt.address(tar), [(body.offset, body.n_bytes) for body in bodies]


def copy_and_hash(path: Path) -> None:
    """Copy a file and digest it, the least that any rewriting does."""
    copy = path.with_suffix(".copy")
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    shutil.copyfile(path, copy)
    copy.unlink()


if __name__ == "__main__":
    main()
