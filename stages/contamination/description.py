"""Find keypoints and insides of evaluation pictures, and summarise those of the pictures to compare with them.

Not for comparing them: candidates.py and between_sets.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.reasons import DETAIL_MAX_CHARACTERS
from schemas.tables import EVALUATION_KEYPOINTS, GALLERY_PICTURE, GALLERY_SUMMARY
from stages.contamination.listed import read_listed
from stages.contamination.settings import MethodParams, off_without_keypoints
from stages.contamination.shared import KEYPOINTS_VERSION, read_shared_keypoints
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects, rejects_table
from stages.dedup.identities import SUMMARIES
from stages.dedup.pairs import describe_picture
from stages.dedup.summaries import sum_up
from stages.embed.located import FOUND, LOCATED, LONGEST_PX, load_located, refuse
from stages.images.not_decoded import NotDecoded
from stages.images.packed_keypoints import pack_keypoints
from stages.rows import query_rows
from stages.screen.decoding import Refused

_KEY = EVALUATION_KEYPOINTS.key


def describe_evaluation(inputs: Inputs, context: Context) -> Outcome:
    """Return keypoints and their summary of each hashed evaluation picture; reject those that do not decode.

    Raises:
        InputError: a file has changed since it was listed.
    """
    sizes = {tuple(row[name] for name in _KEY): row["size_bytes"] for row in inputs["evaluation_file"].to_pylist()}
    rows = sorted(inputs["evaluation_image"].to_pylist(), key=lambda row: [row[name] for name in _KEY])
    shared = _read_shared(rows)
    kept: list[dict[str, Any]] = []
    refused: list[tuple[str, str, str, str]] = []
    for row in rows:
        key = row["evaluation_set"], row["evaluation_path"]
        if row["evaluation_file"].endswith(".parquet"):
            found = shared.get(key, Refused("no_keypoints", ""))
        else:
            found = _describe(row, sizes[key])
        if isinstance(found, Refused):
            refused.append((*key, found.reason, found.detail))
        else:
            kept.append({**row, **found})
        context.advance(len(kept) + len(refused))
    names, paths, reasons, details = zip(*refused, strict=True) if refused else ([], [], [], [])
    keys = {"evaluation_set": names, "evaluation_path": paths}
    table = pa.Table.from_pylist(kept, schema=EVALUATION_KEYPOINTS.schema)
    return Outcome(table, rejects_table(EVALUATION_KEYPOINTS, keys, reasons, details))


def _read_shared(rows: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return keypoints by set and path of the rows that are in files of hashes."""
    paths: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["evaluation_file"].endswith(".parquet"):
            paths.setdefault((row["evaluation_file"], row["evaluation_set"]), []).append(row["evaluation_path"])
    found = {key: read_shared_keypoints(Path(key[0]), key[1], some) for key, some in paths.items()}
    return {(name, path): facts for (_, name), by_path in found.items() for path, facts in by_path.items()}


def _describe(row: Mapping[str, Any], size_bytes: int) -> dict[str, Any] | Refused:
    from stages.images.rgb import open_rgb

    data = read_listed(Path(row["evaluation_file"]), size_bytes)
    if isinstance(data, Refused):
        return data
    try:
        # hash_evaluation's guarded child has decoded the same file within its limits.
        picture = open_rgb(data, row["image_format"], LONGEST_PX, row["width_px"] * row["height_px"])
    except NotDecoded as fault:
        return Refused("decoding_failed", str(fault)[:DETAIL_MAX_CHARACTERS])
    described = describe_picture(picture)
    return {**sum_up(described), "packed_keypoints": pack_keypoints(described[0])}


def plan_gallery(inputs: Inputs, context: Context) -> Outcome:
    """Return each distinct picture of the corpora if there is an evaluation picture to compare it with."""
    query = f"""
        SELECT {", ".join(GALLERY_PICTURE.schema.names)} FROM picture WHERE EXISTS (FROM evaluation_file)
        ORDER BY partition, pixel_sha256
    """
    return Outcome(query_rows(query, inputs).cast(GALLERY_PICTURE.schema), no_rejects(GALLERY_PICTURE))


def summarise_gallery(inputs: Inputs, context: Context) -> Outcome:
    """Return each picture's summary of keypoints and hashes of its inside, dedup's if there are some.

    Pictures that are not decoded are rejected.
    """
    known = {row["pixel_sha256"]: row for row in inputs["keypoint_summary"].to_pylist()}
    kept: list[dict[str, Any]] = []
    refused: list[tuple[str, str, str]] = []
    for row in sorted(inputs["gallery_picture"].to_pylist(), key=lambda row: str(row["pixel_sha256"])):
        name = row["pixel_sha256"]
        found = None if name in known else load_located(row, context.files, describe_picture)
        if isinstance(found, NotDecoded):
            refused.append((name, "decoding_failed", str(found)))
        else:
            kept.append(known[name] if found is None else {"pixel_sha256": name, **sum_up(found)})
        context.advance(len(kept) + len(refused))
    return Outcome(pa.Table.from_pylist(kept, GALLERY_SUMMARY.schema), refuse(GALLERY_SUMMARY, refused))


DESCRIBE_EVALUATION = Stage(
    name="describe_evaluation",
    module="contamination",
    version=KEYPOINTS_VERSION,
    does="Finds the keypoints of each picture of the evaluation sets, and hashes its inside.",
    reads=(
        Reads("evaluation_image", (*_KEY, "evaluation_file", *FOUND)),
        Reads("evaluation_file", (*_KEY, "size_bytes")),
    ),
    writes=EVALUATION_KEYPOINTS,
    grain="map",
    given=Given("evaluation_image", _KEY),
    run=describe_evaluation,
    params=MethodParams,
    reasons=("unreadable", "decoding_failed", "no_keypoints"),
    depends=(SUMMARIES,),
    partitions_from=("evaluation_file",),
    bytes_per_row=55_000,
    off=off_without_keypoints,
)

PLAN_GALLERY = Stage(
    name="plan_gallery",
    module="contamination",
    version=1,
    does="Lists the pictures to compare with those of evaluation sets; without EVAL there are none.",
    reads=(
        Reads("picture", (*LOCATED, "partition"), is_whole=True),
        Reads("evaluation_file", ("evaluation_set",), is_whole=True),
    ),
    writes=GALLERY_PICTURE,
    grain="observe",
    given=Given(),
    run=plan_gallery,
    is_queried=True,
    split_by="partition",
)

SUMMARISE_GALLERY = Stage(
    name="summarise_gallery",
    module="contamination",
    version=6,
    does="Summarises the keypoints of each of these pictures in a vector, and hashes its inside, unless dedup has.",
    reads=(
        Reads("gallery_picture", LOCATED),
        Reads("keypoint_summary", tuple(GALLERY_SUMMARY.schema.names)),
    ),
    writes=GALLERY_SUMMARY,
    grain="map",
    given=Given("gallery_picture", ("pixel_sha256",)),
    run=summarise_gallery,
    params=MethodParams,
    reasons=("decoding_failed",),
    decides=False,
    depends=(SUMMARIES,),
    partitions_from=("gallery_picture",),
    bytes_per_row=600,
    off=off_without_keypoints,
)
