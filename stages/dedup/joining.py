"""The compiled loops of the search for near hashes: group rows by key, compare within groups, join components.

Not for choosing keys or bands: neighbours.py does. A component is a tree of labels, each at most its row's number.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Nodes = npt.NDArray[np.int64]
Keys = npt.NDArray[np.int32]
F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Return the function as machine code, stored for the next process where there is a folder to write to."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither this package's folder nor the user's cache can be written
        return cast(F, numba.njit(nogil=True)(function))


@compiled
def _find(labels: Nodes, node: int) -> int:
    while labels[node] != node:
        labels[node] = labels[labels[node]]
        node = labels[node]
    return node


@compiled
def is_near(a: np.uint64, b: np.uint64, max_distance: int) -> np.bool_:
    """Return whether two hashes differ in at most max_distance bits."""
    # Bits counted in parallel (H. S. Warren, Hacker's Delight, section 5-1), which compiles to one instruction.
    x = a ^ b
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((x * np.uint64(0x0101010101010101)) >> np.uint64(56)) <= np.uint64(max_distance)


@compiled
def key_of(value: np.uint64, lows: Keys, widths: Keys) -> np.int64:
    """Return the chosen bits of a hash packed together: those from `lows` on, as many as `widths`."""
    key = np.uint64(0)
    for n in range(lows.size):
        width = np.uint64(widths[n])
        key = (key << width) | ((value >> np.uint64(lows[n])) & ((np.uint64(1) << width) - np.uint64(1)))
    return np.int64(key)


@compiled
def group_rows(hashes: Hashes, lows: Keys, widths: Keys, starts: Keys, ordered: Hashes, nodes: Keys) -> None:
    """Sort rows by key: bucket k is ordered[starts[k]:starts[k + 1]], of the rows in `nodes`.

    Args:
        hashes: uint64 [n].
        lows: as for key_of.
        widths: as for key_of.
        starts: int32 [number of keys + 1], overwritten.
        ordered: uint64 [n], overwritten.
        nodes: int32 [n], overwritten.
    """
    starts[:] = 0
    for value in hashes:
        starts[key_of(value, lows, widths) + 1] += 1
    for key in range(1, starts.size):
        starts[key] += starts[key - 1]
    for row in range(hashes.size):
        found = key_of(hashes[row], lows, widths)
        place = starts[found]
        starts[found] = place + 1
        ordered[place] = hashes[row]
        nodes[place] = row
    for key in range(starts.size - 1, 0, -1):
        starts[key] = starts[key - 1]
    starts[0] = 0


@compiled
def join_groups(ordered: Hashes, nodes: Keys, starts: Keys, labels: Nodes, max_distance: int, max_size: int) -> None:
    """Join near rows of each bucket of at most max_size rows, in place; the smaller label is the root."""
    for key in range(starts.size - 1):
        start, stop = starts[key], starts[key + 1]
        if stop - start < 2 or stop - start > max_size:
            continue
        for i in range(start, stop - 1):
            for j in range(i + 1, stop):
                if is_near(ordered[i], ordered[j], max_distance):
                    a, b = _find(labels, nodes[i]), _find(labels, nodes[j])
                    labels[max(a, b)] = min(a, b)


@compiled
def find_joined(nodes: Keys, starts: Keys, labels: Nodes, min_size: int) -> npt.NDArray[np.bool_]:
    """Return, per bucket, whether it has more than min_size rows and all of them are in one component."""
    joined = np.zeros(starts.size - 1, np.bool_)
    for key in range(joined.size):
        start, stop = starts[key], starts[key + 1]
        if stop - start > min_size:
            root = _find(labels, nodes[start])
            joined[key] = True
            for place in range(start + 1, stop):
                if _find(labels, nodes[place]) != root:
                    joined[key] = False
                    break
    return joined


@compiled
def join_turned(
    turned: Hashes, owners: Nodes, ordered: Hashes, nodes: Keys, starts: Keys, lows: Keys, widths: Keys,
    labels: Nodes, max_distance: int, min_size: int,
) -> None:  # fmt: skip
    """Join each row to the rows that one of its turned hashes is near, in place.

    Args:
        turned: uint64 [m].
        owners: int64 [m], the row of each turned hash.
        ordered: as group_rows left it; nodes and starts likewise.
        nodes: int32 [n].
        starts: int32 [number of keys + 1].
        lows: as for key_of.
        widths: as for key_of.
        labels: int64 [n], of components.
        max_distance: bits.
        min_size: larger buckets of one component are left at the first near row, or not searched at all.
    """
    joined = find_joined(nodes, starts, labels, min_size)
    for n in range(turned.size):
        value = turned[n]
        key = key_of(value, lows, widths)
        if joined[key] and _find(labels, owners[n]) == _find(labels, nodes[starts[key]]):
            continue
        for place in range(starts[key], starts[key + 1]):
            if is_near(value, ordered[place], max_distance):
                a, b = _find(labels, owners[n]), _find(labels, nodes[place])
                labels[max(a, b)] = min(a, b)
                if joined[key]:
                    break
