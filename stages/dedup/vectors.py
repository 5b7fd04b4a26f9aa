"""Vectors that need not fit into memory: rows of float32 in a file, with only recently read ones in memory.

Not for searching them: feature_neighbours.py does that.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.dedup.held_rows import HeldRows
from stages.rows import ROWS_AT_ONCE, blocks_of, narrow

Values = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

BLOCK_ROWS = 4_096


class Vectors(HeldRows):
    """Rows of zeros at first, in memory or in a file.

    Attributes:
        values: float32 [n, d].
    """

    values: Values

    def __init__(self, n_rows: int, n_dimensions: int, path: Path | None = None) -> None:
        """Prepare the rows; with a path they are in a new file. Raises OSError if the disk has no room for them."""
        super().__init__((n_rows, n_dimensions), np.float32, path)

    def normalise(self) -> Values:
        """Bring the rows to length 1, those of zeros excepted, and return the lengths, float32 [n]."""
        lengths = np.empty(len(self.values), np.float32)
        for start in range(0, len(lengths), BLOCK_ROWS):
            block = self.values[start : start + BLOCK_ROWS]
            own = lengths[start : start + BLOCK_ROWS]
            own[:] = np.linalg.norm(block, axis=1)
            block /= np.where(own > 0, own, 1)[:, None]
            self.forget()
        return lengths

    def cosines(self, rows: Numbers, others: Numbers) -> Values:
        """Return the cosines of pairs of rows of length 1."""
        found = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), BLOCK_ROWS):
            some = slice(start, start + BLOCK_ROWS)
            found[some] = (self.values[rows[some]] * self.values[others[some]]).sum(axis=1)
            self.forget()
        return found


def numbered_blocks(
    rows: Any, numbers: Numbers, names: Sequence[str], n_rows: int = ROWS_AT_ONCE
) -> Iterator[tuple[pa.Table, npt.NDArray[np.bool_], Numbers]]:
    """Yield columns block by block: the block, which of its rows have a number, bool [rows], and these numbers.

    Args:
        rows: a table, in memory or in files.
        numbers: int64, of each row; -1 for rows without one.
        names: the columns.
        n_rows: rows of a block that is read from files.
    """
    start = 0
    for block in blocks_of(narrow(rows, names), n_rows):
        of_block = numbers[start : start + block.num_rows]
        start += block.num_rows
        known = of_block >= 0
        yield block, known, of_block[known]
