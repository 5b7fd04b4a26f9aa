"""bench-shard: CPU time of writing the tars on one core, over that of writing the same bytes.

Both run in turn on the same pictures, with source and tar in the page cache, so disk speed does not count.
"""

from __future__ import annotations

import hashlib
import shutil
from itertools import accumulate
from typing import Any

import pyarrow as pa

from flows.ledger.attempt import Attempt
from flows.ledger.store import Store
from flows.run.worker import prepare_libraries
from schemas.fields import FIELD
from schemas.tables import SHARD
from stages.contract import Context, Outcome
from stages.screen.strip_metadata import strip_metadata
from stages.shard.layouts import LayoutParams
from stages.shard.stage import WRITE_SHARDS
from tests.benchmarks.harness import BENCH, Goal, cpu_seconds, report, run_pairs, sized
from tests.benchmarks.web_images import draw_jpegs

N_SAMPLES = sized(600, 12)
_SIDES_PX = (430, 780)  # about 99 kB per file, the mean of RS5M's published pictures
_PAIRS = sized(9, 1)
MAX_RATIO = 9.0
_SHARD, _UNIT = "pub11-train-0000", "CPU ms a sample"
_PIECE_BYTES = 100_000
_FOLDER = BENCH / "shard"


def main() -> None:
    """Measure, print and write build/bench/shard.json."""
    prepare_libraries(1)
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    bench = Bench(list(draw_jpegs(N_SAMPLES, _SIDES_PX)))
    kilobytes = sum(map(len, bench.bodies)) / N_SAMPLES / 1000
    pairs = run_pairs(bench.run_stage, bench.write_plainly, _PAIRS)
    case = f"write_shards, {kilobytes:.0f} kB a picture, over a plain write of the tar"
    steps = {
        "reading the bodies": bench.read,
        "stripping": bench.strip,
        "digests of the published files": bench.digest,
    }
    rows = [pairs.row(case, _UNIT, 1000 / N_SAMPLES)]
    for name, step in steps.items():
        found = run_pairs(lambda _, step=step: cpu_seconds(step), bench.write_plainly, _PAIRS)  # type: ignore[misc]
        rows.append(found.row(f"of it {name}", _UNIT, 1000 / N_SAMPLES))
    report("shard", rows, [Goal(case, pairs.ratio, MAX_RATIO)])
    shutil.rmtree(_FOLDER)


class Bench:
    """A partition of write_shards, with its bodies in one file as in a download's tar."""

    def __init__(self, bodies: list[bytes]) -> None:
        """Write the bodies, and keep the tar that the stage makes of them."""
        self.bodies = bodies
        self._store = Store(_FOLDER)
        (_FOLDER / "bodies.bin").write_bytes(b"".join(bodies))
        offsets = [0, *accumulate(map(len, bodies))]
        self._rows = [_row(n, body, offset) for n, (body, offset) in enumerate(zip(bodies, offsets, strict=False))]
        schema = pa.schema([(name, FIELD[name].type) for name in WRITE_SHARDS.reads[0].columns])
        self._inputs = {"shard_plan": pa.Table.from_pylist(self._rows, schema)}
        self._published = [strip_metadata(body, "JPEG", 1).data for body in bodies]
        self._tar: list[bytes] = []
        self.run_stage(0)

    def run_stage(self, i: int) -> float:
        """Return the seconds of the stage function; its tar is deleted with the attempt."""
        with Attempt(self._store, SHARD, _SHARD, "0" * 12) as attempt:
            context = Context(_SHARD, LayoutParams(), None, {}, attempt, _FOLDER)
            outcomes: list[Outcome] = []
            spent = cpu_seconds(lambda: outcomes.append(WRITE_SHARDS.run(self._inputs, context)))
            if outcomes[0].kept.num_rows != N_SAMPLES:
                raise RuntimeError(f"expected {N_SAMPLES} published samples, found {outcomes[0].rejects.to_pylist()}")
            if not self._tar:
                written = outcomes[0].files[0].read_bytes()
                self._tar = [written[start : start + _PIECE_BYTES] for start in range(0, len(written), _PIECE_BYTES)]
        return spent

    def write_plainly(self, i: int) -> float:
        """Return the seconds of writing the same bytes to a new file, one picture at a time."""
        path = _FOLDER / "plain.tar"

        def write() -> None:
            with path.open("wb") as file:
                for piece in self._tar:
                    file.write(piece)

        spent = cpu_seconds(write)
        path.unlink()
        return spent

    def read(self) -> None:
        """Read the bodies from their file."""
        for row in self._rows:
            self._store.read_located(row["body_file"], row["body_offset"], row["n_bytes"], _FOLDER)

    def strip(self) -> None:
        """Remove the metadata of the images."""
        for body in self.bodies:
            strip_metadata(body, "JPEG", 1)

    def digest(self) -> None:
        """Compute the digests of the published files."""
        for published in self._published:
            hashlib.sha256(published).hexdigest()


def _row(n: int, body: bytes, offset: int) -> dict[str, Any]:
    published = strip_metadata(body, "JPEG", 1).data
    return {
        "sample_id": f"laion2b_0_{n:08d}",
        "published_text": f"an aerial view of field {n} beside a river, seen from above in the late summer",
        "shard": _SHARD,
        "img_name": f"laion2b_0_{n:08d}",
        "image_format": "JPEG",
        "exif_orientation": 1,
        "published_sha256": hashlib.sha256(published).hexdigest(),
        "published_n_bytes": len(published),
        "n_bytes": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "body_file": "bodies.bin",
        "body_offset": offset,
    }


if __name__ == "__main__":
    main()
