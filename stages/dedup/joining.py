"""The compiled loops that compare hashes within a group and join the components of near ones.

Not for making groups: banding.py does. A component is a tree of labels, each at most its row's number.
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
    """Return the function as machine code, stored for the next process if there is a folder to write to."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither this package's folder nor the user's cache can be written
        return cast(F, numba.njit(nogil=True)(function))


@compiled
def find_root(labels: Nodes, node: int) -> int:
    """Return the root of a node's component; the path to it gets shorter."""
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
def join_group(
    values: Hashes, nodes: Keys, n_own: int, labels: Nodes, max_distance: int, max_walked: int
) -> None:  # fmt: skip
    """Join near rows among own ones, and own with turned ones, in place."""
    if n_own <= max_walked:
        for i in range(n_own):
            for j in range(i + 1, values.size):
                if is_near(values[i], values[j], max_distance):
                    join(labels, nodes[i], nodes[j])
        return
    _join_large(values[:n_own], nodes[:n_own], labels, max_distance)
    is_one = values.size > n_own and _are_joined(nodes[:n_own], labels)
    for i in range(n_own, values.size):
        if is_one and find_root(labels, row_of(nodes[i])) == find_root(labels, nodes[0]):
            continue
        for j in range(n_own):
            if is_near(values[i], values[j], max_distance):
                join(labels, nodes[i], nodes[j])
                if is_one:
                    break


@compiled
def row_of(node: int) -> int:
    """Return the row of an own hash's node, or of a turned one's, ~row."""
    return node if node >= 0 else ~node


@compiled
def join(labels: Nodes, one: int, other: int) -> None:
    """Join the components of two nodes, in place; the smaller root is the root of both."""
    a, b = find_root(labels, row_of(one)), find_root(labels, row_of(other))
    labels[max(a, b)] = min(a, b)


@compiled
def _are_joined(nodes: Keys, labels: Nodes) -> bool:
    root = find_root(labels, nodes[0])
    for node in nodes:  # noqa: SIM110 - numba compiles no generator
        if find_root(labels, node) != root:
            return False
    return True


@compiled
def _join_large(values: Hashes, nodes: Keys, labels: Nodes, max_distance: int) -> None:
    """Join near rows in place, without comparing rows that are joined already.

    The largest component grows until no other row is near it; then the next one grows.
    """
    if _are_joined(nodes, labels):
        return
    rest, component = _by_component(nodes, labels)
    is_joined = np.zeros(nodes.size, np.bool_)  # components that are near the growing one
    waiting = np.empty_like(rest)
    while rest.size:
        n_waiting = 0
        is_joined[component[rest[0]]] = True
        rest, n_waiting = _take(rest, component, is_joined, waiting, n_waiting)
        while n_waiting and rest.size:
            n_waiting -= 1
            row, is_any = waiting[n_waiting], False
            for other in rest:
                if is_near(values[row], values[other], max_distance):
                    join(labels, nodes[row], nodes[other])
                    is_joined[component[other]] = is_any = True
            if is_any:
                rest, n_waiting = _take(rest, component, is_joined, waiting, n_waiting)


@compiled
def _by_component(nodes: Keys, labels: Nodes) -> tuple[Nodes, Nodes]:
    """Return the places of nodes, those of the largest component first, and a number of the component of each."""
    roots = np.empty(nodes.size, np.int64)
    for place in range(nodes.size):
        roots[place] = find_root(labels, nodes[place])
    order = np.argsort(roots)
    component = np.zeros(nodes.size, np.int64)
    sizes = np.zeros(nodes.size, np.int64)
    number = 0
    for n in range(order.size):
        if n and roots[order[n]] != roots[order[n - 1]]:
            number += 1
        component[order[n]] = number
        sizes[number] += 1
    return np.argsort(-sizes[component]), component


@compiled
def _take(rest: Nodes, component: Nodes, is_joined: Any, waiting: Nodes, n_waiting: int) -> tuple[Nodes, int]:
    """Move the rows of joined components from rest to the waiting ones; return rest and the number that wait."""
    n_rest = 0
    for row in rest:
        if is_joined[component[row]]:
            waiting[n_waiting] = row
            n_waiting += 1
        else:
            rest[n_rest] = row
            n_rest += 1
    return rest[:n_rest], n_waiting
