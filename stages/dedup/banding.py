"""The compiled loops that sort hashes by bands, so that near ones are in one group.

Not for choosing bands: neighbours.py does; joining.py compares within a group.
"""

import numpy as np

from stages.dedup.joining import Hashes, Keys, Nodes, compiled, is_near, join, join_group

MAX_KEY_BITS = 16  # of a band; groups are counted in an array of 2 ** key bits
SORTING_COST = 8  # of a row in one pass, in comparisons (measured here, 1 to 5 million)


@compiled
def join_bands(
    values: Hashes, nodes: Keys, n_own: int, edges: Keys, n_passes: Nodes, first: int, n_equal: int, labels: Nodes,
    max_distance: int, max_walked: int,
) -> None:  # fmt: skip
    """Join the near rows that agree in n_equal bands or more, in place.

    Rows are sorted by one band, and each group of equal bands by each later band. Groups soon fit the cache, which
    makes a pass many times cheaper than sorting all rows by all chosen bands.

    Args:
        values: uint64 [n], own hashes first, then turned ones.
        nodes: int32 [n], the row of each own hash, ~row of each turned one.
        n_own: number of own hashes.
        edges: int32 [bands + 1], the lowest bit of each band, and 64.
        n_passes: int64 [bands + 1, n_equal + 1], [i, k]: the number of choices of k bands from band i on.
        first: the first band that is not compared yet.
        n_equal: number of bands that must still agree.
        labels: int64, of components; the smaller label is the root.
        max_distance: bits.
        max_walked: larger groups are searched without comparing rows that are joined already.
    """
    n_pairs = n_own * (n_own - 1) // 2 + n_own * (values.size - n_own)
    if n_equal == 0 or n_pairs <= n_passes[first, n_equal] * SORTING_COST * values.size:
        join_group(values, nodes, n_own, labels, max_distance, max_walked)
        return
    if n_equal == 1 and n_own <= max_walked:
        _join_chains(values, nodes, n_own, edges, first, labels, max_distance)
        return
    ordered, moved = np.empty_like(values), np.empty_like(nodes)
    for band in range(first, edges.size - n_equal):
        starts, owned = _sort_band(
            values, nodes, n_own, edges[band], _count_keys(edges, band, values.size), ordered, moved
        )
        if n_equal == 1:
            _join_groups(ordered, moved, starts, owned, labels, max_distance, max_walked)
            continue
        for key in range(owned.size):
            start, stop, n_owned = starts[key], starts[key + 1], owned[key] - starts[key]
            if n_owned and stop - start > 1:
                join_bands(
                    ordered[start:stop], moved[start:stop], n_owned, edges, n_passes, band + 1, n_equal - 1, labels,
                    max_distance, max_walked,
                )  # fmt: skip


@compiled
def _count_keys(edges: Keys, band: int, n_rows: int) -> int:
    """Return how many keys a band has: of a wide one the low bits make them, about as many as rows."""
    n_bits = 1
    while n_bits < min(edges[band + 1] - edges[band], MAX_KEY_BITS) and (1 << n_bits) < n_rows:
        n_bits += 1
    return 1 << n_bits


@compiled
def _join_chains(
    values: Hashes, nodes: Keys, n_own: int, edges: Keys, first: int, labels: Nodes, max_distance: int
) -> None:
    """Join near rows that agree in `first` or a later band, in place; few rows need no sorting."""
    following = np.empty(n_own, np.int32)
    for band in range(first, edges.size - 1):
        n_keys, shift = _count_keys(edges, band, values.size), np.uint64(edges[band])
        mask = np.uint64(n_keys - 1)
        tops = np.full(n_keys, -1, np.int32)
        for row in range(values.size):
            key = np.int64((values[row] >> shift) & mask)
            place = tops[key]
            while place >= 0:
                if is_near(values[row], values[place], max_distance):
                    join(labels, nodes[row], nodes[place])
                place = following[place]
            if row < n_own:
                following[row] = tops[key]
                tops[key] = row


@compiled
def _sort_band(
    values: Hashes, nodes: Keys, n_own: int, low: int, n_keys: int, ordered: Hashes, moved: Keys
) -> tuple[Nodes, Nodes]:
    """Sort rows by their key, the bits from `low` up that give n_keys keys; own rows come first in a group.

    Returns:
        the start of each group and the end of the last, and where the turned rows of each group start.
    """
    shift, mask = np.uint64(low), np.uint64(n_keys - 1)
    starts = np.zeros(n_keys + 1, np.int64)
    for value in values:
        starts[np.int64((value >> shift) & mask) + 1] += 1
    for key in range(1, n_keys):
        starts[key + 1] += starts[key]
    places = starts[:-1].copy()
    owned = places
    for row in range(values.size):
        if row == n_own:
            owned = places.copy()
        key = int((values[row] >> shift) & mask)
        ordered[places[key]], moved[places[key]] = values[row], nodes[row]
        places[key] += 1
    return starts, owned


@compiled
def _join_groups(
    ordered: Hashes, moved: Keys, starts: Nodes, owned: Nodes, labels: Nodes, max_distance: int, max_walked: int
) -> None:  # fmt: skip
    """Join near rows within each group of sorted rows, in place."""
    for key in range(owned.size):
        start, middle, stop = starts[key], owned[key], starts[key + 1]
        if middle - start > max_walked:
            join_group(ordered[start:stop], moved[start:stop], middle - start, labels, max_distance, max_walked)
            continue
        # Most groups have a row or two: a call for each would cost more than its comparisons.
        for i in range(start, middle):
            for j in range(i + 1, stop):
                if is_near(ordered[i], ordered[j], max_distance):
                    join(labels, moved[i], moved[j])
