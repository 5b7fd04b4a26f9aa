"""Contamination: list the pictures of evaluation sets, and hash their variants.

Not for comparing them with samples (marks.py).
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from schemas.reasons import DETAIL_MAX_CHARACTERS
from schemas.tables import EVALUATION_CAPTION, EVALUATION_FILE, EVALUATION_IMAGE
from stages.contamination.captions import plain_caption, read_captions, splits_of
from stages.contamination.listed import read_listed
from stages.contamination.sets import NO_SPLIT, Refusal, evaluation_identity, find_sets, list_images
from stages.contamination.shared import HASHES_VERSION, Shared, list_shared, load_shared
from stages.contract import (
    Context,
    Dependency,
    Given,
    InputError,
    Inputs,
    Outcome,
    Params,
    Reads,
    Resources,
    Stage,
    Tool,
    TransientError,
    no_rejects,
    rejects_table,
)
from stages.images.not_decoded import NotDecoded
from stages.screen.decoding import DecodeLimits, Decoder, Refused, decoder_identity
from stages.screen.silence import DecoderUnavailable

IMAGES_PER_PARTITION = 2_000  # about 20 s of decoding


class EvaluationParams(Params):
    """Location of the evaluation sets."""

    evaluation: str = Field(
        "", description="folder of evaluation sets, TOML manifest, or parquet file of hashes (EVAL=…); empty: none"
    )


class HashParams(Params):
    """Limits for decoding evaluation pictures, and the windows of them to search for."""

    max_pixels: int = Field(500_000_000, gt=0, description="maximum width x height of an evaluation picture, px")
    cpu_s: float = Field(60.0, gt=0, description="CPU time of one evaluation picture, s")
    decoder_memory_gb: float = Field(6.0, gt=0.2, description="address space of the decoding child, GB")
    max_cut: float = Field(
        0.1, ge=0, le=0.5, description="maximum share of a side that a window of an evaluation picture leaves out"
    )
    n_cuts: int = Field(
        4, ge=1, le=8, description="steps from no cut to the largest; 4 make 225 windows"
    )  # measured on 150 aerial images, random windows of at most 10 %: .98 at distance 2; 3 steps .77


def list_evaluation(inputs: Inputs, context: Context) -> Outcome:
    """Return the pictures of the evaluation sets; every other path is rejected with a reason.

    Raises:
        InputError: EVAL or a set is missing, a set is named twice, or a captions file or a manifest has a fault.
    """
    rows: list[dict[str, Any]] = []
    refused: list[Refusal] = []
    if context.params.evaluation:
        sets = find_sets(Path(context.params.evaluation))
        refused += sets.refused
        for one in sets.folders:
            images, others = list_images(one, splits_of(read_captions(one)))
            rows, refused = rows + images, refused + others
        for path in sets.shared:
            rows += list_shared(path)
    refuse_twice(rows)
    rows.sort(key=lambda row: (row["evaluation_set"], row["evaluation_split"], row["evaluation_path"]))
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        group = row["evaluation_set"], row["evaluation_split"]
        number = seen[group] = seen.get(group, -1) + 1
        row["partition"] = f"evaluation-{'-'.join(group)}-{number // IMAGES_PER_PARTITION:04d}"
    names, paths, reasons, details = zip(*sorted(refused), strict=True) if refused else ([], [], [], [])
    keys = {"evaluation_set": names, "evaluation_path": paths}
    kept = pa.Table.from_pylist(rows, schema=EVALUATION_FILE.schema)
    return Outcome(kept, rejects_table(EVALUATION_FILE, keys, reasons, details))


def refuse_twice(rows: list[dict[str, Any]]) -> None:
    """Raise InputError if a picture of a set is listed twice."""
    counts = Counter((row["evaluation_set"], row["evaluation_path"]) for row in rows)
    twice = next((key for key, n in counts.items() if n > 1), None)
    if twice is not None:
        raise InputError(f"the evaluation set {twice[0]} is given twice: {twice[1]} is in two folders or files of EVAL")


def list_evaluation_captions(inputs: Inputs, context: Context) -> Outcome:
    """Return each distinct caption of the evaluation sets in plain form, with its split."""
    found: set[tuple[str, str, str]] = set()
    if context.params.evaluation:
        for one in find_sets(Path(context.params.evaluation)).folders:
            for _, split, caption in read_captions(one):
                found.add((one.about.name, split or NO_SPLIT, plain_caption(caption)))
    rows = [dict(zip(EVALUATION_CAPTION.key, key, strict=True)) for key in sorted(found) if key[2]]
    return Outcome(pa.Table.from_pylist(rows, schema=EVALUATION_CAPTION.schema), no_rejects(EVALUATION_CAPTION))


def hash_evaluation(inputs: Inputs, context: Context) -> Outcome:
    """Return the hashes of each evaluation picture; reject those that do not decode, with the fault of the file.

    Raises:
        InputError: a file has changed since it was listed.
    """
    listed = sorted(inputs["evaluation_file"].to_pylist(), key=lambda row: str(row["evaluation_path"]))
    kept: list[dict[str, Any]] = []
    rejects: list[tuple[str, str, str, str]] = []
    shared: dict[Path, Shared] = {}
    for n_done, row in enumerate(listed, 1):
        path = Path(row["evaluation_file"])
        if path.suffix == ".parquet":
            if path not in shared:
                shared[path] = load_shared(path)
            facts: dict[str, Any] | Refused = shared[path][row["evaluation_set"], row["evaluation_path"]]
        else:
            facts = _hash(path, row, context)
        if isinstance(facts, Refused):
            rejects.append((row["evaluation_set"], row["evaluation_path"], facts.reason, facts.detail))
        else:
            kept.append({**row, **facts})
        context.advance(n_done)
    names, paths, reasons, details = zip(*rejects, strict=True) if rejects else ([], [], [], [])
    table = pa.Table.from_pylist(kept, schema=EVALUATION_IMAGE.schema)
    keys = {"evaluation_set": names, "evaluation_path": paths}
    return Outcome(table, rejects_table(EVALUATION_IMAGE, keys, reasons, details))


def _hash(path: Path, row: Mapping[str, Any], context: Context) -> dict[str, Any] | Refused:
    from stages.contamination.grey import reduce_square
    from stages.contamination.tints import reduce_tints
    from stages.contamination.variants import SQUARE_PX, hash_variants, variant_names  # imports scipy
    from stages.images.rgb import open_rgb

    data = read_listed(path, row["size_bytes"])
    if isinstance(data, Refused):
        return data
    decoder: Decoder = context.tools["evaluation_decoder"]
    try:
        found = decoder.decode(data)
    except DecoderUnavailable as error:
        raise TransientError(str(error)) from error
    if isinstance(found, Refused):
        return found
    try:
        # The guarded child has already decoded the same bytes within its limits.
        picture = open_rgb(data, found.format, 4 * SQUARE_PX, found.width_px * found.height_px)
    except NotDecoded as fault:
        return Refused("decoding_failed", str(fault)[:DETAIL_MAX_CHARACTERS])
    params: HashParams = context.params
    hashes, details = hash_variants(picture, params.max_cut, params.n_cuts)
    return {
        "image_format": found.format,
        "width_px": found.width_px,
        "height_px": found.height_px,
        "pixel_sha256": found.pixel_sha256,
        "phash": found.phash,
        "phash_detail": found.phash_detail,
        "variant_names": variant_names(params.max_cut, params.n_cuts),
        # Hashes of turned pictures are screen's, from all pixels; windows are cut from a reduced picture.
        "variant_hashes": [*found.phash_orientations, *hashes[len(found.phash_orientations) :]],
        "variant_details": [found.phash_detail, *details[1:]],
        "grey_square": reduce_square(picture).tobytes(),
        "colour_square": reduce_tints(picture).tobytes(),
    }


def _files_identity(params: EvaluationParams) -> Mapping[str, str]:
    return evaluation_identity(params.evaluation)


def _decoder_identity(params: HashParams) -> Mapping[str, str]:
    return decoder_identity()


def _open_decoder(params: HashParams, resources: Resources) -> AbstractContextManager[Decoder]:
    memory_bytes = int(params.decoder_memory_gb * 1e9)
    return Decoder(DecodeLimits(max_pixels=params.max_pixels, cpu_s=params.cpu_s, memory_bytes=memory_bytes))


FILES = Dependency("evaluation_files", _files_identity)
DECODER = Tool("evaluation_decoder", _decoder_identity, _open_decoder)

LIST_EVALUATION = Stage(
    name="list_evaluation",
    module="contamination",
    version=3,
    does="Lists the pictures of the evaluation sets in EVAL; empty without EVAL.",
    reads=(),
    writes=EVALUATION_FILE,
    grain="observe",
    given=Given(),
    run=list_evaluation,
    params=EvaluationParams,
    reasons=("unreadable", "hidden_file", "not_an_evaluation_image", "caption_list", "split_list", "empty_set"),
    depends=(FILES,),
    split_by="partition",
)

LIST_EVALUATION_CAPTIONS = Stage(
    name="list_evaluation_captions",
    module="contamination",
    version=3,
    does="Lists the captions of the evaluation sets.",
    reads=(),
    writes=EVALUATION_CAPTION,
    grain="observe",
    given=Given(),
    run=list_evaluation_captions,
    params=EvaluationParams,
    depends=(FILES,),
)

HASH_EVALUATION = Stage(
    name="hash_evaluation",
    module="contamination",
    version=HASHES_VERSION,
    does="Decodes each picture of the evaluation sets in a guarded child, and hashes it turned, mirrored and cut.",
    reads=(
        Reads(
            "evaluation_file",
            (
                "evaluation_set", "evaluation_path", "evaluation_split", "evaluation_licence", "size_bytes", "mtime_ns",
                "evaluation_file",
            ),
        ),
    ),
    writes=EVALUATION_IMAGE,
    grain="map",
    given=Given("evaluation_file", ("evaluation_set", "evaluation_path")),
    run=hash_evaluation,
    params=HashParams,
    reasons=(
        "unreadable", "empty_file", "not_an_image", "format_not_allowed", "unsupported_variant", "truncated_image",
        "corrupt_image", "too_many_pixels", "decode_timeout", "decoder_died", "unpublishable_image", "decoding_failed",
    ),
    tools=(DECODER,),
    partitions_from=("evaluation_file",),
    bytes_per_row=6_000,
)  # fmt: skip
