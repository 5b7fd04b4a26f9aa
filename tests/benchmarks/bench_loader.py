"""bench-loader: CPU time of the published loader over decoding the same images, and of two processes over one.

Both layouts are read from the page cache, so that disk speed does not count. What a second process brings is measured
by the CPU time of the busier one, which is the wall time where each has a core, and by wall time beside two processes
that do nothing but decode: on a machine that is busy with other work these gain little too.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import resource
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import torch  # noqa: F401  # its import is no part of what is measured

from flows.ask.rs5m_loader import Loader, decode_image
from stages.shard.tar_writer import TarWriter
from tests.benchmarks.harness import BENCH, Goal, Row, cpu_seconds, report, run_pairs, sized
from tests.benchmarks.web_images import draw_jpegs

N_SAMPLES, N_TARS = sized(1200, 16), 4
_SIDES_PX = (430, 780)  # about 99 kB per file, the mean of RS5M's published pictures
_PAIRS = sized(5, 1)
_BATCH = sized(32, 4)
MAX_RATIO, LEAST_SPEED_UP = 1.5, 1.7
MAX_LOSS = 2 / LEAST_SPEED_UP  # where two processes gain 2, the loader's gain at least 1.7
PUBLISHED_PER_S, PUBLISHED_CORES = 1800, 16  # RS5M's repository: a Ryzen 3950X
_FOLDER = BENCH / "loader"


def main() -> None:
    """Measure, print and write build/bench/loader.json."""
    shutil.rmtree(_FOLDER, ignore_errors=True)
    bodies = list(draw_jpegs(N_SAMPLES, _SIDES_PX))
    rows, goals = [], []
    for layout in ("rs5m", "pairs"):
        write_tars(_FOLDER / layout, layout, bodies)
        pairs = run_pairs(
            lambda _, layout=layout: cpu_seconds(lambda: read(layout)),  # type: ignore[misc]
            lambda _: cpu_seconds(lambda: [decode_image(body) for body in bodies]),
            _PAIRS,
        )
        case = f"{layout}: one process over decoding alone"
        rows.append(pairs.row(case, "CPU ms an image", 1000 / N_SAMPLES))
        goals.append(Goal(case, pairs.ratio, MAX_RATIO))
    two = run_pairs(lambda _: flowing_seconds(2), lambda _: flowing_seconds(1), _PAIRS)
    rows.append(two.row("pairs: two processes over one", "wall ms an image", 1000))
    busiest = run_pairs(lambda _: busiest_cpu_seconds(2), lambda _: busiest_cpu_seconds(1), _PAIRS)
    rows.append(busiest.row("pairs: busiest of two processes over one", "CPU ms an image", 1000))
    goals.append(Goal("busiest of two over one, CPU", busiest.ratio, 1 / LEAST_SPEED_UP))
    bare = run_pairs(lambda _: decoding_seconds(bodies, 2), lambda _: decoding_seconds(bodies, 1), _PAIRS)
    rows.append(bare.row("two processes that only decode, over one", "wall ms an image", 1000))
    goals.append(Goal("gain of two, wall: loader over decoding alone", two.ratio / bare.ratio, MAX_LOSS))
    cores = min(2, len(os.sched_getaffinity(0)))
    per_s = 1 / min(two.value_s)
    rows.append(Row(f"two processes on {cores} cores", per_s, "images/s"))
    rows.append(Row("the same, each core", per_s / cores, "images/s"))
    rows.append(Row(f"RS5M's loader, as published, on {PUBLISHED_CORES} cores", PUBLISHED_PER_S, "images/s"))
    rows.append(Row("the same, each core", PUBLISHED_PER_S / PUBLISHED_CORES, "images/s"))
    report("loader", rows, goals)
    shutil.rmtree(_FOLDER)


def flowing_seconds(num_worker: int) -> float:
    """Return the wall time of an image behind the first batch, which waits for the processes to start."""
    n, started = 0, 0.0
    for batch in Loader(_FOLDER / "pairs", num_worker=num_worker, batch_size=_BATCH):
        if not started:
            started = time.perf_counter()
        else:
            n += len(batch.names)
    return (time.perf_counter() - started) / n


def decoding_seconds(bodies: Sequence[bytes], n_processes: int) -> float:
    """Return the wall time of an image, decoded by some processes, each with its share."""
    context = mp.get_context("fork")  # the bodies need not be sent
    started = time.perf_counter()
    shares = [bodies[n::n_processes] for n in range(n_processes)]
    processes = [context.Process(target=_decode, args=(share,)) for share in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return (time.perf_counter() - started) / len(bodies)


def _decode(bodies: Sequence[bytes]) -> None:
    for body in bodies:
        decode_image(body)


def busiest_cpu_seconds(num_worker: int) -> float:
    """Return the CPU time of the process that reads most, divided by all images: the wall time if each has a core."""
    before, delivered = resource.getrusage(resource.RUSAGE_CHILDREN), {}
    for batch in Loader(_FOLDER / "pairs", num_worker=num_worker, batch_size=_BATCH):
        delivered[batch.worker] = batch.n_delivered
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_s * max(delivered.values()) / sum(delivered.values()) / N_SAMPLES


def read(layout: str) -> None:
    """Read all samples once.

    Raises:
        ValueError: samples are missing.
    """
    n = sum(len(batch.names) for batch in Loader(_FOLDER / layout, batch_size=_BATCH))
    if n != N_SAMPLES:
        raise ValueError(f"expected {N_SAMPLES} samples, read {n}")


def write_tars(folder: Path, layout: str, bodies: Sequence[bytes]) -> None:
    """Write the bodies to a few tars of a layout."""
    folder.mkdir(parents=True)
    for number in range(N_TARS):
        with (folder / f"pub11-train-{number:04d}.tar").open("wb") as file, TarWriter(file) as writer:
            for n, body in enumerate(bodies[number::N_TARS]):
                name = f"laion2b_{number}_{n}"
                text = b"An aerial view of a harbour, a river and some fields."
                if layout == "rs5m":
                    members = {"img_name": name.encode(), "img_content": body, "caption": text}
                else:
                    stated = {"sample_id": name, "published_text": text.decode(), "keywords": ["aerial view"]}
                    members = {"jpg": body, "txt": text, "json": json.dumps(stated).encode()}
                writer.write(name, members)


if __name__ == "__main__":
    main()
