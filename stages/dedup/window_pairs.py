"""Find pairs of pictures whose insides have near hashes: framed, captioned and marked copies."""

from typing import Any

import numpy as np
import numpy.typing as npt

from stages.contract import InputError
from stages.dedup.neighbours import Hashes, components, distance, estimate_seconds
from stages.dedup.settings import PairParams
from stages.dedup.vectors import numbered_blocks
from stages.images.windows import N_WINDOWS, WINDOWS, read_windows

Rows = npt.NDArray[np.int64]

MOST_COMPARED = 64  # of larger components only the pairs with the first row are found


def pairs_of_windows(rows: Any, numbers: Rows, n_pictures: int, params: PairParams) -> tuple[Rows, Rows]:
    """Return the pairs of pictures, by number, whose windows have near hashes.

    Args:
        rows: the table keypoint_summary.
        numbers: int64, the number of each row's picture, -1 for rows to leave out; pictures without one are near
            nothing.
        n_pictures: number of pictures.
        params: the limits of similarity.

    Raises:
        InputError: the search would take longer than max_minutes.
    """
    hashes, is_detailed = np.zeros((n_pictures, N_WINDOWS), np.uint64), np.zeros((n_pictures, N_WINDOWS), bool)
    refuse_long_search(n_pictures, N_WINDOWS, params.max_window_distance, params.max_minutes)
    for block, known, places in numbered_blocks(rows, numbers, WINDOWS):
        found, details = read_windows(block)
        hashes[places], is_detailed[places] = found[known], details[known] >= params.min_detail
    return find_window_pairs(hashes, is_detailed, params.max_window_distance)


def find_window_pairs(hashes: Hashes, is_detailed: npt.NDArray[np.bool_], max_distance: int) -> tuple[Rows, Rows]:
    """Return the pairs of rows, the smaller first and in order, that have near hashes in the same window.

    Args:
        hashes: uint64 [n, windows].
        is_detailed: bool [n, windows]; windows without detail are near nothing.
        max_distance: bits.
    """
    found = [np.empty((0, 2), np.int64)]
    for window in range(hashes.shape[1]):
        rows = np.flatnonzero(is_detailed[:, window])
        if rows.size > 1:
            found.append(rows[_near_pairs(hashes[rows, window], max_distance)])
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[:, 0], pairs[:, 1]


def refuse_long_search(n_rows: int, n_windows: int, max_distance: int, max_minutes: float) -> None:
    """Raise InputError where the search would take longer than the limit."""
    minutes = n_windows * estimate_seconds(n_rows, max_distance) / 60
    if minutes > max_minutes:
        raise InputError(
            f"dedup.max_window_distance = {max_distance} would take about {minutes:.1f} minutes of a core for"
            f" {n_rows:,} pictures: expected at most {max_minutes:g}; lower it, or raise dedup.max_minutes"
        )


def _near_pairs(hashes: Hashes, max_distance: int) -> Rows:
    """Return int64 [pairs, 2]: the places of near hashes, the smaller first."""
    labels = components(hashes, max_distance)
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    ends = np.append(starts[1:], labels.size)
    is_joined = ends - starts > 1
    found = [np.empty((0, 2), np.int64)]
    for start, end in zip(starts[is_joined].tolist(), ends[is_joined].tolist(), strict=True):
        members = order[start:end]
        one, other = np.triu_indices(members.size, 1)
        if members.size > MOST_COMPARED:
            one, other = np.zeros(members.size - 1, np.int64), np.arange(1, members.size)
        is_near = distance(hashes[members[one]], hashes[members[other]]) <= max_distance
        found.append(np.stack([members[one][is_near], members[other][is_near]], axis=1))
    return np.concatenate(found)
