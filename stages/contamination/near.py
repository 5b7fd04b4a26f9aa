"""Find the nearest query to each of many hashes, exactly within a Hamming distance, in numpy and bounded memory.

Not for clusters of one set of hashes (stages/dedup/neighbours.py).
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]
Distances = npt.NDArray[np.uint8]

HASH_BITS = 64
N_EQUAL = 2  # bands that must agree; with more, passes cost more than the comparisons they spare (1e5 to 5e6 hashes)
PAIRS_AT_ONCE = 1 << 21  # 50 MiB of pairs
HELD = 1 << 23  # near pairs after which the nearest ones are chosen among those found so far: 150 MB


def nearest_within(
    hashes: Hashes, queries: Hashes, max_distance: int, groups: Rows, pictures: Rows, n_nearest: int = 1
) -> tuple[Rows, Rows, Distances]:
    """Return, for each hash and each group of queries, the nearest pictures within a distance, by their nearest query.

    The first one of equally near ones comes first.

    Two hashes within d differ in at most d of d + k bands, so k bands are equal (pigeonhole): only pairs that agree
    in some choice of k bands are compared.

    Args:
        hashes: uint64 [n].
        queries: uint64 [m], in order of preference.
        max_distance: bits, in [0, 60].
        groups: int64 [m], the group of each query, from 0.
        pictures: int64 [m], the picture of each query; each is of one group.
        n_nearest: largest number of pictures of a group that are near a hash.

    Returns:
        rows of hashes, rows of queries, and distances in bits, in order of rows, groups and nearness.

    Source: M. Norouzi et al., Fast Exact Search in Hamming Space with Multi-Index Hashing, 2014, section 3.
    """
    if not 0 <= max_distance <= HASH_BITS - N_EQUAL - 2:
        raise ValueError(f"expected max_distance in [0, {HASH_BITS - N_EQUAL - 2}], found {max_distance}")
    held = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8))]
    n_held = 0
    for row, query in _near_pairs(hashes, queries, max_distance):
        distance = np.bitwise_count(hashes[row] ^ queries[query])
        is_near = distance <= max_distance
        held.append((row[is_near], query[is_near], distance[is_near]))
        n_held += int(is_near.sum())
        if n_held > HELD:  # a pair is found once for each choice of equal bands
            held = [_choose(held, groups, pictures, n_nearest)]
            n_held = 0
    return _choose(held, groups, pictures, n_nearest)


def _choose(
    held: list[tuple[Rows, Rows, Distances]], groups: Rows, pictures: Rows, n_nearest: int
) -> tuple[Rows, Rows, Distances]:
    """Return the nearest query of each picture, and of these the nearest ones of each hash and group."""
    row, query, distance = (np.concatenate(column) for column in zip(*held, strict=True))
    order = np.lexsort((query, distance, pictures[query], row))
    is_other = (np.diff(row[order], prepend=-1) != 0) | (np.diff(pictures[query[order]], prepend=-1) != 0)
    kept = order[is_other]
    order = kept[np.lexsort((query[kept], distance[kept], groups[query[kept]], row[kept]))]
    is_other = (np.diff(row[order], prepend=-1) != 0) | (np.diff(groups[query[order]], prepend=-1) != 0)
    starts = np.flatnonzero(is_other)
    place = np.arange(order.size) - np.repeat(starts, np.diff(np.append(starts, order.size)))
    kept = order[place < n_nearest]
    return row[kept], query[kept], distance[kept]


def _near_pairs(hashes: Hashes, queries: Hashes, max_distance: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pairs that agree in a choice of bands, as rows of both; pairs may repeat."""
    if not queries.size:  # nothing to sort millions of hashes for
        return
    edges = np.linspace(0, HASH_BITS, max_distance + N_EQUAL + 1).astype(int)
    bands = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    for chosen in combinations(bands, N_EQUAL):
        keys = _extract(hashes, chosen)
        order = np.argsort(keys, kind="stable")
        ordered, asked = keys[order], _extract(queries, chosen)
        starts = np.searchsorted(ordered, asked, "left")
        sizes = np.searchsorted(ordered, asked, "right") - starts
        for query, place in _expand(starts, sizes):
            yield order[place], query


def _extract(hashes: Hashes, chosen: tuple[tuple[int, int], ...]) -> Hashes:
    key = np.zeros(hashes.size, np.uint64)
    for low, high in chosen:
        key <<= np.uint64(high - low)
        key |= (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
    return key


def _expand(starts: Rows, sizes: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Yield the query and the position of each pair, about PAIRS_AT_ONCE pairs at a time.

    Args:
        starts: int64 [m], first position of each query.
        sizes: int64 [m], number of positions of each query.
    """
    has_some = np.flatnonzero(sizes)
    starts, sizes = starts[has_some], sizes[has_some]
    ends = np.cumsum(sizes)
    first = 0
    while first < sizes.size:
        done = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + PAIRS_AT_ONCE, "right")))
        some = sizes[first:last]
        offsets = np.arange(int(ends[last - 1]) - done) - np.repeat(ends[first:last] - some - done, some)
        yield np.repeat(has_some[first:last], some), np.repeat(starts[first:last], some) + offsets
        first = last
