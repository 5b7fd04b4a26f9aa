"""Find connected components of 64-bit hashes that differ in few bits: exact, in numpy, within bounded memory.

The stage chooses which sample of a component survives.
"""

from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Hashes = npt.NDArray[np.uint64]
Nodes = npt.NDArray[np.int64]

HASH_BITS = 64
MAX_KEY_BITS = 24  # a pass counts its buckets in an array of 2 ** key bits: 64 MiB
SPARE_KEY_BITS = 2  # buckets per hash, as a power of two: more buckets cost more than they save
MAX_WALKED = 64  # larger buckets are searched at once; comparing shifted copies of smaller ones is faster (measured)
BLOCK_PAIRS = 1 << 21  # pairs compared at once in a large bucket: 16 MiB
# Cost of a pass in units of one comparison: grouping a hash costs about ten (measured here, 0.5 to 5 million).
GROUPING_COST = 10


def distance(a: Hashes, b: Hashes) -> npt.NDArray[np.uint8]:
    """Return the number of bits in which a and b differ, with numpy's broadcasting."""
    n_bits: npt.NDArray[np.uint8] = np.bitwise_count(a ^ b)
    return n_bits


def components(hashes: Hashes, max_distance: int) -> Nodes:
    """Return, for each row, the smallest row of its component in the graph "at most max_distance bits apart".

    Two hashes within d differ in at most d of d + k bands, so k bands are equal (pigeonhole): rows are grouped
    by each choice of k bands and compared within their groups. Equal hashes count once.

    Args:
        hashes: uint64 [n], in any order, with repetitions.
        max_distance: bits, 0 for equality; 4 to 6 for pHash (reference/speed.md: chance pairs from 10 on).

    Source: M. Norouzi et al., Fast Exact Search in Hamming Space with Multi-Index Hashing, 2014, section 3.
    """
    if max_distance < 0:
        raise ValueError(f"expected max_distance of at least 0, found {max_distance}")
    distinct, first_row, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    labels: Nodes = np.arange(distinct.size, dtype=np.int64)
    if max_distance >= HASH_BITS:
        labels[:] = 0
    elif max_distance > 0 and distinct.size > 1:
        _join_all(distinct, labels, max_distance)
    smallest_row = np.full(distinct.size, hashes.size, dtype=np.int64)
    np.minimum.at(smallest_row, labels, first_row)
    return smallest_row[labels[inverse]]


def _join_all(distinct: Hashes, labels: Nodes, max_distance: int) -> None:
    n_equal = _choose_bands(distinct.size, max_distance)
    edges = np.linspace(0, HASH_BITS, max_distance + n_equal + 1).astype(int)
    bands = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    for chosen in combinations(bands, n_equal):
        _join_pass(distinct, labels, chosen, max_distance)


def _choose_bands(n_hashes: int, max_distance: int) -> int:
    """Return the number k of equal bands that minimises the cost of all passes on random hashes."""

    def estimate_cost(k: int) -> float:
        key_bits = min(_limit_key_bits(n_hashes), HASH_BITS * k // (max_distance + k))
        n_comparisons = n_hashes / 2 * n_hashes / 2**key_bits
        return comb(max_distance + k, k) * float(GROUPING_COST * n_hashes + n_comparisons + (1 << key_bits))

    # With more bands than bits some would be empty.
    return min(range(1, min(6, HASH_BITS - max_distance) + 1), key=estimate_cost)


def _limit_key_bits(n_hashes: int) -> int:
    return min(MAX_KEY_BITS, n_hashes.bit_length() + SPARE_KEY_BITS)


def _join_pass(distinct: Hashes, labels: Nodes, chosen: tuple[tuple[int, int], ...], max_distance: int) -> None:
    """Join all pairs within the distance that agree in the chosen bands."""
    key, key_bits = _extract_key(distinct, chosen)
    # Transposing a sparse matrix with one entry per row is a counting sort in C: three times as fast as sorting keys.
    rows = csr_array((distinct, key, np.arange(distinct.size + 1, dtype=np.int32)), (distinct.size, 2**key_bits))
    columns = rows.tocsc()
    nodes, ordered, starts = columns.indices, columns.data, columns.indptr
    sizes = np.diff(starts)
    _join_large(ordered, nodes, labels, starts[:-1][sizes > MAX_WALKED], sizes[sizes > MAX_WALKED], max_distance)
    n_after = np.repeat(np.where(sizes > MAX_WALKED, 0, sizes), sizes)
    walked = np.flatnonzero(n_after)
    # Number of entries after each one in its bucket.
    n_after[walked] = (np.repeat(starts[1:], sizes)[walked] - walked) - 1
    for shift in range(1, MAX_WALKED):
        walked = walked[n_after[walked] >= shift]
        if not walked.size:
            break
        near = walked[distance(ordered[walked], ordered[walked + shift]) <= max_distance]
        _join(labels, nodes[near], nodes[near + shift])
    _flatten(labels)


def _extract_key(distinct: Hashes, chosen: tuple[tuple[int, int], ...]) -> tuple[npt.NDArray[np.int32], int]:
    """Return the chosen bits packed together, and their number; only the first ones if there are too many to count."""
    limit = _limit_key_bits(distinct.size)
    key = np.zeros(distinct.size, dtype=np.uint64)
    key_bits = 0
    for low, high in chosen:
        width = min(high - low, limit - key_bits)
        key <<= np.uint64(width)
        key |= (distinct >> np.uint64(low)) & np.uint64(2**width - 1)
        key_bits += width
    return key.astype(np.int32), key_bits


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
