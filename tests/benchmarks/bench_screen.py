"""bench-screen: CPU time of screening an image over that of decoding it, including the decoding child's.

The floor only decodes the same files, with the same library and memory settings.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import shutil
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from flows.ledger.attempt import Attempt
from flows.ledger.store import Store
from flows.run.worker import prepare_libraries
from schemas.fields import FIELD
from schemas.tables import IMAGE
from stages.contract import Context, Outcome
from stages.images.shown import show
from stages.screen.decoding import CHILD_ENVIRONMENT, Decoder
from stages.screen.describing import digest_shown
from stages.screen.perceptual_hash import hash_reduced, reduce_grey
from stages.screen.stage import SCREEN, ScreenParams
from stages.screen.strip_metadata import strip_metadata
from tests.benchmarks.harness import BENCH, Goal, Row, cpu_seconds, report, run_pairs, sized
from tests.benchmarks.web_images import draw_jpegs

_CASES = {
    # Shortest and longest side in px, and number of pictures: of 17 kB, and of 256 to 1024 px.
    "17 kB": ((190, 270), sized(300, 12)),
    "256 to 1024 px": ((256, 1024), sized(60, 6)),
}
MAX_RATIO = 2.0
_PAIRS = sized(9, 1)
_FOLDER = BENCH / "screen"
_UNIT = "CPU ms an image"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h


def main() -> None:
    """Measure, print and write build/bench/screen.json."""
    prepare_libraries(1)
    keep_memory()
    rows: list[Row] = []
    goals: list[Goal] = []
    for case, (sides_px, n_images) in _CASES.items():
        more_rows, goal = measure(case, list(draw_jpegs(n_images, sides_px)))
        rows += more_rows
        goals.append(goal)
    report("screen", rows, goals)


def keep_memory() -> None:
    """Make this process keep freed memory like the decoding child, so that the floor has no extra page faults."""
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_TRIM_THRESHOLD, int(CHILD_ENVIRONMENT["MALLOC_TRIM_THRESHOLD_"]))
    libc.mallopt(_M_MMAP_THRESHOLD, int(CHILD_ENVIRONMENT["MALLOC_MMAP_THRESHOLD_"]))


def measure(case: str, bodies: Sequence[bytes]) -> tuple[list[Row], Goal]:
    """Return the costs of the stage and its steps over decoding, on some files."""
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    scale = 1000 / len(bodies)

    def floor(_: int) -> float:
        return cpu_seconds(lambda: [decode(body) for body in bodies])

    with Partition(_FOLDER, bodies) as partition:
        pairs = run_pairs(partition.screen, floor, _PAIRS)
    name = f"screen, JPEGs of {case} ({sum(map(len, bodies)) / len(bodies) / 1000:.0f} kB), over decoding"
    rows = [pairs.row(name, _UNIT, scale)]
    images = [decode(body) for body in bodies]
    greys = [show(image).convert("L") for image in images]
    pixels = [show(image).tobytes() for image in images]
    steps: dict[str, Callable[[], object]] = {
        "pixels' bytes, their digest, and grey levels": lambda: [digest_shown(image) for image in images],
        "the hashes": lambda: hash_reduced(np.stack([reduce_grey(grey) for grey in greys])),
        "the digest of the pixels alone": lambda: [hashlib.sha256(found).digest() for found in pixels],
        "both digests of the file": lambda: [hashlib.sha256(body).digest() for body in [*bodies, *bodies]],
        "stripping": lambda: [strip_metadata(body, "JPEG", 1) for body in bodies],
    }
    for step, run in steps.items():
        found = run_pairs(lambda _, run=run: cpu_seconds(run), floor, _PAIRS)  # type: ignore[misc]
        rows.append(found.row(f"of it {step}", _UNIT, scale))
    shutil.rmtree(_FOLDER)
    return rows, Goal(name, pairs.ratio, MAX_RATIO)


def decode(body: bytes) -> Image.Image:
    """Decode a JPEG."""
    image = Image.open(io.BytesIO(body), formats=["JPEG"])
    image.load()
    return image


class Partition:
    """A partition of screen, with its bodies in one file, and a decoding child that all runs share."""

    def __init__(self, folder: Path, bodies: Sequence[bytes]) -> None:
        """Write the bodies and the rows that locate them."""
        (folder / "bodies.bin").write_bytes(b"".join(bodies))
        offsets = list(accumulate(map(len, bodies), initial=0))
        rows: list[dict[str, Any]] = [
            {
                "fetch_id": f"{n:032x}",
                "n_bytes": len(body),
                "body_sha256": hashlib.sha256(body).hexdigest(),
                "body_file": "bodies.bin",
                "body_offset": offset,
            }
            for n, (body, offset) in enumerate(zip(bodies, offsets, strict=False))
        ]
        self._inputs = {}
        for reads in SCREEN.reads:
            schema = pa.schema([(name, FIELD[name].type) for name in reads.columns])
            self._inputs[reads.name] = pa.Table.from_pylist(rows if reads.name == "fetched" else [], schema)
        self._folder, self._n_images = folder, len(bodies)
        self._decoder = Decoder()

    def __enter__(self) -> Partition:
        return self

    def __exit__(self, *fault: object) -> None:
        self._decoder.close()

    def screen(self, _: int) -> float:
        """Return the CPU seconds of the stage function and of its child; the first run starts the child."""
        tools = {"decoder": self._decoder, "labelled_decoder": self._decoder, "placeholders": {}}
        with Attempt(Store(self._folder), IMAGE, "whole", "0" * 12) as attempt:
            context = Context("whole", ScreenParams(), None, tools, attempt, self._folder)
            outcomes: list[Outcome] = []
            before = self._child_seconds()
            spent = cpu_seconds(lambda: outcomes.append(SCREEN.run(self._inputs, context)))
        if outcomes[0].kept.num_rows != self._n_images:
            raise RuntimeError(f"expected {self._n_images} images, found {outcomes[0].rejects.to_pylist()}")
        return spent + self._child_seconds() - before

    def _child_seconds(self) -> float:
        child = self._decoder._child
        # The id of another process's CPU clock, computed like clock_getcpuclockid(3).
        return time.clock_gettime((~child.pid << 3) | 2) if child else 0.0


if __name__ == "__main__":
    main()
