"""bench-dedup: CPU time of the search for near hashes, upright and in eight orientations, at two sizes.

The floor of each case sorts the same hashes, which finds only equal ones. Growth is an exponent of the row count.
"""

from __future__ import annotations

import math
import resource
import sys

import numpy as np
import numpy.typing as npt

from stages.dedup.neighbours import components, distance, estimate_seconds
from tests.benchmarks.harness import Goal, Row, cpu_seconds, report, sized

N_SMALL, N_LARGE = sized(1_300_000, 2_000), sized(5_200_000, 8_000)  # RS5M has 5.2 million images after download
N_EXACT = sized(4_000, 300)
N_TURNED = 7
# Largest allowed growth on random hashes; N log N is an exponent of 1.07 here, and numpy.unique measures 1.2.
LIMITS_S = {(4, 0): 7.0, (6, 0): 20.0, (4, N_TURNED): 60.0}
MAX_EXPONENT = 1.15
REFUSED_BITS = 10

Hashes = npt.NDArray[np.uint64]


def draw(n: int, n_turned: int, seed: int) -> tuple[Hashes, Hashes | None]:
    """Return n hashes and their n_turned turned hashes each; one in fifty is near another, upright or turned."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, (n, 1 + n_turned), dtype=np.uint64)
    copies, originals = np.split(random.permutation(n)[: n // 50 * 2], 2)
    ways = random.integers(0, 1 + n_turned, copies.size)
    flips = np.uint64(1) << random.integers(0, 64, copies.size).astype(np.uint64)
    hashes[copies, 0] = hashes[originals, ways] ^ flips
    return np.ascontiguousarray(hashes[:, 0]), hashes[:, 1:] if n_turned else None


def main() -> None:
    """Measure, print and write build/bench/dedup.json."""
    components(draw(100, 0, 0)[0], 4, draw(100, N_TURNED, 0)[1])  # compiled
    rows: list[Row] = []
    goals: list[Goal] = []
    for (max_distance, n_turned), limit_s in LIMITS_S.items():
        name = f"{max_distance} bits, {1 + n_turned} orientations"
        costs_s = []
        for n in (N_SMALL, N_LARGE):
            hashes, turned = draw(n, n_turned, n)
            cost_s = cpu_seconds(lambda: components(hashes, max_distance, turned))  # noqa: B023
            floor_s = cpu_seconds(lambda: np.unique(hashes))  # noqa: B023
            rows.append(Row(f"{name}: {n:,}", cost_s, "CPU s", floor_s, cost_s / floor_s))
            costs_s.append(cost_s)
        goals.append(Goal(f"{name}: CPU s at {N_LARGE:,}", costs_s[1], limit_s))
        exponent = math.log(costs_s[1] / costs_s[0]) / math.log(N_LARGE / N_SMALL)
        goals.append(Goal(f"{name}: exponent of CPU over rows", exponent, MAX_EXPONENT))
        goals.append(
            Goal(f"{name}: joins that brute force does not find, or misses", count_errors(max_distance, n_turned), 0)
        )
        print(f"{name}: {costs_s[1]:.1f} CPU s", file=sys.stderr, flush=True)
    estimates = [estimate_seconds(n, REFUSED_BITS) for n in (N_SMALL, N_LARGE)]
    rows.append(Row(f"{REFUSED_BITS} bits: estimate for {N_LARGE:,}", estimates[1], "s"))
    rows.append(Row(f"{REFUSED_BITS} bits: exponent", math.log(estimates[1] / estimates[0]) / math.log(4), ""))
    gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    goals.append(Goal("memory of all, GB", gb, 3.0))
    report("dedup", rows, goals)


def count_errors(max_distance: int, n_turned: int) -> int:
    """Return how many of N_EXACT rows get another label than by comparing all pairs."""
    hashes, turned = draw(N_EXACT, n_turned, 1)
    ways = hashes[:, None] if turned is None else np.column_stack([hashes, turned])
    labels = np.arange(N_EXACT)
    pairs = [np.argwhere(distance(ways[:, [way]], hashes) <= max_distance) for way in range(ways.shape[1])]
    links = np.concatenate(pairs)
    while True:
        before = labels.copy()
        smallest = np.minimum(labels[links[:, 0]], labels[links[:, 1]])
        np.minimum.at(labels, links[:, 0], smallest)
        np.minimum.at(labels, links[:, 1], smallest)
        if np.array_equal(labels, before):
            break
    return int((components(hashes, max_distance, turned) != labels).sum())


if __name__ == "__main__":
    main()
