"""Find connected components of 64-bit hashes that differ in few bits: exact, within bounded memory.

The stage chooses which sample of a component survives; banding.py and joining.py have the compiled loops.
"""

from math import comb

import numpy as np
import numpy.typing as npt

from stages.dedup.banding import MAX_KEY_BITS, SORTING_COST, join_bands

Hashes = npt.NDArray[np.uint64]
Nodes = npt.NDArray[np.int64]
Bands = npt.NDArray[np.int32]

HASH_BITS = 64
MAX_EQUAL = 6  # bands that must agree: more of them make smaller groups, and more passes
MAX_WALKED = 1024  # larger groups are searched without comparing rows that are joined already
COMPARISONS_A_SECOND = 8e8  # of one core (measured here)


def distance(a: Hashes, b: Hashes) -> npt.NDArray[np.uint8]:
    """Return the number of bits in which a and b differ, with numpy's broadcasting."""
    n_bits: npt.NDArray[np.uint8] = np.bitwise_count(a ^ b)
    return n_bits


def components(hashes: Hashes, max_distance: int, turned: Hashes | None = None) -> Nodes:
    """Return, for each row, the smallest row of its component in the graph "at most max_distance bits apart".

    Two hashes within d differ in at most d of d + k bands, so k bands are equal (pigeonhole): rows are grouped
    by each choice of k bands and compared within their groups. Equal hashes count once.

    Args:
        hashes: uint64 [n], in any order, with repetitions.
        max_distance: bits, 0 for equality; 4 to 6 for pHash, since chance pairs are found at 10 and above.
        turned: uint64 [n, m], further hashes of each row: a row is near another if its own hash or one of its
            further hashes is near the other's own hash.

    Source: M. Norouzi et al., Fast Exact Search in Hamming Space with Multi-Index Hashing, 2014, section 3.
    """
    if max_distance < 0:
        raise ValueError(f"expected max_distance of at least 0, found {max_distance}")
    distinct, first_row, inverse = _find_distinct(hashes)
    labels: Nodes = np.arange(distinct.size, dtype=np.int64)
    if max_distance >= HASH_BITS:
        labels[:] = 0
    elif distinct.size > 1:
        _join_near(distinct, _differing(turned, inverse, first_row), inverse, labels, max_distance)
    smallest_row = np.full(distinct.size, hashes.size, dtype=np.int64)
    np.minimum.at(smallest_row, labels, first_row)
    return smallest_row[labels[inverse]]


def _find_distinct(hashes: Hashes) -> tuple[Hashes, Nodes, Nodes]:
    """Return the distinct values in order, the first row of each, and the index of each row's value.

    As numpy.unique, in half its time.
    """
    order = np.argsort(hashes)  # not stable: numpy.unique spends its time on a stable sort
    ordered = hashes[order]
    is_new = np.ones(ordered.size, bool)
    is_new[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_new)
    inverse = np.empty(ordered.size, np.int64)
    inverse[order] = np.cumsum(is_new) - 1
    first_row: Nodes = np.minimum.reduceat(order, starts) if starts.size else starts
    return ordered[starts], first_row, inverse


def estimate_seconds(n_hashes: int, max_distance: int, n_turned: int = 0) -> float:
    """Return the seconds of one core that components takes for random hashes; real ones take up to twice as long."""
    return (
        _estimate_cost(n_hashes, max_distance, _choose_equal(n_hashes, max_distance), n_turned) / COMPARISONS_A_SECOND
    )


def _differing(turned: Hashes | None, inverse: Nodes, first_row: Nodes) -> tuple[Hashes, Nodes]:
    """Return the further hashes of some rows, and these rows: without those that repeat an equal row's."""
    if turned is None:
        return np.empty((0, 0), np.uint64), np.empty(0, np.int64)
    rows = np.arange(len(turned))
    if rows.size > first_row.size:
        first = first_row[inverse]
        rows = np.flatnonzero((first == rows) | (turned != turned[first]).any(axis=1))
        turned = turned[rows]
    return turned, rows


def _join_near(
    distinct: Hashes, turned: tuple[Hashes, Nodes], inverse: Nodes, labels: Nodes, max_distance: int
) -> None:
    """Join the labels of near hashes, in place, and replace each label by its root."""
    further, rows = turned
    n_own, n_ways = distinct.size, further.shape[1]
    values = np.empty(n_own + further.size, np.uint64)
    nodes = np.empty(values.size, np.int32)
    values[:n_own], nodes[:n_own] = distinct, np.arange(n_own)
    for way in range(n_ways):
        place = slice(n_own + way * rows.size, n_own + (way + 1) * rows.size)
        values[place], nodes[place] = further[:, way], ~inverse[rows]
    n_equal = _choose_equal(n_own, max_distance, n_ways)
    n_bands = max_distance + n_equal
    edges = np.linspace(0, HASH_BITS, n_bands + 1).astype(np.int32)
    n_passes = np.array([[comb(n_bands - first, k) for k in range(n_equal + 1)] for first in range(n_bands + 1)])
    join_bands(values, nodes, n_own, edges, n_passes, 0, n_equal, labels, max_distance, MAX_WALKED)
    _flatten(labels)


def _choose_equal(n_hashes: int, max_distance: int, n_turned: int = 0) -> int:
    """Return the number k of equal bands that minimises the cost of all passes on random hashes."""
    # With more bands than bits some would be empty.
    choices = range(1, min(MAX_EQUAL, HASH_BITS - max_distance) + 1)
    return min(choices, key=lambda k: _estimate_cost(n_hashes, max_distance, k, n_turned))


def _estimate_cost(n_hashes: int, max_distance: int, k: int, n_turned: int) -> float:
    """Return the comparisons, and sorting in units of comparisons, of all passes on random hashes."""
    n_groups: float = 2.0 ** (k * min(HASH_BITS / (max_distance + k), MAX_KEY_BITS))
    n_comparisons = n_hashes * n_hashes / n_groups * (0.5 + n_turned)
    n_sorted: float = SORTING_COST * n_hashes * (1.0 + n_turned)
    return comb(max_distance + k, k) * (n_sorted + n_comparisons)


def _flatten(labels: Nodes) -> None:
    while True:
        above = labels[labels]
        if np.array_equal(above, labels):
            return
        labels[:] = above
