"""Find pairs of vectors of large cosine: each vector's nearest ones, searched by cells, within bounded memory.

Exact up to EXACT_ROWS vectors; beyond, a neighbour is missed if no searched cell contains it.
"""

import numpy as np
import numpy.typing as npt

from stages.dedup.vectors import BLOCK_ROWS, Values, Vectors

Rows = npt.NDArray[np.int64]

EXACT_ROWS = 20_000
N_PROBED = 8  # cells searched for each vector
MAX_DIMENSIONS = 256  # longer vectors are projected at random: 5 million take 5 GB of disk; cosines are off by some .04
_SEED = 3


def find_near(
    vectors: Vectors, n_nearest: int, min_cosine: float, min_first_cosine: float | None = None
) -> tuple[Rows, Rows, Values]:
    """Return pairs of rows, one among the nearest of the other, with their cosines.

    Args:
        vectors: float [n, d]; changed to length 1 in place; rows of zeros are near nothing.
        n_nearest: largest number of neighbours of a row.
        min_cosine: pairs below it are left out.
        min_first_cosine: the same for a row and its nearest one; min_cosine if None.

    Returns:
        the smaller row, the larger row and the cosine in [-1, 1] of each pair, in order of rows.
    """
    lengths = vectors.normalise()
    if lengths.size < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    least = min_cosine if min_first_cosine is None else min(min_cosine, min_first_cosine)
    rows, others, cosines = _search(vectors, n_nearest, least)
    nearest = np.full(lengths.size, -2, np.float32)
    np.maximum.at(nearest, rows, cosines)
    is_near = cosines >= np.where(cosines == nearest[rows], least, min_cosine)
    is_near &= (lengths[rows] > 0) & (lengths[others] > 0)
    low, high = np.minimum(rows, others)[is_near], np.maximum(rows, others)[is_near]
    _, first = np.unique(low * lengths.size + high, return_index=True)
    return low[first], high[first], cosines[is_near][first]


def project(values: Values) -> Values:
    """Return vectors projected to at most MAX_DIMENSIONS, with nearly the same cosines."""
    n_long = values.shape[1]
    if n_long <= MAX_DIMENSIONS:
        return values
    matrix = np.random.default_rng(_SEED).normal(size=(n_long, MAX_DIMENSIONS)).astype(np.float32)
    found: Values = values @ matrix
    return found


def _search(vectors: Vectors, n_nearest: int, min_cosine: float) -> tuple[Rows, Rows, Values]:
    """Return rows, neighbours and cosines: at most n_nearest of each row, of at least min_cosine."""
    unit = vectors.values
    n_rows = len(unit)
    if n_rows <= EXACT_ROWS:
        every = np.arange(n_rows)
        rows, others, found = _nearest_of(unit, every, every, n_nearest)
        is_near = found >= min_cosine
        return rows[is_near], others[is_near], found[is_near]
    cells, members = _cells(vectors)
    best = np.full((n_rows, n_nearest), -1, np.int64)
    cosines = np.full((n_rows, n_nearest), -2, np.float32)
    for probe in range(cells.shape[1]):
        order = np.argsort(cells[:, probe], kind="stable")
        borders = np.searchsorted(cells[order, probe], np.arange(len(members) + 1))
        for cell, searched in enumerate(members):
            asking = order[borders[cell] : borders[cell + 1]]
            if asking.size and searched.size:
                _merge(best, cosines, *_nearest_of(unit, asking, searched, n_nearest))
            vectors.forget()
    row, place = np.nonzero((best >= 0) & (cosines >= min_cosine))
    return row, best[row, place], cosines[row, place]


def _cells(vectors: Vectors) -> tuple[npt.NDArray[np.int32], list[Rows]]:
    """Return the nearest cells of each row, int32 [n, N_PROBED], and the rows whose nearest cell each is."""
    unit = vectors.values
    n_cells = round(np.sqrt(len(unit)))
    chosen = np.random.default_rng(_SEED).choice(len(unit), n_cells, replace=False)
    middles = unit[np.sort(chosen)]
    cells = np.empty((len(unit), min(N_PROBED, n_cells)), np.int32)
    for start in range(0, len(unit), BLOCK_ROWS):
        near = unit[start : start + BLOCK_ROWS] @ middles.T
        some = np.argpartition(-near, cells.shape[1] - 1, axis=1)[:, : cells.shape[1]]
        order = np.argsort(-np.take_along_axis(near, some, 1), axis=1, kind="stable")
        cells[start : start + BLOCK_ROWS] = np.take_along_axis(some, order, 1)
        vectors.forget()
    first = np.argsort(cells[:, 0], kind="stable")
    return cells, np.split(first, np.searchsorted(cells[first, 0], np.arange(1, n_cells)))


def _nearest_of(unit: Values, asking: Rows, searched: Rows, n_nearest: int) -> tuple[Rows, Rows, Values]:
    """Return rows of `asking`, their nearest rows of `searched` other than themselves, and cosines."""
    found: list[tuple[Rows, Rows, Values]] = []
    n_kept = min(n_nearest, len(searched))
    for start in range(0, len(asking), BLOCK_ROWS):
        rows = asking[start : start + BLOCK_ROWS]
        near = unit[rows] @ unit[searched].T
        near[rows[:, None] == searched] = -2
        some = np.argpartition(-near, n_kept - 1, axis=1)[:, :n_kept]
        cosines = np.take_along_axis(near, some, 1).reshape(-1)
        pairs = np.repeat(rows, n_kept), searched[some.reshape(-1)], cosines
        found.append((pairs[0][cosines > -2], pairs[1][cosines > -2], cosines[cosines > -2]))
    one, other, cosine = zip(*found, strict=True)
    return np.concatenate(one), np.concatenate(other), np.concatenate(cosine)


def _merge(best: Rows, cosines: Values, rows: Rows, others: Rows, found: Values) -> None:
    """Put neighbours among the best of their rows, in place; a row's neighbours are next to each other."""
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    n_found = np.diff(np.append(starts, rows.size))
    width = best.shape[1]
    place = np.arange(rows.size) - np.repeat(starts, n_found)
    more = np.full((starts.size, width), -1, np.int64)
    more_cosines = np.full((starts.size, width), -2, np.float32)
    line = np.repeat(np.arange(starts.size), n_found)
    more[line, place], more_cosines[line, place] = others, found
    changed = rows[starts]
    both = np.concatenate([best[changed], more], axis=1)
    both_cosines = np.concatenate([cosines[changed], more_cosines], axis=1)
    order = np.argsort(-both_cosines, axis=1, kind="stable")[:, :width]
    best[changed], cosines[changed] = np.take_along_axis(both, order, 1), np.take_along_axis(both_cosines, order, 1)
