"""Run benchmarks at toy size in processes forked from one that has imported what most of them import.

Not for figures: `make bench-NAME` starts each benchmark in a Python of its own.
"""

import importlib
import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Half of a benchmark's time at toy size is its imports. Importing these starts no thread, so a fork has all of them.
_IMPORTED = ("flows.cli", "duckdb", "polars", "scipy.stats", "torch", "transformers", "open_clip", "ultralytics")
_MAKER = multiprocessing.get_context("forkserver")
_MAKER.set_forkserver_preload(list(_IMPORTED))


@dataclass(frozen=True)
class Ended:
    """How a benchmark ended, and what it printed."""

    code: int | None
    stdout: str
    stderr: str


def run_toy(name: str, folder: Path) -> Ended:
    """Run a benchmark at toy size; it writes under the folder."""
    process = _MAKER.Process(target=_run, args=(name, folder))
    process.start()
    process.join()
    stdout, stderr = ((folder / stream).read_text() for stream in ("stdout", "stderr"))
    return Ended(process.exitcode, stdout, stderr)


def _run(name: str, folder: Path) -> None:
    for stream, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(folder / stream, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ |= {"BENCH_SIZE": "toy", "PYTHONPATH": str(ROOT)}
    sys.argv = [name]
    multiprocessing.set_start_method("fork", force=True)  # as in a Python of its own; it is "forkserver" in a fork
    importlib.import_module(f"tests.benchmarks.bench_{name}").main()
