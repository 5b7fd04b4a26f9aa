"""Compare pictures of evaluation sets with those of other sets, and of other splits of the same set, by keypoints."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.tables import SET_MATCH
from stages.contamination.across import Values, search
from stages.contamination.candidates import read_queries
from stages.contamination.settings import CandidateParams, off_without_keypoints
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.dedup.identities import COMPARISON
from stages.images.keypoints import compare_keypoints
from stages.images.packed_keypoints import unpack_keypoints
from stages.rows import narrow, run_sql

PAIRS_AT_ONCE = 10_000  # their keypoints take at most 1.1 GB
_NUMBERED = """
    SELECT row_number() OVER (ORDER BY evaluation_set, evaluation_path) - 1 AS n,
           dense_rank() OVER (ORDER BY evaluation_set, evaluation_split) - 1 AS split_number
    FROM keys JOIN evaluation_file USING (evaluation_set, evaluation_path) ORDER BY n
"""

Numbers = npt.NDArray[np.int64]


def compare_sets(inputs: Inputs, context: Context) -> Outcome:
    """Return how keypoints of near pictures of different splits agree; each pair once, the smaller key first."""
    params: CandidateParams = context.params
    keys, vectors = read_queries(inputs["evaluation_keypoints"])
    tables = {"keys": keys, "evaluation_file": inputs["evaluation_file"]}
    splits = run_sql(_NUMBERED, tables)["split_number"].to_numpy()
    pairs = _near_pairs(vectors, splits, params)
    rows: list[dict[str, Any]] = []
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[start : start + PAIRS_AT_ONCE]
        packed = _read_packed(inputs["evaluation_keypoints"], keys, sorted({n for pair in some for n in pair[:2]}))
        for first, second, cosine in some:
            agreement = compare_keypoints(unpack_keypoints(packed[first]), unpack_keypoints(packed[second]))
            rows.append({"first": first, "second": second, "feature_cos": cosine, **agreement.columns()})
            context.advance(len(rows))
    return Outcome(_named(rows, keys), no_rejects(SET_MATCH))


def _near_pairs(vectors: Values, splits: Numbers, params: CandidateParams) -> list[tuple[int, int, float]]:
    """Return pairs of rows, the smaller first, with cosines: each row's nearest in every other split."""
    found: dict[tuple[int, int], float] = {}
    orders = np.arange(len(vectors)).astype(np.uint64)
    for number in range(int(splits.max()) + 1 if len(splits) else 0):
        own, others = np.flatnonzero(splits == number), np.flatnonzero(splits != number)
        blocks = [(vectors[own], orders[own])]
        query, row, cosines = search(vectors[others], blocks, params.n_candidates, params.min_summary_cos)
        for one, other, cosine in zip(others[query].tolist(), own[row].tolist(), cosines.tolist(), strict=True):
            found[min(one, other), max(one, other)] = cosine
    return [(first, second, found[first, second]) for first, second in sorted(found)]


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
    version=3,
    does="Compares the keypoints of near pictures of two evaluation sets, or of two splits of one.",
    reads=(
        Reads(
            "evaluation_keypoints",
            ("evaluation_set", "evaluation_path", "keypoint_summary", "packed_keypoints"),
            is_whole=True,
        ),
        Reads("evaluation_file", ("evaluation_set", "evaluation_path", "evaluation_split"), is_whole=True),
    ),
    writes=SET_MATCH,
    grain="observe",
    given=Given(),
    run=compare_sets,
    is_queried=True,
    params=CandidateParams,
    depends=(COMPARISON,),
    off=off_without_keypoints,
)
