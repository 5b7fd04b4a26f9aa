"""Find connected components of 64-bit hashes that differ in few bits: exact, within bounded memory.

The stage chooses which sample of a component survives; joining.py has the compiled loops.
"""

from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from stages.dedup.joining import group_rows, join_groups, join_turned

Hashes = npt.NDArray[np.uint64]
Nodes = npt.NDArray[np.int64]
Keys = npt.NDArray[np.int32]

HASH_BITS = 64
MAX_KEY_BITS = 24  # a pass counts its buckets in an array of 2 ** key bits: 64 MiB
SPARE_KEY_BITS = 0  # buckets per hash, as a power of two: more buckets miss the cache more often (measured)
MAX_WALKED = 1024  # larger buckets are searched group by group, without comparing members that are joined already
BLOCK_PAIRS = 1 << 21  # pairs compared at once in a large bucket: 16 MiB
# Cost of a pass in units of one comparison: grouping a hash costs about forty (measured here, 0.5 to 5 million).
GROUPING_COST = 40
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
        max_distance: bits, 0 for equality; 4 to 6 for pHash (reference/speed.md: chance pairs from 10 on).
        turned: uint64 [n, m], further hashes of each row: a row is near another if its own hash or one of its
            further hashes is near the other's own hash.

    Source: M. Norouzi et al., Fast Exact Search in Hamming Space with Multi-Index Hashing, 2014, section 3.
    """
    if max_distance < 0:
        raise ValueError(f"expected max_distance of at least 0, found {max_distance}")
    distinct, first_row, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    labels: Nodes = np.arange(distinct.size, dtype=np.int64)
    if max_distance >= HASH_BITS:
        labels[:] = 0
    elif distinct.size > 1:
        others, owners = (np.empty(0, np.uint64), inverse[:0]) if turned is None else _distinct_turned(turned, inverse)
        _join_all(distinct, labels, max_distance, others, owners)
    smallest_row = np.full(distinct.size, hashes.size, dtype=np.int64)
    np.minimum.at(smallest_row, labels, first_row)
    return smallest_row[labels[inverse]]


def estimate_seconds(n_hashes: int, max_distance: int, n_turned: int = 0) -> float:
    """Return the seconds of one core that components takes for random hashes; real ones take up to twice as long."""
    cost = _estimate_cost(n_hashes, max_distance, _choose_bands(n_hashes, max_distance))
    return cost * (1 + 1.5 * n_turned) / COMPARISONS_A_SECOND  # a turned hash looks up one bucket in main memory


def _distinct_turned(turned: Hashes, owners: Nodes) -> tuple[Hashes, Nodes]:
    """Return the further hashes in one column, and the node of each; copies of one node have them once."""
    flat, nodes = turned.T.ravel(), np.tile(owners, turned.shape[1])
    order = np.lexsort((flat, nodes)) if owners.size > np.unique(owners).size else None
    if order is None:
        return flat, nodes
    flat, nodes = flat[order], nodes[order]
    is_new = np.ones(flat.size, bool)
    is_new[1:] = (flat[1:] != flat[:-1]) | (nodes[1:] != nodes[:-1])
    return flat[is_new], nodes[is_new]


def _join_all(distinct: Hashes, labels: Nodes, max_distance: int, turned: Hashes, owners: Nodes) -> None:
    n_equal = _choose_bands(distinct.size, max_distance)
    edges = np.linspace(0, HASH_BITS, max_distance + n_equal + 1).astype(int)
    bands = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    for chosen in combinations(bands, n_equal):
        _join_pass(distinct, labels, chosen, max_distance, turned, owners)


def _choose_bands(n_hashes: int, max_distance: int) -> int:
    """Return the number k of equal bands that minimises the cost of all passes on random hashes."""
    # With more bands than bits some would be empty.
    choices = range(1, min(6, HASH_BITS - max_distance) + 1)
    return min(choices, key=lambda k: _estimate_cost(n_hashes, max_distance, k))


def _estimate_cost(n_hashes: int, max_distance: int, k: int) -> float:
    key_bits = min(_limit_key_bits(n_hashes), HASH_BITS * k // (max_distance + k))
    n_comparisons = n_hashes / 2 * n_hashes / 2**key_bits
    return comb(max_distance + k, k) * float(GROUPING_COST * n_hashes + n_comparisons + (1 << key_bits))


def _limit_key_bits(n_hashes: int) -> int:
    return min(MAX_KEY_BITS, n_hashes.bit_length() + SPARE_KEY_BITS)


def _join_pass(
    distinct: Hashes,
    labels: Nodes,
    chosen: tuple[tuple[int, int], ...],
    max_distance: int,
    turned: Hashes,
    owners: Nodes,
) -> None:
    """Join all pairs within the distance that agree in the chosen bands."""
    lows, widths = _limit_bands(distinct.size, chosen)
    starts = np.empty(2 ** int(widths.sum()) + 1, np.int32)
    ordered, nodes = np.empty_like(distinct), np.empty(distinct.size, np.int32)
    group_rows(distinct, lows, widths, starts, ordered, nodes)
    join_groups(ordered, nodes, starts, labels, max_distance, MAX_WALKED)
    sizes = np.diff(starts)
    _join_large(ordered, nodes, labels, starts[:-1][sizes > MAX_WALKED], sizes[sizes > MAX_WALKED], max_distance)
    if turned.size:
        join_turned(turned, owners, ordered, nodes, starts, lows, widths, labels, max_distance, MAX_WALKED)
    _flatten(labels)


def _limit_bands(n_hashes: int, chosen: tuple[tuple[int, int], ...]) -> tuple[Keys, Keys]:
    """Return the lowest bit and the width of each chosen band, cut where a key would be too long to count."""
    limit = _limit_key_bits(n_hashes)
    lows: list[int] = []
    widths: list[int] = []
    for low, high in chosen:
        lows.append(low)
        widths.append(min(high - low, limit - sum(widths)))
    return np.array(lows, np.int32), np.array(widths, np.int32)


def _join(labels: Nodes, a: npt.NDArray[np.integer], b: npt.NDArray[np.integer]) -> None:
    """Join the components of each a and b; the smaller label wins, so that a root is its component's minimum."""
    left, right = labels[a], labels[b]
    while True:
        differ = left != right
        left, right = _find(labels, left[differ]), _find(labels, right[differ])
        high, low = np.maximum(left, right), np.minimum(left, right)
        if not high.size:
            return
        # A label is only replaced by a smaller one, so there are no cycles. Lost updates are joined in the next round.
        np.minimum.at(labels, high, low)


def _find(labels: Nodes, nodes: Nodes) -> Nodes:
    while True:
        above = labels[nodes]
        if np.array_equal(above, nodes):
            return nodes
        nodes = above


def _flatten(labels: Nodes) -> None:
    while True:
        above = labels[labels]
        if np.array_equal(above, labels):
            return
        labels[:] = above


def _join_large(
    ordered: Hashes,
    nodes: npt.NDArray[np.int32],
    labels: Nodes,
    starts: npt.NDArray[np.int32],
    sizes: npt.NDArray[np.int32],
    max_distance: int,
) -> None:
    """Join within buckets too large to compare all pairs, without comparing members that are joined already."""
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        members = nodes[start : start + size]
        roots = _find(labels, labels[members])
        if (roots == roots[0]).all():
            continue
        joined = _join_bucket(ordered[start : start + size], roots, max_distance)
        _join(labels, roots, joined)


def _join_bucket(values: Hashes, roots: Nodes, max_distance: int) -> Nodes:
    """Return, for each value of a bucket, the label of its group after near values are joined.

    The largest group grows until no value is near it; then the next one grows.
    """
    roots = roots.copy()
    found, counts = np.unique(roots, return_counts=True)
    rest = np.arange(values.size)
    for seed in found[np.argsort(-counts, kind="stable")]:
        is_seed = roots[rest] == seed
        frontier, rest = rest[is_seed], rest[~is_seed]
        while frontier.size and rest.size:
            n_rows = max(1, min(256, BLOCK_PAIRS // rest.size))
            batch, frontier = frontier[:n_rows], frontier[n_rows:]
            is_near = (distance(values[batch, None], values[rest]) <= max_distance).any(axis=0)
            if is_near.any():
                # All of a group joins if one of its members is near.
                follows = np.isin(roots[rest], roots[rest[is_near]])
                roots[rest[follows]] = seed
                frontier, rest = np.concatenate([frontier, rest[follows]]), rest[~follows]
        if not rest.size:
            break
    return roots
