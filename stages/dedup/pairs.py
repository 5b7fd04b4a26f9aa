"""Pairs of pictures that may be copies of each other, compared by keypoints: for copies that no hash is near.

Finding, comparing and judging are separate stages: another threshold costs no decoding.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from schemas.tables import KEYPOINT_SUMMARY, PAIR_SIDE, PICTURE_PAIR
from stages.contract import (
    Context,
    Dependency,
    Given,
    InputError,
    Inputs,
    Outcome,
    Reads,
    Stage,
    no_rejects,
    rejects_table,
)
from stages.dedup.labelling import IMAGE_COLUMNS, label_pictures
from stages.dedup.settings import (
    BOTH,
    FEATURES,
    MethodParams,
    PairParams,
    off_without_keypoints,
    off_without_pairs,
)
from stages.embed.stage import LOCATED, load_located
from stages.images.keypoints import Keypoints, compare_keypoints, find_keypoints, keypoints_identity
from stages.images.not_decoded import NotDecoded
from stages.images.windows import Windows, correlate_windows, find_windows
from stages.rows import FileRows, query_rows, run_sql

Described = tuple[Keypoints, Windows]

N_HELD = 2_000  # pictures whose keypoints a worker holds: 110 MB
PAIRS_PER_PARTITION = 4_000  # some 2 minutes of one core


def find_pairs(inputs: Inputs, context: Context) -> Outcome:
    """Return the pairs of pictures with near vectors, two rows each: pictures that survive the hashes, or all of them.

    Raises:
        InputError: there are pictures, but the setting's vectors were not computed.
    """
    from stages.dedup.feature_neighbours import find_near
    from stages.dedup.window_pairs import pairs_of_windows

    params: PairParams = context.params
    is_embedded = params.method == FEATURES or params.candidates in (FEATURES, BOTH)
    table, column = ("embedding", "image_feature") if is_embedded else ("keypoint_summary", "keypoint_summary")
    if inputs["picture"].num_rows and not inputs[table].num_rows:
        raise InputError(
            "dedup compares pictures by features of embed, and there are none (embed.model = none?): expected"
            ' dedup.candidates = "keypoints", or dedup.method = "hashes"'
        )
    heads = _heads(inputs, params)
    vectors = _read_vectors(inputs[table], column, heads["pixel_sha256"])
    least = params.min_feature_cos if is_embedded else params.min_summary_cos
    low, high, cosines = find_near(vectors, params.n_neighbours, least)
    source = np.full(low.size, "embedding" if is_embedded else "keypoints", object)
    if params.method != FEATURES and params.candidates != FEATURES:
        by_window = pairs_of_windows(inputs["keypoint_summary"], heads["pixel_sha256"], params)
        low, high = (np.concatenate(both) for both in zip(by_window, (low, high), strict=True))
        cosines = np.concatenate([(vectors[by_window[0]] * vectors[by_window[1]]).sum(axis=1), cosines])
        source = np.concatenate([np.full(by_window[0].size, "windows", object), source])
        _, first = np.unique(low * len(vectors) + high, return_index=True)  # a pair of both is one of windows
        low, high, cosines, source = low[first], high[first], cosines[first], source[first]
    pairs = pa.table(
        {
            "low": low,
            "high": high,
            "feature_cos": pa.array(cosines.astype(np.float64).round(4), pa.float64()),
            "source": pa.array(source, pa.string()),
        }
    )
    found = query_rows(
        _SIDES,
        {"pairs": pairs, "heads": heads, "picture": inputs["picture"]},
        n_digits=_n_digits(pairs.num_rows),
    )
    return Outcome(found.cast(PAIR_SIDE.schema), no_rejects(PAIR_SIDE))


def _heads(inputs: Inputs, params: PairParams) -> pa.Table:
    """Return pixel_sha256, in order, and hashes of the first picture of each cluster of near hashes or equal pixels."""
    ranked, labels = label_pictures(inputs, params)
    return run_sql(_HEADS, {"image": inputs["image"], "ranked": ranked, "labels": labels})


def _read_vectors(rows: Any, column: str, ids: pa.ChunkedArray) -> Any:
    """Return float32 [n, d]: the vector of each id, at most MAX_DIMENSIONS long; zeros for those that have none."""
    from stages.dedup.feature_neighbours import MAX_DIMENSIONS, project

    vectors = np.zeros((len(ids), MAX_DIMENSIONS), np.float32)
    # DuckDB has no type for float16.
    for block in rows.batches() if isinstance(rows, FileRows) else [rows]:
        if not block.num_rows:
            continue
        place = pc.index_in(block["pixel_sha256"], value_set=ids).combine_chunks()
        known = place.is_valid().to_numpy(zero_copy_only=False)
        flat = block[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        values = project(flat.reshape(block.num_rows, -1)[known].astype(np.float32))
        vectors[place.drop_null().to_numpy(), : values.shape[1]] = values
    return vectors


def _n_digits(n_pairs: int) -> int:
    """Return how many hex digits of a picture's digest name a partition, of about PAIRS_PER_PARTITION or less."""
    return 0 if n_pairs <= PAIRS_PER_PARTITION else int(np.ceil(np.log(n_pairs / PAIRS_PER_PARTITION) / np.log(16)))


_HEADS = """
    SELECT DISTINCT pixel_sha256, phash, phash_orientations FROM (
        SELECT image_id, label FROM ranked JOIN labels USING (first_rank)
        QUALIFY row_number() OVER (PARTITION BY label ORDER BY first_rank) = 1
    ) JOIN image USING (image_id) ORDER BY pixel_sha256
"""
_SIDES = f"""
    WITH numbered AS (SELECT row_number() OVER (ORDER BY pixel_sha256) - 1 AS n, * FROM heads),
    pair AS (
        SELECT a.pixel_sha256 || '-' || b.pixel_sha256 AS pair_id, a.pixel_sha256 AS first, b.pixel_sha256 AS second,
               source, feature_cos, least(
                   list_min(list_transform(a.phash_orientations, lambda h: bit_count(xor(h, b.phash)))),
                   list_min(list_transform(b.phash_orientations, lambda h: bit_count(xor(h, a.phash))))
               ) AS phash_distance
        FROM pairs JOIN numbered a ON a.n = low JOIN numbered b ON b.n = high
    ), side AS (
        SELECT *, 0 AS side, first AS pixel_sha256 FROM pair UNION ALL SELECT *, 1, second FROM pair
    )
    SELECT pair_id, side::INT AS side, {", ".join(f"picture.{name}" for name in LOCATED)},
           source AS pair_source, feature_cos, phash_distance, 'pairs-' || left(first, $n_digits) AS partition
    FROM side JOIN picture USING (pixel_sha256) ORDER BY pair_id, side
"""


def compare_pairs(inputs: Inputs, context: Context) -> Outcome:
    """Return how the keypoints of each pair agree; reject pairs of which a picture cannot be decoded."""
    held: OrderedDict[str, Described | NotDecoded] = OrderedDict()
    sides: dict[str, list[Mapping[str, Any]]] = {}
    for row in inputs["pair_side"].to_pylist():
        sides.setdefault(row["pair_id"], []).append(row)
    kept: list[dict[str, Any]] = []
    refused: list[tuple[str, str, str]] = []
    for pair_id in sorted(sides):
        first, second = sorted(sides[pair_id], key=lambda row: int(row["side"]))
        found = [_described(row, context, held) for row in (first, second)]
        faults = [one for one in found if isinstance(one, NotDecoded)]
        if faults:
            refused.append((pair_id, "decoding_failed", str(faults[0])))
        else:
            keypoints, windows = zip(*found, strict=True)  # type: ignore[arg-type]
            agreement = compare_keypoints(*keypoints)
            kept.append(
                {
                    "pair_id": pair_id,
                    "first_sha256": first["pixel_sha256"],
                    "second_sha256": second["pixel_sha256"],
                    **agreement.columns(),
                    "pair_correlation": agreement.correlation,
                    "window_correlation": round(correlate_windows(*windows), 3),
                }
            )
        context.advance(len(kept) + len(refused))
    ids, reasons, details = zip(*refused, strict=True) if refused else ((), (), ())
    rejects = rejects_table(
        PICTURE_PAIR, {"pair_id": pa.array(ids, pa.string())}, pa.array(reasons, pa.string()), list(details)
    )
    return Outcome(pa.Table.from_pylist(kept, PICTURE_PAIR.schema), rejects)


def describe_picture(picture: Image.Image) -> Described:
    """Return the keypoints and the windows of a picture as shown."""
    return find_keypoints(picture), find_windows(picture)


def _described(row: Mapping[str, Any], context: Context, held: Any) -> Described | NotDecoded:
    """Return what describes one side, from what is held if it is there."""
    name = row["pixel_sha256"]
    if name not in held:
        held[name] = load_located(row, context.files, describe_picture)
        if len(held) > N_HELD:
            held.popitem(last=False)
    held.move_to_end(name)
    found: Described | NotDecoded = held[name]
    return found


def _identity(params: MethodParams) -> Mapping[str, str]:
    return keypoints_identity()


FIND_PAIRS = Stage(
    name="find_pairs",
    module="dedup",
    version=3,
    does="Finds pairs of pictures with near vectors or near hashes of their insides, to be compared.",
    reads=(
        Reads("sample", ("sample_id", "corpus", "half", "image_id"), is_whole=True),
        Reads("image", IMAGE_COLUMNS, is_whole=True),
        Reads("picture", LOCATED, is_whole=True),
        Reads("embedding", ("pixel_sha256", "image_feature"), is_whole=True),
        Reads("keypoint_summary", tuple(KEYPOINT_SUMMARY.schema.names), is_whole=True),
    ),
    writes=PAIR_SIDE,
    grain="observe",
    given=Given(),
    run=find_pairs,
    is_queried=True,
    params=PairParams,
    split_by="partition",
    off=off_without_pairs,
)

COMPARE_PAIRS = Stage(
    name="compare_pairs",
    module="dedup",
    version=5,
    does="Compares the keypoints of two pictures, as shown and mirrored, and their insides.",
    reads=(Reads("pair_side", ("pair_id", "side", *LOCATED)),),
    writes=PICTURE_PAIR,
    grain="reduce",
    given=Given(query="SELECT DISTINCT pair_id FROM pair_side", inputs=("pair_side",)),
    run=compare_pairs,
    params=MethodParams,
    reasons=("decoding_failed",),
    decides=False,
    depends=(Dependency("keypoints", _identity),),
    partitions_from=("pair_side",),
    off=off_without_keypoints,
)
