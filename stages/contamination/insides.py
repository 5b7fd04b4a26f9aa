"""Find pictures of the corpora whose insides have hashes near those of evaluation pictures: framed, captioned, marked.

A frame or a strip of text changes the hash of a picture and the summary of its keypoints, but not the keypoints that
agree. Not for deciding which pairs are copies: keypoints do that (candidates.py, marks.py).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.contamination.layouts import layout_shares
from stages.contamination.near import Hashes, nearest_within
from stages.contamination.settings import SearchParams
from stages.images.windows import N_WINDOWS, WINDOWS, read_windows
from stages.rows import blocks_of, narrow, run_sql

ROWS_AT_ONCE = 65_536


def near_insides(evaluated: Any, gallery: Any, params: SearchParams) -> pa.Table:
    """Return the pairs of pictures with near hashes of one window: the nearest n_candidates of each evaluation picture.

    Args:
        evaluated: evaluation_set, evaluation_path and the columns of WINDOWS.
        gallery: pixel_sha256 and the columns of WINDOWS.
        params: the maximum distance, the minimum detail, the simplest layout, and n_candidates.

    Returns:
        evaluation_set, evaluation_path and pixel_sha256, each pair once.
    """
    asked, hashes, is_asked = _read(evaluated, ("evaluation_set", "evaluation_path"), params.min_detail)
    # Not of the gallery too: a hash takes 10 us, and one near a layout that is not simple is hardly simple.
    is_asked &= layout_shares(hashes.ravel()).reshape(hashes.shape) <= params.max_layout_share
    shown, others, is_shown = _read(gallery, ("pixel_sha256",), params.min_detail)
    found = []
    for window in range(N_WINDOWS):
        rows, columns = np.flatnonzero(is_asked[:, window]), np.flatnonzero(is_shown[:, window])
        row, column, bits = nearest_within(
            hashes[rows, window],
            others[columns, window],
            params.max_inside_distance,
            np.zeros(columns.size, np.int64),
            np.arange(columns.size),
            params.n_candidates,
        )
        found.append(pa.table({"asked": rows[row], "shown": columns[column], "bits": bits}))
    pairs = run_sql(_NEAREST, {"found": pa.concat_tables(found)}, n=params.n_candidates)
    return asked.take(pairs["asked"]).append_column("pixel_sha256", shown["pixel_sha256"].take(pairs["shown"]))


_NEAREST = """
    SELECT asked, shown FROM (SELECT asked, shown, min(bits) AS bits FROM found GROUP BY ALL)
    QUALIFY row_number() OVER (PARTITION BY asked ORDER BY bits, shown) <= $n ORDER BY ALL
"""


def _read(rows: Any, keys: tuple[str, ...], min_detail: float) -> tuple[pa.Table, Hashes, npt.NDArray[np.bool_]]:
    """Return the keys, the hashes, uint64 [n, windows], and which of them have enough detail."""
    rows = narrow(rows, (*keys, *WINDOWS))
    named = [pa.schema([rows.schema.field(key) for key in keys]).empty_table()]
    read = [(np.empty((0, N_WINDOWS), np.uint64), np.empty((0, N_WINDOWS)))]
    for block in blocks_of(rows, ROWS_AT_ONCE):
        named.append(block.select(list(keys)))
        read.append(read_windows(block))
    hashes, details = (np.concatenate(column) for column in zip(*read, strict=True))
    return pa.concat_tables(named), hashes, details >= min_detail
