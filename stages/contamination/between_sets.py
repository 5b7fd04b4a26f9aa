"""Compare pictures of evaluation sets with those of other sets, and of other splits of the same set, by keypoints.

Pairs are found as between evaluation pictures and the corpora: by summaries of keypoints and by hashes of insides.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import SET_MATCH
from stages.contamination.across import Values, search
from stages.contamination.candidates import read_queries
from stages.contamination.insides import nearest_insides, read_insides
from stages.contamination.settings import SearchParams, off_without_keypoints
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.dedup.identities import COMPARISON
from stages.images.keypoints import compare_keypoints
from stages.images.packed_keypoints import unpack_keypoints
from stages.images.windows import WINDOWS
from stages.rows import narrow, no_rows, run_sql

PAIRS_AT_ONCE = 10_000  # their keypoints take at most 1.1 GB
_NUMBERED = """
    SELECT row_number() OVER (ORDER BY evaluation_set, evaluation_path) - 1 AS n,
           dense_rank() OVER (ORDER BY evaluation_set, evaluation_split) - 1 AS split_number
    FROM keys JOIN evaluation_file USING (evaluation_set, evaluation_path) ORDER BY n
"""

Numbers = npt.NDArray[np.int64]
Found = tuple[Numbers, Numbers, npt.NDArray[np.float64]]  # rows, rows near them, and their distances or cosines
Pairs = dict[tuple[int, int], float | None]  # two rows, the smaller first, and the cosine of their summaries, if near


def compare_sets(inputs: Inputs, context: Context) -> Outcome:
    """Return how keypoints of near pictures of different splits agree; each pair once, the smaller key first."""
    params: SearchParams = context.params
    keys, vectors = read_queries(inputs["evaluation_keypoints"])
    tables = {"keys": keys, "evaluation_file": inputs["evaluation_file"]}
    splits = run_sql(_NUMBERED, tables)["split_number"].to_numpy()
    found = _near_insides(inputs["evaluation_keypoints"], splits, params)
    found |= _near_summaries(vectors, splits, params)  # the same pair has its cosine
    pairs = [(*pair, cosine) for pair, cosine in sorted(found.items())]
    compared = [no_rows(SET_MATCH.schema)]
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[start : start + PAIRS_AT_ONCE]
        packed = _read_packed(inputs["evaluation_keypoints"], keys, sorted({n for pair in some for n in pair[:2]}))
        rows: list[dict[str, Any]] = []
        for first, second, cosine in some:
            agreement = compare_keypoints(unpack_keypoints(packed[first]), unpack_keypoints(packed[second]))
            rows.append({"first": first, "second": second, "feature_cos": cosine, **agreement.columns()})
            context.advance(start + len(rows))
        compared.append(_named(rows, keys))
    return Outcome(pa.concat_tables(compared), no_rejects(SET_MATCH))


def _near_summaries(vectors: Values, splits: Numbers, params: SearchParams) -> Pairs:
    """Return each row's nearest in all other splits, by summaries of keypoints."""
    parts: list[Found] = []
    orders = np.arange(len(vectors)).astype(np.uint64)
    for number in np.unique(splits).tolist():
        own, others = np.flatnonzero(splits == number), np.flatnonzero(splits != number)
        blocks = [(vectors[own], orders[own])]
        query, row, cosines = search(vectors[others], blocks, params.n_candidates, params.min_summary_cos)
        parts.append((others[query], own[row], -cosines))
    one, other, distances = _nearest(parts, params.n_candidates)
    return dict(zip(_ordered(one, other), (-distances).tolist(), strict=True))


def _near_insides(rows: Any, splits: Numbers, params: SearchParams) -> Pairs:
    """Return each row's nearest in all other splits, by hashes of insides."""
    keys = ("evaluation_set", "evaluation_path")
    read = read_insides(rows, keys, params.min_detail)
    insides = read.take(pc.sort_indices(read.keys, [(key, "ascending") for key in keys]).to_numpy())
    near = nearest_insides(insides, insides, splits, params)
    one, other, bits = (near[name].to_numpy() for name in ("asked", "shown", "bits"))
    is_overlap = splits[one] != splits[other]
    one, other, _ = _nearest([(one[is_overlap], other[is_overlap], bits[is_overlap])], params.n_candidates)
    return dict.fromkeys(_ordered(one, other))


def _nearest(parts: list[Found], n_nearest: int) -> Found:
    """Return the nearest of each row."""
    empty = np.empty(0, np.int64)
    one, other, distances = map(np.concatenate, zip((empty, empty, np.empty(0)), *parts, strict=True))
    order = np.lexsort((other, distances, one))
    starts = np.searchsorted(one[order], one[order])  # where the row's own begin
    kept = order[np.arange(order.size) - starts < n_nearest]
    return one[kept], other[kept], distances[kept]


def _ordered(one: Numbers, other: Numbers) -> list[tuple[int, int]]:
    return list(zip(np.minimum(one, other).tolist(), np.maximum(one, other).tolist(), strict=True))


def _read_packed(rows: Any, keys: pa.Table, wanted: list[int]) -> dict[int, bytes]:
    chosen = keys.take(pa.array(wanted, pa.int64())).append_column("n", pa.array(wanted, pa.int64()))
    rows = narrow(rows, (*keys.column_names, "packed_keypoints"))  # DuckDB has no type for float16
    query = "SELECT n, packed_keypoints FROM evaluation_keypoints JOIN chosen USING (evaluation_set, evaluation_path)"
    found = run_sql(query, {"evaluation_keypoints": rows, "chosen": chosen})
    return dict(zip(found["n"].to_pylist(), found["packed_keypoints"].to_pylist(), strict=True))


def _named(rows: list[dict[str, Any]], keys: pa.Table) -> pa.Table:
    """Return rows with the keys of their two pictures, in place of their numbers."""
    schema = SET_MATCH.schema
    columns = {name: pa.array([row[name] for row in rows], schema.field(name).type) for name in SET_MATCH.columns}
    sides = [keys.take(pa.array([row[side] for row in rows], pa.int64())) for side in ("first", "second")]
    names = dict(zip(SET_MATCH.key, (column for side in sides for column in side.columns), strict=True))
    return pa.table({**names, **columns}).cast(SET_MATCH.schema)


COMPARE_SETS = Stage(
    name="compare_sets",
    module="contamination",
    version=5,
    does="Compares the keypoints of near pictures of two evaluation sets, or of two splits of one.",
    reads=(
        Reads(
            "evaluation_keypoints",
            ("evaluation_set", "evaluation_path", "keypoint_summary", "packed_keypoints", *WINDOWS),
            is_whole=True,
        ),
        Reads("evaluation_file", ("evaluation_set", "evaluation_path", "evaluation_split"), is_whole=True),
    ),
    writes=SET_MATCH,
    grain="observe",
    given=Given(),
    run=compare_sets,
    is_queried=True,
    params=SearchParams,
    depends=(COMPARISON,),
    off=off_without_keypoints,
)
