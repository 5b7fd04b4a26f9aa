"""Pairs of pictures that may be copies of each other, compared by keypoints: for copies that no hash is near.

Finding, comparing and judging are separate stages: another threshold costs no decoding.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from schemas.tables import KEYPOINT_SUMMARY, PAIR_SIDE, PICTURE_PAIR
from stages.contract import (
    Context,
    Given,
    InputError,
    Inputs,
    Outcome,
    Reads,
    Stage,
    no_rejects,
    rejects_table,
)
from stages.dedup.acquisitions import STATED_READS
from stages.dedup.identities import COMPARISON
from stages.dedup.labelling import IMAGE_COLUMNS, label_pictures
from stages.dedup.settings import (
    BOTH,
    FEATURES,
    KEYPOINTS,
    MethodParams,
    PairParams,
    off_without_keypoints,
    off_without_pairs,
)
from stages.embed.located import LOCATED, load_located
from stages.images.colours import Colours, aligned_distance, colour_distance, cut_colours, reduce_colours
from stages.images.keypoints import Agreement, Keypoints, compare_keypoints, find_keypoints
from stages.images.not_decoded import NotDecoded
from stages.images.windows import Windows, correlate_windows, find_windows
from stages.rows import narrow, query_rows, run_sql, space_of

Described = tuple[Keypoints, Windows]
Compared = tuple[Keypoints, Windows, Colours]

N_HELD = 2_000  # pictures whose keypoints a worker holds: 110 MB
# Settings that need no image features, by dedup.method.
_WITHOUT_FEATURES = {
    FEATURES: 'dedup.method = "keypoints" with dedup.candidates = "keypoints"',
    KEYPOINTS: 'dedup.candidates = "keypoints"',
}
PAIRS_PER_PARTITION = 4_000  # some 2 minutes of one core


def find_pairs(inputs: Inputs, context: Context) -> Outcome:
    """Return the pairs of pictures with near vectors, two rows each: pictures that survive the hashes, or all of them.

    Raises:
        InputError: there are pictures, but the setting's vectors were not computed.
    """
    from stages.dedup.codes import HeldCodes
    from stages.dedup.feature_neighbours import find_near
    from stages.dedup.window_pairs import pairs_of_windows

    params: PairParams = context.params
    is_embedded = params.method == FEATURES or params.candidates in (FEATURES, BOTH)
    table, column = ("embedding", "image_feature") if is_embedded else ("keypoint_summary", "keypoint_summary")
    if inputs["picture"].num_rows and not inputs[table].num_rows:
        raise InputError(
            "dedup compares pictures by image features of embed, but there are none (embed.model = none?): expected"
            f' {_WITHOUT_FEATURES[params.method]}, or dedup.method = "hashes"'
        )
    ranked, labels = label_pictures(inputs, params)
    heads = query_rows(_HEADS, {"image": inputs["image"], "ranked": ranked, "labels": labels})
    numbers = _numbers(inputs[table], heads)
    vectors = _read_vectors(inputs[table], column, numbers, heads)
    low, high, cosines = find_near(vectors, *params.limits_of(is_embedded=is_embedded))
    is_window = np.zeros(low.size, bool)
    if params.method != FEATURES and params.candidates != FEATURES:
        summary = inputs["keypoint_summary"]
        numbers = numbers if table == "keypoint_summary" else _numbers(summary, heads)
        is_alike = HeldCodes(summary, numbers, heads.num_rows).have_near(low, high, params.min_near_codes)
        low, high, cosines = low[is_alike], high[is_alike], cosines[is_alike]
        by_window = pairs_of_windows(summary, numbers, heads.num_rows, params)
        low, high = (np.concatenate(both) for both in zip(by_window, (low, high), strict=True))
        cosines = np.concatenate([vectors.cosines(*by_window), cosines])
        is_window = np.arange(low.size) < by_window[0].size
        _, first = np.unique(low * heads.num_rows + high, return_index=True)  # a pair of both is one of windows
        low, high, cosines, is_window = low[first], high[first], cosines[first], is_window[first]
    pairs = pa.table(
        {
            "low": low,
            "high": high,
            "feature_cos": pa.array(cosines.astype(np.float64).round(4), pa.float64()),
            "is_window": is_window,
        }
    )
    found = query_rows(
        _SIDES,
        {"pairs": pairs, "heads": heads, "picture": inputs["picture"]},
        n_digits=_n_digits(pairs.num_rows),
        source="embedding" if is_embedded else "keypoints",
    )
    return Outcome(found.cast(PAIR_SIDE.schema), no_rejects(PAIR_SIDE))


def _numbers(rows: Any, heads: Any) -> Any:
    """Return int64 [rows]: the number of each row's picture among the heads, in order; -1 for the others."""
    found = run_sql(_NUMBERS, {"named": narrow(rows, ["pixel_sha256"]), "heads": heads})
    return found["n"].to_numpy()


def _read_vectors(rows: Any, column: str, numbers: Any, heads: Any) -> Any:
    """Return the vector of each head, at most MAX_DIMENSIONS long; zeros for heads without one."""
    from stages.dedup.feature_neighbours import MAX_DIMENSIONS, project
    from stages.dedup.vectors import Vectors, numbered_blocks

    space = space_of({"rows": rows})
    vectors = Vectors(heads.num_rows, MAX_DIMENSIONS, space.new_path() if space else None)
    # DuckDB has no type for float16.
    for block, known, places in numbered_blocks(rows, numbers, [column]):
        if places.size:
            flat = block[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            values = project(flat.reshape(block.num_rows, -1)[known].astype(np.float32))
            vectors.values[places, : values.shape[1]] = values
            vectors.forget()
    return vectors


def _n_digits(n_pairs: int) -> int:
    """Return how many hex digits of a digest name a partition of about PAIRS_PER_PARTITION pairs or fewer."""
    return 0 if n_pairs <= PAIRS_PER_PARTITION else int(np.ceil(np.log(n_pairs / PAIRS_PER_PARTITION) / np.log(16)))


_NUMBERS = """
    SELECT coalesce(n, -1) AS n FROM (SELECT pixel_sha256, row_number() OVER () AS place FROM named)
    LEFT JOIN (SELECT pixel_sha256, row_number() OVER (ORDER BY pixel_sha256) - 1 AS n FROM heads) USING (pixel_sha256)
    ORDER BY place
"""
# The first picture of each cluster of near hashes or equal pixels, in order.
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
               CASE WHEN is_window THEN 'windows' ELSE $source END AS source, feature_cos, least(
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
    """Return how keypoints, insides and colours of each pair agree; reject pairs with a picture not decoded."""
    held: OrderedDict[str, Compared | NotDecoded] = OrderedDict()
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
            kept.append(
                {
                    "pair_id": pair_id,
                    "first_sha256": first["pixel_sha256"],
                    "second_sha256": second["pixel_sha256"],
                    **compare_described(*found),  # type: ignore[arg-type]
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


def compare_described(first: Compared, second: Compared) -> dict[str, Any]:
    """Return how two pictures agree, by the columns of picture_pair."""
    (keypoints, windows, colours), (other_keypoints, other_windows, other_colours) = first, second
    agreement = compare_keypoints(keypoints, other_keypoints)
    insides = cut_colours(colours, windows.box), cut_colours(other_colours, other_windows.box)
    return {
        **agreement.columns(),
        "pair_correlation": agreement.correlation,
        "pair_colour_distance": _aligned_distance(colours, other_colours, agreement),
        "window_correlation": round(correlate_windows(windows, other_windows), 3),
        "window_colour_distance": colour_distance(*insides),
    }


def _aligned_distance(first: Colours, second: Colours, agreement: Agreement) -> float | None:
    """Return the colour distance where two pictures agree, None if they do nowhere."""
    if agreement.affine is None:
        return None
    return aligned_distance(first[:, ::-1] if agreement.is_mirrored else first, second, agreement.affine)


def describe_in_colour(picture: Image.Image) -> Compared:
    """Return the keypoints and the windows of a picture as shown, and its colours, as small as its grey levels."""
    keypoints, windows = describe_picture(picture)
    return keypoints, windows, reduce_colours(picture, *keypoints.small.shape)


def _described(row: Mapping[str, Any], context: Context, held: Any) -> Compared | NotDecoded:
    """Return the description of one side of a pair, from `held` if it is there."""
    name = row["pixel_sha256"]
    if name not in held:
        held[name] = load_located(row, context.files, describe_in_colour)
        if len(held) > N_HELD:
            held.popitem(last=False)
    held.move_to_end(name)
    found: Compared | NotDecoded = held[name]
    return found


FIND_PAIRS = Stage(
    name="find_pairs",
    module="dedup",
    version=7,
    does="Finds pairs of pictures with near vectors and some near keypoints, or near hashes of their insides.",
    reads=(
        Reads("sample", ("sample_id", "corpus", "half", "image_id"), is_whole=True),
        Reads("image", IMAGE_COLUMNS, is_whole=True),
        Reads("picture", LOCATED, is_whole=True),
        Reads("embedding", ("pixel_sha256", "image_feature"), is_whole=True),
        Reads("keypoint_summary", tuple(KEYPOINT_SUMMARY.schema.names), is_whole=True),
        *STATED_READS,
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
    version=11,
    does="Compares the keypoints of two pictures, as shown and mirrored, their insides, and their colours.",
    reads=(Reads("pair_side", ("pair_id", "side", *LOCATED)),),
    writes=PICTURE_PAIR,
    grain="reduce",
    given=Given(query="SELECT DISTINCT pair_id FROM pair_side", inputs=("pair_side",)),
    run=compare_pairs,
    params=MethodParams,
    reasons=("decoding_failed",),
    decides=False,
    depends=(COMPARISON,),
    partitions_from=("pair_side",),
    off=off_without_keypoints,
)
