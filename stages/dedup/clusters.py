"""Group images into clusters by equal pixels, or by near perceptual hashes of pictures with enough detail.

The caller chooses the survivors by the order of the images.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from stages.dedup.heads import take_near
from stages.dedup.neighbours import Hashes, components, distance

Labels = npt.NDArray[np.int64]

FEW = 256  # members that are compared with each head at once; the index of heads costs half a MiB a band to clear


def label_clusters(
    pixels: Labels, hashes: Hashes, details: npt.NDArray[np.floating], max_distance: int, min_detail: float, *,
    is_chained: bool,
) -> Labels:  # fmt: skip
    """Return a cluster label per image; images are in order of survival.

    Images with equal pixels are always in one cluster. With is_chained a cluster is a connected component of near
    hashes, as in RS5M: its members may be far apart. Otherwise its first image takes all images within the distance
    that no earlier cluster took, so each member is near the survivor.

    Args:
        pixels: int64 [n], equal for images of equal pixels.
        hashes: uint64 [n, m], perceptual hashes: of the picture as shown, then of the picture turned in other ways,
            if any. Two pictures are near if a hash of one is near the first hash of the other.
        details: [n], grey levels; an image below min_detail joins only images with equal pixels.
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
    if not is_chained:
        _bound(labels, hashes[first], max_distance)
    found: Labels = labels[rank[node]]
    return found


def join_pairs(labels: Labels, pairs: Labels, *, is_chained: bool) -> Labels:
    """Return the labels of images after clusters are joined by pairs of them.

    Unless is_chained, an earlier cluster takes every later one that it has a pair with and that no earlier one took.
    The taken ones take no others, so that each has a pair with the survivor's cluster.

    Args:
        labels: int64 [n], clusters in order of survival.
        pairs: int64 [m, 2], two labels each, in any order.
        is_chained: whether joined clusters are connected components of pairs.
    """
    near: dict[int, list[int]] = {}
    for low, high in np.unique(np.sort(pairs, axis=1), axis=0).tolist():
        if low != high:
            near.setdefault(low, []).append(high)
            near.setdefault(high, []).append(low)
    taker: dict[int, int] = {}
    for head in sorted(near):
        if head in taker:
            continue
        taker[head] = head
        waiting = [head]
        while waiting:
            free = [other for other in near[waiting.pop()] if other not in taker]
            taker.update(dict.fromkeys(free, head))
            waiting += free if is_chained else []
    if not taker:
        return labels
    old = np.array(sorted(taker), np.int64)
    new = np.array([taker[label] for label in old.tolist()], np.int64)
    place = np.minimum(np.searchsorted(old, labels), old.size - 1)
    return np.where(old[place] == labels, new[place], labels)


def _bound(labels: Labels, hashes: Hashes, max_distance: int) -> None:
    """Cut components into clusters around their first members, in place.

    Args:
        labels: per node, the first node of its component in order of survival.
        hashes: per node, as for label_clusters.
        max_distance: bits.
    """
    members = np.argsort(labels, kind="stable")
    borders = np.flatnonzero(np.diff(labels[members], prepend=-1, append=-1))
    for start, stop in pairwise(borders.tolist()):
        if stop - start < 3:  # one image, or two that are near each other
            continue
        if stop - start > FEW:
            take_near(hashes, members[start:stop], labels, max_distance)
            continue
        rest = members[start:stop]
        while rest.size:
            is_near = _near_one(hashes[rest], hashes[rest[0]], max_distance)
            labels[rest[is_near]] = rest[0]
            rest = rest[~is_near]


def _near_one(hashes: Hashes, one: Hashes, max_distance: int) -> npt.NDArray[np.bool_]:
    """Return, per row of hashes, whether it is near `one`, another row of hashes."""
    n_bits = np.minimum(distance(hashes, one[0]).min(axis=1), distance(hashes[:, :1], one).min(axis=1))
    near: npt.NDArray[np.bool_] = n_bits <= max_distance
    return near
