"""The compiled search that cuts a component into clusters: each member goes to the first head that is near it.

A head is a member that no earlier head of its date was near. Heads are found by bands of their hashes, so that a long
chain of near pictures does not cost its square.
"""

import numpy as np
import numpy.typing as npt

from stages.dedup.joining import compiled, is_near, join

Hashes = npt.NDArray[np.uint64]
Nodes = npt.NDArray[np.int64]


@compiled
def _band_of(value: np.uint64, band: int, n_bands: int) -> np.int64:
    low, high = band * 64 // n_bands, (band + 1) * 64 // n_bands
    width = min(high - low, 16)
    return np.int64((value >> np.uint64(low)) & ((np.uint64(1) << np.uint64(width)) - np.uint64(1)))


@compiled
def _first_near(
    value: np.uint64, tops: Nodes, following: Nodes, stored: Hashes, owners: Nodes, is_own: bool, last: int,
    found: int, max_distance: int,
) -> int:  # fmt: skip
    """Return the earliest head after `last` with a stored hash near the value, at most `found`.

    Args:
        value: a hash of the member.
        tops: int64 [bands, 65536], the last stored hash of each band's value; -1 if no hash is stored.
        following: int64 [bands, capacity], the next stored hash with the same band.
        stored: uint64 [capacity].
        owners: int64 [capacity], the row of each stored hash; ~row for hashes that are not its own.
        is_own: whether the value is the member's own hash: only own hashes are compared with turned ones.
        last: the row of a head, or -1.
        found: the row of the head found so far; larger than any row if no head was found.
        max_distance: bits.
    """
    for band in range(tops.shape[0]):
        place = tops[band, _band_of(value, band, tops.shape[0])]
        while place >= 0:
            head = owners[place]
            if head >= 0 or is_own:
                head = head if head >= 0 else ~head
                if last < head < found and is_near(value, stored[place], max_distance):
                    found = head
            place = following[band, place]
    return found


@compiled
def take_near(
    hashes: Hashes, members: Nodes, labels: Nodes, dates: Nodes, places: Nodes, max_distance: int
) -> None:  # fmt: skip
    """Label each member by the first head of its date that is near it, in place; without one it becomes a head.

    Two rows are near if a hash of one is near the other's own hash. A head without a date has that of the first member
    with one.

    Args:
        hashes: uint64 [n, m], the row's own hash first.
        members: int64, rows of one component, ascending: in order of survival.
        labels: int64 [n], overwritten for the members.
        dates: int64 [n], 0 if not stated; overwritten for heads without a date.
        places: int64 [n], of components: a member is joined to heads that are near it, up to the one that takes it.
        max_distance: bits.
    """
    n_bands, n_ways = max_distance + 1, hashes.shape[1]  # hashes within d bits agree in one of d + 1 bands
    tops = np.full((n_bands, 1 << 16), -1, np.int64)
    following = np.empty((n_bands, members.size * n_ways), np.int64)
    stored, owners = np.empty(members.size * n_ways, np.uint64), np.empty(members.size * n_ways, np.int64)
    n_stored, none = 0, hashes.shape[0]
    for row in members:
        found, last, is_taken = none, -1, False
        while not is_taken:
            found = none
            for way in range(n_ways):
                found = _first_near(
                    hashes[row, way], tops, following, stored, owners, way == 0, last, found, max_distance
                )
            if found == none:
                break
            join(places, row, found)
            is_taken = dates[row] == 0 or dates[found] == 0 or dates[row] == dates[found]
            last = found
        labels[row] = found if is_taken else row
        if is_taken:
            dates[found] = max(dates[found], dates[row])
            continue
        for way in range(n_ways):
            stored[n_stored], owners[n_stored] = hashes[row, way], row if way == 0 else ~row
            for band in range(n_bands):
                value = _band_of(hashes[row, way], band, n_bands)
                following[band, n_stored] = tops[band, value]
                tops[band, value] = n_stored
            n_stored += 1
