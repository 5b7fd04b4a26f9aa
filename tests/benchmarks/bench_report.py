"""bench-report: CPU time, memory and size of report.html at two sizes of a build, extrapolated to RS5M's.

The tables are those of bench-global; every picture is a drawn JPEG, since the build has no bodies.
"""

from __future__ import annotations

import multiprocessing as mp
import time
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from flows.ledger.ledger import Ledger
from flows.ledger.store import Store
from flows.page.page import write_page
from flows.run.executor import InlineExecutor
from flows.settings import load_settings
from tests.benchmarks.contract_cost import draw_jpeg
from tests.benchmarks.global_build import SETTINGS, SYNTHETIC, bring_up_to_date
from tests.benchmarks.harness import BENCH, Goal, Row, cpu_seconds, peak_resident_gb, report, sized

N_CANDIDATES = (sized(200_000, 300), sized(1_000_000, 300))  # one toy build, whose figures mean nothing
N_RS5M = 6_100_000  # candidates of which 5 million samples are published
MAX_GB, MAX_MIN, MAX_MB = 4.0, 20.0, 25.0
_JPEG = draw_jpeg(np.random.default_rng(0))


@dataclass(frozen=True)
class Cost:
    """Cost of a page in its own process: CPU and wall seconds, peak resident memory, size; of how many samples."""

    cpu_s: float
    wall_s: float
    resident_gb: float
    size_mb: float
    n_published: int


class Drawn(Store):
    """A store in which every located picture is the same JPEG."""

    def read_located(self, address: str, offset: int, n_bytes: int, sources: Path) -> bytes:
        """Return the JPEG."""
        return _JPEG


def main() -> None:
    """Build both sizes, write their pages, print and write build/bench/report.json."""
    small, large = (_cost(n) for n in N_CANDIDATES)
    n_small, n_large = N_CANDIDATES

    def at_rs5m(least: float, most: float) -> float:
        """Extrapolate in proportion to rows."""
        return most + max(0.0, most - least) * (N_RS5M - n_large) / max(1, n_large - n_small)

    rows = [
        Row(f"published samples at {n_large:,} candidates", large.n_published, ""),
        Row("CPU", large.cpu_s, "s", small.cpu_s, large.cpu_s / small.cpu_s),
        Row("wall, with what else this machine does", large.wall_s, "s", small.wall_s, large.wall_s / small.wall_s),
        Row("peak memory", large.resident_gb, "GB", small.resident_gb),
        Row("size", large.size_mb, "MB", small.size_mb),
    ]
    goals = [
        Goal(f"CPU minutes at {N_RS5M:,} candidates, extrapolated", at_rs5m(small.cpu_s, large.cpu_s) / 60, MAX_MIN),
        Goal(f"GB at {N_RS5M:,} candidates, extrapolated", at_rs5m(small.resident_gb, large.resident_gb), MAX_GB),
        Goal(f"MB at {N_RS5M:,} candidates, extrapolated", at_rs5m(small.size_mb, large.size_mb), MAX_MB),
    ]
    report("report", rows, goals)


@cache
def _build(n_candidates: int) -> Path:
    root = BENCH / f"report-{n_candidates}"
    bring_up_to_date(root, n_candidates, InlineExecutor())
    return root


@cache
def _cost(n_candidates: int) -> Cost:
    root = _build(n_candidates)
    ours, theirs = mp.get_context("spawn").Pipe()
    process = mp.get_context("spawn").Process(target=_send_cost, args=(theirs, root))
    process.start()
    theirs.close()
    cost: Cost = ours.recv()
    process.join()
    return cost


def _send_cost(pipe: Connection, root: Path) -> None:
    ledger = Ledger(Drawn(root / "build"), SYNTHETIC, load_settings("paper", SETTINGS, SYNTHETIC))
    path = root / "report.html"
    started = time.perf_counter()
    missing: list[str] = []
    cpu_s = cpu_seconds(lambda: missing.extend(write_page(ledger, root / "sources", path)))
    wall_s = time.perf_counter() - started
    if missing:
        raise RuntimeError(f"the page should have every section, found no tables for {', '.join(missing)}")
    n_published = sum(receipt.n_kept for receipt in ledger.state(ledger.writer["metafile"]).receipts)
    pipe.send(Cost(cpu_s, wall_s, peak_resident_gb(), path.stat().st_size / 1e6, n_published))


if __name__ == "__main__":
    main()
