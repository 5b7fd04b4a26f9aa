"""Find the nearest of very many vectors to each of some, exactly, in blocks that memory holds."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]
Cosines = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

QUERIES_AT_ONCE = 1_024
HELD = 4_000_000  # pairs after which each query's nearest are chosen among those found so far


class Nearest:
    """The nearest vectors found so far to each query; vectors are given in blocks.

    Cosines are computed pair by pair in double precision, so that they do not depend on the blocks.
    """

    def __init__(self, queries: Values, n_nearest: int, min_cosine: float) -> None:
        """Begin a search.

        Args:
            queries: float32 [m, d]; rows of zeros are near nothing.
            n_nearest: largest number of vectors near a query.
            min_cosine: vectors with a smaller cosine are not near.
        """
        self._queries, self._is_query = _scale(queries)
        self._n_nearest = n_nearest
        self._floor = np.full(len(queries), min_cosine)
        self._found: list[tuple[Rows, Rows, Cosines, Keys]] = []
        self._n_held = 0

    def add(self, vectors: Values, first_row: int, keys: Keys) -> None:
        """Search a block of vectors.

        Args:
            vectors: float32 [k, d]; rows of zeros are near nothing.
            first_row: row of the first of them among all vectors.
            keys: uint64 [k]; of equally near vectors those with the smaller keys are kept.
        """
        vectors, is_vector = _scale(vectors)
        for start in range(0, len(self._queries), QUERIES_AT_ONCE):
            some = slice(start, start + QUERIES_AT_ONCE)
            near = self._queries[some] @ vectors.T
            # Rounding may differ by block: a little more is looked at.
            is_near = near >= (self._floor[some] - 1e-4)[:, None].astype(np.float32)
            query, row = np.nonzero(is_near & self._is_query[some, None] & is_vector)
            if query.size:
                self._hold(query + start, row, vectors, first_row, keys)

    def _hold(self, query: Rows, row: Rows, vectors: Values, first_row: int, keys: Keys) -> None:
        cosines = np.empty(query.size)
        for start in range(0, query.size, 1 << 16):
            some = slice(start, start + (1 << 16))
            one, other = self._queries[query[some]].astype(np.float64), vectors[row[some]].astype(np.float64)
            cosines[some] = (one * other).sum(axis=1).round(4)
        kept = cosines >= self._floor[query]
        self._found.append((query[kept], row[kept] + first_row, cosines[kept], keys[row[kept]]))
        self._n_held += int(kept.sum())
        if self._n_held > HELD:
            self._choose()

    def _choose(self) -> None:
        """Keep the nearest of each query, and raise the floor to the last of them."""
        columns = [np.concatenate(column) for column in zip(*self._found, strict=True)]
        query, row, cosines, keys = columns
        order = np.lexsort((row, keys, -cosines, query))
        query = query[order]
        starts = np.flatnonzero(np.diff(query, prepend=-1))
        place = np.arange(query.size) - np.repeat(starts, np.diff(np.append(starts, query.size)))
        kept = order[place < self._n_nearest]
        self._found = [(columns[0][kept], row[kept], cosines[kept], keys[kept])]
        self._n_held = kept.size
        is_last = place == self._n_nearest - 1
        self._floor[query[is_last]] = cosines[order[is_last]]

    def result(self) -> tuple[Rows, Rows, Cosines]:
        """Return queries, rows of vectors and cosines, rounded to 4 digits, in order of query and nearness."""
        if not self._found:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        self._choose()
        query, row, cosines, _ = self._found[0]
        return query, row, cosines


def _scale(vectors: Values) -> tuple[Values, npt.NDArray[np.bool_]]:
    """Return vectors of length 1, and which of them are not zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Values = vectors / np.maximum(lengths, np.float32(1e-12))
    return scaled, np.asarray(lengths[:, 0] > 0)


def search(
    queries: Values, blocks: Iterable[tuple[Values, Keys]], n_nearest: int, min_cosine: float
) -> tuple[Rows, Rows, Cosines]:
    """Return each query's nearest vectors; see `Nearest`."""
    nearest = Nearest(queries, n_nearest, min_cosine)
    first_row = 0
    for vectors, keys in blocks:
        nearest.add(vectors, first_row, keys)
        first_row += len(vectors)
    return nearest.result()
