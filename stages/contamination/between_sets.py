"""Compare pictures of evaluation sets with those of other sets, and of other splits of the same set, by keypoints.

Pairs are found as between evaluation pictures and the corpora: by summaries of keypoints and by hashes of insides.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import SET_MATCH, SET_PAIR
from stages.contamination.across import Values, search
from stages.contamination.candidates import read_queries
from stages.contamination.insides import nearest_insides, read_insides
from stages.contamination.settings import SearchParams, off_without_keypoints
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.dedup.identities import COMPARISON
from stages.images.keypoints import compare_keypoints
from stages.images.packed_keypoints import unpack_keypoints
from stages.images.windows import WINDOWS
from stages.rows import run_sql

PAIRS_PER_PARTITION = 4_000  # some 1.5 minutes of one core; their keypoints take at most 0.5 GB
_NUMBERED = """
    SELECT row_number() OVER (ORDER BY evaluation_set, evaluation_path) - 1 AS n,
           dense_rank() OVER (ORDER BY evaluation_set, evaluation_split) - 1 AS split_number
    FROM keys JOIN evaluation_file USING (evaluation_set, evaluation_path) ORDER BY n
"""

Numbers = npt.NDArray[np.int64]
Found = tuple[Numbers, Numbers, npt.NDArray[np.float64]]  # rows, rows near them, and their distances or cosines
Pairs = dict[tuple[int, int], float | None]  # two rows, the smaller first, and the cosine of their summaries, if near


def find_set_pairs(inputs: Inputs, context: Context) -> Outcome:
    """Return the pairs of near pictures of different splits, each once, the smaller key first."""
    params: SearchParams = context.params
    keys, vectors = read_queries(inputs["evaluation_keypoints"])
    tables = {"keys": keys, "evaluation_file": inputs["evaluation_file"]}
    splits = run_sql(_NUMBERED, tables)["split_number"].to_numpy()
    found = _near_insides(inputs["evaluation_keypoints"], splits, params)
    found |= _near_summaries(vectors, splits, params)  # the same pair has its cosine
    return Outcome(_named(sorted(found.items()), keys), no_rejects(SET_PAIR))


def compare_sets(inputs: Inputs, context: Context) -> Outcome:
    """Return how the keypoints of each pair agree."""
    pairs = inputs["set_pair"].to_pylist()
    packed = _read_packed(inputs["evaluation_keypoints"], {key for pair in pairs for key in _keys(pair)})
    rows: list[dict[str, Any]] = []
    for pair in pairs:
        first, second = (unpack_keypoints(packed[key]) for key in _keys(pair))
        rows.append({**pair, **compare_keypoints(first, second).columns()})
        context.advance(len(rows))
    rows.sort(key=_keys)
    return Outcome(pa.Table.from_pylist(rows, SET_MATCH.schema), no_rejects(SET_MATCH))


def _keys(pair: dict[str, Any]) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return evaluation set and path of both pictures."""
    return (pair["evaluation_set"], pair["evaluation_path"]), (pair["other_set"], pair["other_path"])


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


def _named(pairs: list[tuple[tuple[int, int], float | None]], keys: pa.Table) -> pa.Table:
    """Return pairs with the keys of their two pictures, in place of their numbers."""
    sides = [keys.take(pa.array([pair[side] for pair, _ in pairs], pa.int64())) for side in (0, 1)]
    names = dict(zip(SET_PAIR.key, (column for side in sides for column in side.columns), strict=True))
    cosines = pa.array([cosine for _, cosine in pairs], pa.float64())
    partitions = pa.array([f"sets-{n // PAIRS_PER_PARTITION:05d}" for n in range(len(pairs))], pa.string())
    return pa.table({**names, "feature_cos": cosines, "partition": partitions}).cast(SET_PAIR.schema)


def _read_packed(rows: Any, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """Return the packed keypoints of pictures by evaluation set and path."""
    names, paths = zip(*sorted(wanted), strict=True) if wanted else ((), ())
    key = {"evaluation_set": pa.array(names, pa.string()), "evaluation_path": pa.array(paths, pa.string())}
    found = run_sql(
        "SELECT evaluation_set, evaluation_path, packed_keypoints FROM evaluation_keypoints"
        " JOIN wanted USING (evaluation_set, evaluation_path)",
        {"evaluation_keypoints": rows, "wanted": pa.table(key)},
    )
    return {(row["evaluation_set"], row["evaluation_path"]): row["packed_keypoints"] for row in found.to_pylist()}


FIND_SET_PAIRS = Stage(
    name="find_set_pairs",
    module="contamination",
    version=1,
    does="Finds near pictures of two evaluation sets, or of two splits of one: by keypoints and by hashes of insides.",
    reads=(
        Reads(
            "evaluation_keypoints", ("evaluation_set", "evaluation_path", "keypoint_summary", *WINDOWS), is_whole=True
        ),
        Reads("evaluation_file", ("evaluation_set", "evaluation_path", "evaluation_split"), is_whole=True),
    ),
    writes=SET_PAIR,
    grain="observe",
    given=Given(),
    run=find_set_pairs,
    is_queried=True,
    params=SearchParams,
    split_by="partition",
    off=off_without_keypoints,
)

COMPARE_SETS = Stage(
    name="compare_sets",
    module="contamination",
    version=7,
    does="Compares the keypoints of near pictures of two evaluation sets, or of two splits of one.",
    reads=(
        Reads("set_pair", (*SET_PAIR.key, "feature_cos")),
        Reads("evaluation_keypoints", ("evaluation_set", "evaluation_path", "packed_keypoints"), is_whole=True),
    ),
    writes=SET_MATCH,
    grain="map",
    given=Given("set_pair", SET_PAIR.key),
    run=compare_sets,
    is_queried=True,
    depends=(COMPARISON,),
    partitions_from=("set_pair",),
)
