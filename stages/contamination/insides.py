"""Find pictures whose insides have near hashes: framed, captioned and marked copies.

A frame or a strip of text changes the hash of a picture and the summary of its keypoints, but not the keypoints that
agree. Not for deciding which pairs are copies: keypoints do that (candidates.py, between_sets.py, marks.py).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.contamination.layouts import layout_shares
from stages.contamination.near import Hashes, Rows, nearest_within
from stages.contamination.settings import SearchParams
from stages.images.windows import N_WINDOWS, WINDOWS, read_windows
from stages.rows import blocks_of, narrow, no_rows, run_sql

ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Insides:
    """The hashes of the windows of some pictures.

    Attributes:
        keys: the columns that name the pictures.
        hashes: uint64 [n, windows].
        is_known: bool [n, windows], whether the window has enough detail.
    """

    keys: pa.Table
    hashes: Hashes
    is_known: npt.NDArray[np.bool_]

    def take(self, rows: Rows) -> "Insides":
        """Return some of the pictures."""
        return Insides(self.keys.take(pa.array(rows)), self.hashes[rows], self.is_known[rows])


def near_insides(evaluated: Any, gallery: Any, params: SearchParams) -> pa.Table:
    """Return the pairs of pictures with near hashes of one window: the nearest n_candidates of each evaluation picture.

    Args:
        evaluated: evaluation_set, evaluation_path and the columns of WINDOWS.
        gallery: pixel_sha256 and the columns of WINDOWS.
        params: the maximum distance, the minimum detail, the simplest layout, and n_candidates.

    Returns:
        evaluation_set, evaluation_path and pixel_sha256, each pair once.
    """
    asked = read_insides(evaluated, ("evaluation_set", "evaluation_path"), params.min_detail)
    shown = read_insides(gallery, ("pixel_sha256",), params.min_detail)
    pairs = nearest_insides(asked, shown, np.zeros(shown.keys.num_rows, np.int64), params)
    return asked.keys.take(pairs["asked"]).append_column(
        "pixel_sha256", shown.keys["pixel_sha256"].take(pairs["shown"])
    )


def nearest_insides(asked: Insides, shown: Insides, groups: Rows, params: SearchParams) -> pa.Table:
    """Return asked, shown and bits: rows of pictures with near windows, of each group the nearest n_candidates.

    Args:
        asked: pictures, of which windows of a simple layout are left out.
        shown: the pictures to search, in the order in which equally near ones are preferred.
        groups: int64 [number of shown], the group of each, from 0.
        params: the maximum distance, the simplest layout, and n_candidates.
    """
    # Not of those shown too: a hash takes 10 us, and one near a layout that is not simple is hardly simple.
    shares = layout_shares(asked.hashes.ravel()).reshape(asked.hashes.shape)
    is_asked = asked.is_known & (shares <= params.max_layout_share)
    found = []
    for window in range(N_WINDOWS):
        rows, columns = np.flatnonzero(is_asked[:, window]), np.flatnonzero(shown.is_known[:, window])
        row, column, bits = nearest_within(
            asked.hashes[rows, window],
            shown.hashes[columns, window],
            params.max_inside_distance,
            groups[columns],
            np.arange(columns.size),
            params.n_candidates,
        )
        column = columns[column]
        found.append(pa.table({"asked": rows[row], "shown": column, "number": groups[column], "bits": bits}))
    return run_sql(_NEAREST, {"found": pa.concat_tables(found)}, n=params.n_candidates)


_NEAREST = """
    SELECT asked, shown, bits FROM (SELECT asked, shown, number, min(bits) AS bits FROM found GROUP BY ALL)
    QUALIFY row_number() OVER (PARTITION BY asked, number ORDER BY bits, shown) <= $n ORDER BY ALL
"""


def read_insides(rows: Any, keys: tuple[str, ...], min_detail: float) -> Insides:
    """Return the insides of pictures, in the order of the rows, which have the keys and the columns of WINDOWS."""
    rows = narrow(rows, (*keys, *WINDOWS))
    named = [no_rows(pa.schema([rows.schema.field(key) for key in keys]))]
    read = [(np.empty((0, N_WINDOWS), np.uint64), np.empty((0, N_WINDOWS)))]
    for block in blocks_of(rows, ROWS_AT_ONCE):
        named.append(block.select(list(keys)))
        read.append(read_windows(block))
    hashes, details = (np.concatenate(column) for column in zip(*read, strict=True))
    return Insides(pa.concat_tables(named), hashes, details >= min_detail)
