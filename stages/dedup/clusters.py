"""Group images into clusters by equal pixels, or by near perceptual hashes of pictures with enough detail.

The caller chooses the survivors by the order of the images.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from stages.dedup.heads import take_near
from stages.dedup.joining import join
from stages.dedup.neighbours import Hashes, components, distance

Labels = npt.NDArray[np.int64]

_DATES = 10**8  # more than any date, yyyymmdd
FEW = 256  # members that are compared with each head at once; the index of heads costs half a MiB a band to clear


def label_clusters(
    pixels: Labels, hashes: Hashes, details: npt.NDArray[np.floating], dates: Labels, max_distance: int,
    min_detail: float, *, is_chained: bool,
) -> tuple[Labels, Labels]:  # fmt: skip
    """Return a cluster label per image, and a place; images are in order of survival.

    Clusters have one place if only the stated dates of near pictures keep them apart. The place is -1 if no other
    cluster has it.

    Images with equal pixels are always in one cluster. With is_chained a cluster is a connected component of near
    hashes, as in RS5M: its members may be far apart. Otherwise its first image takes all images within the distance
    that no earlier cluster took, so each member is near the survivor. A cluster has one date at most: the first that
    any of its images states. Images of other dates are in further clusters; those without a date are in any.

    Args:
        pixels: int64 [n], equal for images of equal pixels.
        hashes: uint64 [n, m], perceptual hashes: of the picture as shown, then of the picture turned in other ways,
            if any. Two pictures are near if a hash of one is near the first hash of the other.
        details: [n], grey levels; an image below min_detail joins only images with equal pixels.
        dates: int64 [n], equal for equal pixels: when pictures with a stated place were taken; 0 if not stated.
        max_distance: bits.
        min_detail: grey levels.
        is_chained: whether clusters are connected components.
    """
    _, first, node = np.unique(pixels, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")  # nodes in the order of their first image
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    first = first[order]
    labels = np.arange(first.size, dtype=np.int64)
    has_detail = np.flatnonzero(details[first] >= min_detail)
    compared = hashes[first[has_detail]]
    near = components(np.ascontiguousarray(compared[:, 0]), max_distance, compared[:, 1:])
    labels[has_detail] = has_detail[near]
    dates, node = dates[first], rank[node]
    if is_chained:
        places = labels.copy()
        _divide(labels, dates)
    else:
        places = _bound(labels, hashes[first], dates, max_distance)
    return labels[node], _shared(places, labels)[node]


def join_pairs(labels: Labels, pairs: Labels, dates: Labels, *, is_chained: bool) -> Labels:
    """Return the labels of images after clusters are joined by pairs of them.

    Unless is_chained, an earlier cluster takes every later one that it has a pair with and that no earlier one took.
    The taken ones take no others, so that each has a pair with the survivor's cluster. As in label_clusters, a joined
    cluster has one date at most.

    Args:
        labels: int64 [n], clusters in order of survival.
        pairs: int64 [m, 2], two labels each, in any order.
        dates: int64 [n], of a cluster one at most; 0 if not stated.
        is_chained: whether joined clusters are connected components of pairs.
    """
    near: dict[int, list[int]] = {}
    for low, high in np.unique(np.sort(pairs, axis=1), axis=0).tolist():
        if low != high:
            near.setdefault(low, []).append(high)
            near.setdefault(high, []).append(low)
    date_of = dict(zip(labels[dates > 0].tolist(), dates[dates > 0].tolist(), strict=True))
    taker: dict[int, int] = {}
    for head in sorted(near):
        if head in taker:
            continue
        taker[head] = head
        waiting = [head]
        while waiting:
            for other in near[waiting.pop()]:
                date = date_of.get(other)
                if other not in taker and (date is None or date_of.setdefault(head, date) == date):
                    taker[other] = head
                    waiting += [other] if is_chained else []
    if not taker:
        return labels
    old = np.array(sorted(taker), np.int64)
    new = np.array([taker[label] for label in old.tolist()], np.int64)
    place = np.minimum(np.searchsorted(old, labels), old.size - 1)
    return np.where(old[place] == labels, new[place], labels)


def _at_other_dates(labels: Labels, dates: Labels) -> Labels:
    """Return the nodes whose date is not the first one of their component, in order."""
    dated = np.flatnonzero(dates)
    _, first, component = np.unique(labels[dated], return_index=True, return_inverse=True)
    others: Labels = dated[dates[dated] != dates[dated[first]][component]]
    return others


def _divide(labels: Labels, dates: Labels) -> None:
    """Give each date of a component but the first a label of its own, in place."""
    others = _at_other_dates(labels, dates)
    _, first, part = np.unique(labels[others] * _DATES + dates[others], return_index=True, return_inverse=True)
    labels[others] = others[first][part]


def _shared(places: Labels, labels: Labels) -> Labels:
    """Return the place of each node, the first cluster there; -1 if its cluster is the only one.

    Args:
        places: trees of nodes, each at most its node's number.
        labels: the cluster of each node, its first node.
    """
    while not np.array_equal(roots := places[places], places):
        places = roots
    place = places[labels]
    is_shared = np.zeros(labels.size, bool)
    is_shared[place[place != labels]] = True
    return np.where(is_shared[place], place, -1)


def _bound(labels: Labels, hashes: Hashes, dates: Labels, max_distance: int) -> Labels:
    """Cut components into clusters around their first members, in place; return trees of clusters of one place.

    Args:
        labels: per node, the first node of its component in order of survival.
        hashes: per node, as for label_clusters.
        dates: per node; of clusters without one it may be overwritten.
        max_distance: bits.
    """
    places = np.arange(labels.size)
    is_mixed = np.zeros(labels.size, bool)  # by the first node of a component: whether it has several dates
    is_mixed[labels[_at_other_dates(labels, dates)]] = True
    members = np.argsort(labels, kind="stable")
    borders = np.flatnonzero(np.diff(labels[members], prepend=-1, append=-1))
    for start, stop in pairwise(borders.tolist()):
        n_members = stop - start
        if n_members == 1 or (n_members == 2 and not is_mixed[members[start]]):  # two that are near each other
            continue
        rest = members[start:stop]
        if n_members > FEW:
            take_near(hashes, rest, labels, dates, places, max_distance)
            continue
        has_dates = is_mixed[rest[0]]
        while rest.size:
            is_taken = _near_one(hashes[rest], hashes[rest[0]], max_distance)
            if has_dates:
                for node in rest[is_taken]:
                    join(places, node, rest[0])
                date = dates[rest] * is_taken
                is_taken &= (date == 0) | (date == date[(date > 0).argmax()])
            labels[rest[is_taken]] = rest[0]
            rest = rest[~is_taken]
    return places


def _near_one(hashes: Hashes, one: Hashes, max_distance: int) -> npt.NDArray[np.bool_]:
    """Return, per row of hashes, whether it is near `one`, another row of hashes."""
    n_bits = np.minimum(distance(hashes, one[0]).min(axis=1), distance(hashes[:, :1], one).min(axis=1))
    near: npt.NDArray[np.bool_] = n_bits <= max_distance
    return near
