"""Find pairs of an evaluation picture, as it is, turned or cut, and another picture with a near perceptual hash.

Not for deciding which of them are copies: their grey levels do that (grey.py, marks.py).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.contamination.layouts import layout_shares
from stages.contamination.near import Hashes, Rows, nearest_within
from stages.contamination.settings import NearParams
from stages.rows import run_sql

N_NEAREST = 3  # pictures of a split that are compared with one hash: the nearest one by chance may be unlike
# Columns of evaluation_image that the search needs.
HASHED = (
    "evaluation_set", "evaluation_path", "evaluation_split", "variant_names", "variant_hashes", "variant_details",
)  # fmt: skip


@dataclass(frozen=True)
class _Queries:
    """The hashes of evaluation pictures to search for, sorted by set, split and path.

    Attributes:
        pictures: the evaluation pictures: evaluation_set, evaluation_split, evaluation_path.
        hashes: uint64 [n].
        picture: int64 [n], the row of each hash's picture.
        group: int64 [n], the set and split of each hash.
        names: string [n], how the picture was changed.
    """

    pictures: pa.Table
    hashes: Hashes
    picture: Rows
    group: Rows
    names: pa.Array


def find_near(phash: pa.ChunkedArray, evaluation_image: pa.Table, params: NearParams) -> pa.Table:
    """Return the nearest evaluation pictures within the distance, per hash and split, each with its nearest variant.

    Args:
        phash: uint64, distinct; of pictures with enough detail.
        evaluation_image: rows of evaluation_image, with the columns of HASHED.
        params: the maximum distances, the minimum detail, and the simplest layout.

    Returns:
        phash, evaluation_set, evaluation_split, evaluation_path, match_variant and match_distance.
    """
    hashes = np.sort(phash.to_numpy())
    queries = _queries(evaluation_image, params)
    is_window = pc.starts_with(queries.names, "window").to_numpy(zero_copy_only=False)
    limits = ((~is_window, params.max_distance), (is_window, params.max_window_distance))
    tables = [_nearest(hashes, queries, np.flatnonzero(chosen), limit) for chosen, limit in limits]
    found = run_sql(_NEAREST_VARIANT, {"found": pa.concat_tables(tables)})
    return found.filter(pa.array(layout_shares(found["phash"].to_numpy()) <= params.max_layout_share))


_NEAREST_VARIANT = """
    FROM found QUALIFY row_number() OVER (
        PARTITION BY phash, evaluation_set, evaluation_path
        ORDER BY match_distance, starts_with(match_variant, 'window')
    ) = 1
"""


def _nearest(hashes: Hashes, queries: _Queries, chosen: Rows, max_distance: int) -> pa.Table:
    """Return the nearest pictures of some queries to each hash in each split."""
    row, place, bits = nearest_within(
        hashes, queries.hashes[chosen], max_distance, queries.group[chosen], queries.picture[chosen], N_NEAREST
    )
    query = chosen[place]
    pictures = queries.pictures.take(pa.array(queries.picture[query], pa.int64()))
    return pa.table(
        {
            "phash": pa.array(hashes[row], pa.uint64()),
            **{name: pictures[name] for name in pictures.column_names},
            "match_variant": queries.names.take(pa.array(query, pa.int64())),
            "match_distance": pa.array(bits, pa.float64()),
        }
    )


def _queries(evaluation_image: pa.Table, params: NearParams) -> _Queries:
    rows = run_sql(
        "SELECT *, dense_rank() OVER (ORDER BY evaluation_set, evaluation_split) - 1 AS split_number"
        f" FROM (SELECT {', '.join(HASHED)} FROM evaluation_image)"
        " ORDER BY evaluation_set, evaluation_split, evaluation_path",
        {"evaluation_image": evaluation_image},
    ).combine_chunks()
    lengths = rows["variant_hashes"].combine_chunks().value_lengths().to_numpy()
    picture = np.repeat(np.arange(rows.num_rows), lengths)
    columns = {name: rows[name].combine_chunks().flatten() for name in ("variant_hashes", "variant_names")}
    hashes = columns["variant_hashes"].to_numpy()
    is_meant = rows["variant_details"].combine_chunks().flatten().to_numpy() >= params.min_detail
    is_meant &= layout_shares(hashes) <= params.max_layout_share
    picture = picture[is_meant]
    return _Queries(
        rows.select(["evaluation_set", "evaluation_split", "evaluation_path"]),
        hashes[is_meant],
        picture,
        rows["split_number"].to_numpy()[picture],
        columns["variant_names"].filter(pa.array(is_meant)),
    )
