"""Compare pictures of evaluation sets with pictures of the corpora by grey levels, colours and keypoints.

Finding pairs, comparing and deciding (marks.py) are separate stages: another threshold costs no decoding.
"""

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from schemas.tables import EVALUATION_MATCH, EVALUATION_PAIR
from stages.contamination.across import Keys, Values, search
from stages.contamination.hash_pairs import HASHED, find_near
from stages.contamination.insides import near_insides
from stages.contamination.settings import MethodParams, SearchParams
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects, rejects_table
from stages.dedup.identities import COMPARISON
from stages.dedup.summary import N_DIMENSIONS
from stages.embed.located import LOCATED, load_located
from stages.images.colours import Colours
from stages.images.keypoints import Agreement, Keypoints, compare_keypoints, find_keypoints
from stages.images.not_decoded import NotDecoded
from stages.images.packed_keypoints import unpack_keypoints
from stages.images.windows import WINDOWS
from stages.rows import blocks_of, narrow, query_rows, run_sql

Described = tuple[npt.NDArray[np.uint8], Colours, Keypoints | None]  # reduced squares, keypoints

SUMMARIES_AT_ONCE = 16_384
_KEY = EVALUATION_MATCH.key
_key = itemgetter(*_KEY)
_named = itemgetter("evaluation_set", "evaluation_path")


def find_candidates(inputs: Inputs, context: Context) -> Outcome:
    """Return each evaluation picture with pictures of the corpora that have near hashes, insides or summaries.

    Pictures with equal pixels need no comparison.
    """
    params: SearchParams = context.params
    # Without summaries: DuckDB has no type for float16.
    tables = {name: inputs[name] for name in ("image", "evaluation_image", "evaluation_file", "gallery_picture")}
    found = run_sql("SELECT DISTINCT phash FROM image WHERE phash_detail >= $least", tables, least=params.min_detail)
    by_hash = find_near(found["phash"], inputs["evaluation_image"], params)
    by_inside = near_insides(inputs["evaluation_keypoints"], inputs["gallery_summary"], params)
    tables |= {"by_hash": by_hash, "by_inside": by_inside, "by_summary": _by_summary(inputs, params)}
    kept = query_rows(_PAIRS, tables, least=params.min_detail)
    return Outcome(kept.cast(EVALUATION_PAIR.schema), no_rejects(EVALUATION_PAIR))


def _by_summary(inputs: Inputs, params: SearchParams) -> pa.Table:
    """Return the pairs of evaluation pictures and the pictures that are nearest by summaries of keypoints."""
    asked, queries = read_queries(inputs["evaluation_keypoints"])
    ids: list[pa.ChunkedArray] = []
    query, row, cosines = search(
        queries, _blocks(inputs["gallery_summary"], ids), params.n_candidates, params.min_summary_cos
    )
    names = pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string())
    pairs = asked.take(pa.array(query, pa.int64()))
    pairs = pairs.append_column("pixel_sha256", names.take(pa.array(row, pa.int64())))
    return pairs.append_column("feature_cos", pa.array(cosines, pa.float64()))


_PAIRS = f"""
    WITH near AS (
        SELECT DISTINCT by_hash.evaluation_set, by_hash.evaluation_path, i.pixel_sha256, match_variant, match_distance
        FROM by_hash JOIN (SELECT pixel_sha256, phash FROM image WHERE phash_detail >= $least) i USING (phash)
        JOIN evaluation_image e
        ON e.evaluation_set = by_hash.evaluation_set AND e.evaluation_path = by_hash.evaluation_path
        WHERE e.pixel_sha256 <> i.pixel_sha256
    ), pair AS (
        FROM near FULL JOIN by_summary USING (evaluation_set, evaluation_path, pixel_sha256)
        FULL JOIN by_inside USING (evaluation_set, evaluation_path, pixel_sha256)
    )
    SELECT {", ".join(f"gallery_picture.{name}" if name in LOCATED else name for name in EVALUATION_PAIR.schema.names)}
    FROM pair JOIN gallery_picture USING (pixel_sha256)
    JOIN (SELECT evaluation_set, evaluation_path, partition FROM evaluation_file)
    USING (evaluation_set, evaluation_path)
    ORDER BY {", ".join(_KEY)}
"""


def read_queries(rows: Any) -> tuple[pa.Table, Values]:
    """Return the keys of evaluation pictures in order, and their summaries, float32 [n, d]."""
    names = ["evaluation_set", "evaluation_path"]
    rows = narrow(rows, (*names, "keypoint_summary"))
    blocks = list(blocks_of(rows))
    empty = pa.schema([rows.schema.field(name) for name in names]).empty_table()
    keys = pa.concat_tables([empty, *(block.select(names) for block in blocks)])
    vectors = np.concatenate([np.empty((0, N_DIMENSIONS), np.float32), *(_vectors(block) for block in blocks)])
    order = pc.sort_indices(keys, [(name, "ascending") for name in names])
    return keys.take(order), vectors[order.to_numpy()]


def _blocks(rows: Any, ids: list[pa.ChunkedArray]) -> Iterator[tuple[Values, Keys]]:
    """Yield summaries of pictures with numbers that order them by digest; append the digests to ids."""
    for block in blocks_of(rows, SUMMARIES_AT_ONCE):
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
    """Return how grey levels and colours of each pair with near hashes, and the keypoints of all, agree.

    Pairs whose picture of the corpora cannot be decoded are rejected.
    """
    squares = {_named(row): row for row in inputs["evaluation_image"].to_pylist()}
    packed = {_named(row): row["packed_keypoints"] for row in inputs["evaluation_keypoints"].to_pylist()}
    kept: list[dict[str, Any]] = []
    refused: list[tuple[str, ...]] = []
    rows = sorted(inputs["evaluation_pair"].to_pylist(), key=itemgetter("pixel_sha256"))
    for _, group in groupby(rows, itemgetter("pixel_sha256")):  # so that each picture is decoded once
        pairs = list(group)
        found = load_located(pairs[0], context.files, _describer(bool(packed)))
        for row in pairs:
            if isinstance(found, NotDecoded):
                refused.append((*_key(row), "decoding_failed", str(found)))
            else:
                kept.append({**row, **_compare(row, squares[_named(row)], packed.get(_named(row)), found)})
            context.advance(len(kept) + len(refused))
    kept.sort(key=_key)
    refused.sort()
    *keys, reasons, details = zip(*refused, strict=True) if refused else ((),) * (len(_KEY) + 2)
    columns = {name: pa.array(values, pa.string()) for name, values in zip(_KEY, keys, strict=True)}
    rejects = rejects_table(EVALUATION_MATCH, columns, pa.array(reasons, pa.string()), list(details))
    return Outcome(pa.Table.from_pylist(kept, EVALUATION_MATCH.schema), rejects)


def _describer(has_keypoints: bool) -> Callable[[Image.Image], Described]:
    """Return the function that reduces a picture, and finds its keypoints if there are others to compare them with."""
    from stages.contamination.grey import reduce_square  # imports scipy
    from stages.contamination.tints import reduce_tints

    return lambda picture: (
        reduce_square(picture),
        reduce_tints(picture),
        find_keypoints(picture) if has_keypoints else None,
    )


def _compare(row: dict[str, Any], squares: dict[str, Any], packed: bytes | None, found: Described) -> dict[str, Any]:
    from stages.contamination.grey import correlate_variant
    from stages.contamination.tints import tint_distance

    levels, tints, keypoints = found
    agreement = compare_keypoints(unpack_keypoints(packed), keypoints) if packed and keypoints else Agreement(0)
    variant = row["match_variant"]
    if variant is None:
        return agreement.columns()
    return {
        "match_correlation": correlate_variant(squares["grey_square"], variant, levels),
        "match_colour_distance": tint_distance(squares["colour_square"], variant, tints),
        **agreement.columns(),
    }


FIND_CANDIDATES = Stage(
    name="find_candidates",
    module="contamination",
    version=3,
    does="Finds the pictures of the corpora to compare with each picture of the evaluation sets: by hashes of the"
    " picture and of its inside, and by keypoints.",
    reads=(
        Reads("image", ("pixel_sha256", "phash", "phash_detail"), is_whole=True),
        Reads("evaluation_image", (*HASHED, "pixel_sha256"), is_whole=True),
        Reads(
            "evaluation_keypoints", ("evaluation_set", "evaluation_path", "keypoint_summary", *WINDOWS), is_whole=True
        ),
        Reads("evaluation_file", ("evaluation_set", "evaluation_path", "partition"), is_whole=True),
        Reads("gallery_picture", LOCATED, is_whole=True),
        Reads("gallery_summary", ("pixel_sha256", "keypoint_summary", *WINDOWS), is_whole=True),
    ),
    writes=EVALUATION_PAIR,
    grain="observe",
    given=Given(),
    run=find_candidates,
    is_queried=True,
    params=SearchParams,
    split_by="partition",
)

COMPARE_CANDIDATES = Stage(
    name="compare_candidates",
    module="contamination",
    version=6,
    does="Compares grey levels, colours and keypoints of an evaluation picture and one of the corpora.",
    reads=(
        Reads("evaluation_pair", (*_KEY, *LOCATED[1:], "match_variant", "match_distance")),
        Reads("evaluation_image", ("evaluation_set", "evaluation_path", "grey_square", "colour_square")),
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
