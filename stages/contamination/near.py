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
NONE = np.iinfo(np.int64).max


def nearest_within(
    hashes: Hashes, queries: Hashes, max_distance: int, groups: npt.NDArray[np.int64]
) -> tuple[Rows, Rows, Distances]:
    """Return, for each hash and each group of queries, the nearest query within a distance, the first one if equal.

    Two hashes within d differ in at most d of d + k bands, so k bands are equal (pigeonhole): only pairs that agree
    in some choice of k bands are compared.

    Args:
        hashes: uint64 [n], distinct.
        queries: uint64 [m], in order of preference.
        max_distance: bits, in [0, 60].
        groups: int64 [m], the group of each query, from 0.

    Returns:
        rows of hashes, rows of queries, and distances in bits, in order of rows and groups.

    Source: M. Norouzi et al., Fast Exact Search in Hamming Space with Multi-Index Hashing, 2014, section 3.
    """
    if not 0 <= max_distance <= HASH_BITS - N_EQUAL - 2:
        raise ValueError(f"expected max_distance in [0, {HASH_BITS - N_EQUAL - 2}], found {max_distance}")
    n_groups = int(groups.max()) + 1 if groups.size else 0
    places, keys = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for row, query in _near_pairs(hashes, queries, max_distance):
        distance = np.bitwise_count(hashes[row] ^ queries[query])
        is_near = distance <= max_distance
        row, query = row[is_near], query[is_near]
        places.append(row * n_groups + groups[query])
        keys.append(distance[is_near].astype(np.int64) * queries.size + query)
    place, key = np.concatenate(places), np.concatenate(keys)
    order = np.lexsort((key, place))
    place, key = place[order], key[order]
    is_first = np.diff(place, prepend=-1) > 0
    place, key = place[is_first], key[is_first]
    query = key % max(1, queries.size)
    return place // max(1, n_groups), query, (key // max(1, queries.size)).astype(np.uint8)


def _near_pairs(hashes: Hashes, queries: Hashes, max_distance: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pairs that agree in a choice of bands, as rows of both; pairs may repeat."""
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
