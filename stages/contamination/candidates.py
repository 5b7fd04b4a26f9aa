"""Compare pictures of evaluation sets with pictures of the corpora by keypoints: the second measure, after hashes.

Finding pairs, comparing and deciding (marks.py) are separate stages: another threshold costs no decoding.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import EVALUATION_MATCH, EVALUATION_PAIR
from stages.contamination.across import Keys, Values, search
from stages.contamination.settings import CandidateParams, MethodParams, off_without_keypoints
from stages.contract import Context, Dependency, Given, Inputs, Outcome, Reads, Stage, no_rejects, rejects_table
from stages.dedup.summary import N_DIMENSIONS
from stages.embed.stage import LOCATED, load_located
from stages.images.keypoints import compare_keypoints, find_keypoints, keypoints_identity
from stages.images.not_decoded import NotDecoded
from stages.images.packed_keypoints import unpack_keypoints
from stages.rows import FileRows, query_rows

SUMMARIES_AT_ONCE = 16_384
_KEY = EVALUATION_MATCH.key
_key = itemgetter(*_KEY)


def find_candidates(inputs: Inputs, context: Context) -> Outcome:
    """Return the pictures of the corpora that are nearest to each evaluation picture by summaries of keypoints."""
    params: CandidateParams = context.params
    asked, queries = read_queries(inputs["evaluation_keypoints"])
    ids: list[pa.ChunkedArray] = []
    query, row, cosines = search(
        queries, _blocks(inputs["gallery_summary"], ids), params.n_candidates, params.min_summary_cos
    )
    names = pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string())
    pairs = asked.take(pa.array(query, pa.int64()))
    pairs = pairs.append_column("pixel_sha256", names.take(pa.array(row, pa.int64())))
    pairs = pairs.append_column("feature_cos", pa.array(cosines, pa.float64()))
    tables = {
        "pairs": pairs,
        "gallery_picture": inputs["gallery_picture"],
        "evaluation_file": inputs["evaluation_file"],
    }
    return Outcome(query_rows(_PAIRS, tables).cast(EVALUATION_PAIR.schema), no_rejects(EVALUATION_PAIR))


_PAIRS = f"""
    SELECT {", ".join(f"gallery_picture.{name}" if name in LOCATED else name for name in EVALUATION_PAIR.schema.names)}
    FROM pairs JOIN gallery_picture USING (pixel_sha256)
    JOIN evaluation_file USING (evaluation_set, evaluation_path)
    ORDER BY {", ".join(_KEY)}
"""


def read_queries(rows: Any) -> tuple[pa.Table, Values]:
    """Return the keys of evaluation pictures in order, and their summaries, float32 [n, d]."""
    names = ["evaluation_set", "evaluation_path"]
    rows = narrow(rows, (*names, "keypoint_summary"))
    blocks = list(rows.batches()) if isinstance(rows, FileRows) else [rows]
    empty = pa.schema([rows.schema.field(name) for name in names]).empty_table()
    keys = pa.concat_tables([empty, *(block.select(names) for block in blocks)])
    vectors = np.concatenate([np.empty((0, N_DIMENSIONS), np.float32), *(_vectors(block) for block in blocks)])
    order = pc.sort_indices(keys, [(name, "ascending") for name in names])
    return keys.take(order), vectors[order.to_numpy()]


def narrow(rows: Any, names: Sequence[str]) -> Any:
    """Return some columns of rows, in memory or in files."""
    if isinstance(rows, FileRows):
        return rows.cast(pa.schema([rows.schema.field(name) for name in names]))
    return rows.select(names)


def _blocks(rows: Any, ids: list[pa.ChunkedArray]) -> Iterator[tuple[Values, Keys]]:
    """Yield summaries of pictures with numbers that order them by digest; append the digests to ids."""
    for block in rows.batches(SUMMARIES_AT_ONCE) if isinstance(rows, FileRows) else [rows]:
        ids.append(block["pixel_sha256"])
        yield _vectors(block), _order_keys(block["pixel_sha256"])


def _order_keys(digests: pa.ChunkedArray) -> Keys:
    texts = digests.to_pylist()
    return np.array([int.from_bytes(text[:8].encode().ljust(8), "big") for text in texts], np.uint64)


def _vectors(block: pa.Table) -> Values:
    flat = block["keypoint_summary"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    found: Values = flat.reshape(-1, N_DIMENSIONS).astype(np.float32)
    return found


def compare_candidates(inputs: Inputs, context: Context) -> Outcome:
    """Return how the keypoints of each pair agree; reject pairs whose picture of the corpora cannot be decoded."""
    packed = {
        (row["evaluation_set"], row["evaluation_path"]): row["packed_keypoints"]
        for row in inputs["evaluation_keypoints"].to_pylist()
    }
    kept: list[dict[str, Any]] = []
    refused: list[tuple[str, ...]] = []
    rows = sorted(inputs["evaluation_pair"].to_pylist(), key=itemgetter("pixel_sha256"))
    for _, group in groupby(rows, itemgetter("pixel_sha256")):  # so that each picture is decoded once
        pairs = list(group)
        found = load_located(pairs[0], context.files, find_keypoints)
        for row in pairs:
            if isinstance(found, NotDecoded):
                refused.append((*_key(row), "decoding_failed", str(found)))
            else:
                asked = unpack_keypoints(packed[row["evaluation_set"], row["evaluation_path"]])
                kept.append({**row, **compare_keypoints(asked, found).columns()})
            context.advance(len(kept) + len(refused))
    kept.sort(key=_key)
    refused.sort()
    *keys, reasons, details = zip(*refused, strict=True) if refused else ((),) * (len(_KEY) + 2)
    columns = {name: pa.array(values, pa.string()) for name, values in zip(_KEY, keys, strict=True)}
    rejects = rejects_table(EVALUATION_MATCH, columns, pa.array(reasons, pa.string()), list(details))
    return Outcome(pa.Table.from_pylist(kept, EVALUATION_MATCH.schema), rejects)


def _identity(params: MethodParams) -> Mapping[str, str]:
    return keypoints_identity()


COMPARISON = Dependency("keypoints", _identity)

FIND_CANDIDATES = Stage(
    name="find_candidates",
    module="contamination",
    version=1,
    does="Finds the pictures of the corpora to compare by keypoints with each picture of the evaluation sets.",
    reads=(
        Reads("evaluation_keypoints", ("evaluation_set", "evaluation_path", "keypoint_summary"), is_whole=True),
        Reads("evaluation_file", ("evaluation_set", "evaluation_path", "partition"), is_whole=True),
        Reads("gallery_picture", LOCATED, is_whole=True),
        Reads("gallery_summary", ("pixel_sha256", "keypoint_summary"), is_whole=True),
    ),
    writes=EVALUATION_PAIR,
    grain="observe",
    given=Given(),
    run=find_candidates,
    is_queried=True,
    params=CandidateParams,
    split_by="partition",
    off=off_without_keypoints,
)

COMPARE_CANDIDATES = Stage(
    name="compare_candidates",
    module="contamination",
    version=1,
    does="Compares the keypoints of an evaluation picture and one of the corpora, as shown and mirrored.",
    reads=(
        Reads("evaluation_pair", (*_KEY, *LOCATED[1:])),
        Reads("evaluation_keypoints", ("evaluation_set", "evaluation_path", "packed_keypoints")),
    ),
    writes=EVALUATION_MATCH,
    grain="map",
    given=Given("evaluation_pair", _KEY),
    run=compare_candidates,
    params=MethodParams,
    reasons=("decoding_failed",),
    decides=False,
    depends=(COMPARISON,),
    partitions_from=("evaluation_pair",),
)
