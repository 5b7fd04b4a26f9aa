"""Group images into clusters by equal pixels, or by near perceptual hashes of pictures with enough detail.

The caller chooses the survivors by the order of the images.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from stages.dedup.neighbours import Hashes, components, distance

Labels = npt.NDArray[np.int64]


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
        hashes: uint64 [n], perceptual hashes.
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
    near = components(hashes[first[has_detail]], max_distance)
    labels[has_detail] = has_detail[near]
    if not is_chained:
        _bound(labels, hashes[first], max_distance)
    found: Labels = labels[rank[node]]
    return found


def _bound(labels: Labels, hashes: Hashes, max_distance: int) -> None:
    """Cut components into clusters around their first members, in place.

    Args:
        labels: per node, the first node of its component in order of survival.
        hashes: per node.
        max_distance: bits.
    """
    members = np.argsort(labels, kind="stable")
    borders = np.flatnonzero(np.diff(labels[members], prepend=-1, append=-1))
    for start, stop in pairwise(borders.tolist()):
        if stop - start < 3:  # one image, or two that are near each other
            continue
        rest = members[start:stop]
        while rest.size:
            is_near = distance(hashes[rest], hashes[rest[0]]) <= max_distance
            labels[rest[is_near]] = rest[0]
            rest = rest[~is_near]
