"""Embed: one forward pass of the image encoder per distinct picture of both halves.

Features are used by the outlier filter and, later, by the search for copies; outliers computes scores and decides.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from PIL import Image
from pydantic import Field

from schemas.manifests import load_prompts
from schemas.tables import EMBEDDING, PICTURE, PROMPT, Table
from stages.checks import check_body
from stages.contract import (
    Context,
    Dependency,
    Files,
    Given,
    Inputs,
    Outcome,
    Params,
    Reads,
    Resources,
    Stage,
    Tool,
    no_rejects,
    rejects_table,
)
from stages.identity import digest_json
from stages.images.ahead import cut, load_ahead
from stages.images.not_decoded import NotDecoded
from stages.models.opening import MODEL_MEMORY_GB, NONE, model_identity, open_scorer
from stages.models.protocols import ImageTextScorer
from stages.purged import PURGED_DETAIL, is_purged
from stages.rows import query_rows

T = TypeVar("T")
Row = Mapping[str, Any]
Refusal = tuple[str, str, str]  # pixel_sha256, reason, detail
BODY = ("n_bytes", "body_sha256", "body_file", "body_offset")
FOUND = ("image_format", "width_px", "height_px")  # as found by screen; later openings use it too
LOCATED = ("pixel_sha256", *FOUND, *BODY)


class ModelResources(Resources):
    """Where models are stored, and on which device they run."""

    models: str = Field("models", description="folder of the published models, with a folder per name of models.toml")
    device: str = Field("auto", description="auto (cuda if available), cuda, cuda:1 or cpu")
    loaders: int = Field(0, ge=0, description="threads that decode images for a model; 0: one per CPU core, at most 8")


class ModelChoice(Params):
    """Which model embeds pictures and captions."""

    model: str = Field(
        "clip-convnext-xxl", description="a scorer of manifests/models.toml; none: the detector decides alone"
    )  # RS5M, section III-A: OpenCLIP ConvNeXt-XXL


class EmbedParams(ModelChoice):
    """How the model runs."""

    batch_size: int = Field(64, ge=1, description="pictures per forward pass")
    n_threads: int = Field(1, ge=1, description="CPU threads of a worker; the number affects rounding")


def plan_pictures(inputs: Inputs, context: Context) -> Outcome:
    """Return each distinct picture and the image to read it from: the first by download pass, then by image_id.

    Images of a later pass therefore do not move older pictures to other partitions, and their features stay valid.
    """
    kept = query_rows(_PICTURES, inputs)
    return Outcome(kept.cast(PICTURE.schema), no_rejects(PICTURE))


_PICTURES = f"""
    WITH located AS (
        SELECT fetch_id AS image_id, {", ".join(BODY)}, partition, pass FROM fetched
        UNION ALL SELECT sample_id, {", ".join(BODY)}, partition, NULL FROM labelled_image
    )
    SELECT {", ".join(PICTURE.schema.names)} FROM image JOIN located USING (image_id)
    QUALIFY row_number() OVER (PARTITION BY pixel_sha256 ORDER BY pass NULLS LAST, image_id) = 1
    ORDER BY partition, pixel_sha256
"""


def embed(inputs: Inputs, context: Context) -> Outcome:
    """Return the image feature of each picture; reject those not decoded or with a non-finite feature."""
    if not inputs["picture"].num_rows:  # the model is not loaded
        return Outcome(EMBEDDING.schema.empty_table(), no_rejects(EMBEDDING))
    scorer: ImageTextScorer = context.tools["scorer"]
    ids: list[str] = []
    features: list[np.ndarray] = []
    refused: list[Refusal] = []
    for rows, prepared, faults in prepare_ahead(inputs["picture"], context, scorer.prepare, context.params.batch_size):
        refused += faults
        for row, feature in zip(rows, scorer.image_features(prepared) if prepared else (), strict=True):
            if np.isfinite(feature).all():
                ids.append(row["pixel_sha256"])
                features.append(feature.astype(np.float16))
            else:
                refused.append((row["pixel_sha256"], "model_not_finite", ""))
        context.advance(len(ids) + len(refused))
    kept = pa.table([pa.array(ids, pa.string()), _lists(features)], schema=EMBEDDING.schema)
    return Outcome(kept, refuse(EMBEDDING, refused))


def prepare_ahead(
    pictures: pa.Table, context: Context, prepare: Callable[[Image.Image], Any], size: int
) -> Iterator[tuple[list[Row], list[Any], list[Refusal]]]:
    """Yield rows, their prepared pictures, and the refusals of those not decoded, in the order of pixel_sha256.

    Batches never cross partitions.
    """
    rows = sorted(pictures.to_pylist(), key=lambda row: str(row["pixel_sha256"]))

    def load(row: Row) -> Any:
        return load_located(row, context.files, prepare)

    for batch, loaded in load_ahead(cut(rows, size), load, context.resources.loaders):
        pairs = list(zip(batch, loaded, strict=True))
        sound = [pair for pair in pairs if not isinstance(pair[1], NotDecoded)]
        faults = [
            (row["pixel_sha256"], "decoding_failed", str(fault))
            for row, fault in pairs
            if isinstance(fault, NotDecoded)
        ]
        yield [row for row, _ in sound], [prepared for _, prepared in sound], faults


def load_located(row: Row, files: Files, prepare: Callable[[Image.Image], T]) -> T | NotDecoded:
    """Return the picture at a row's location, prepared by `prepare`, or why it cannot be decoded.

    Args:
        row: has BODY, and what screen found (FOUND).
        files: reader of the body.
        prepare: receives the picture as RGB, with a longer side of at most LONGEST_PX.
    """
    from stages.images.rgb import open_rgb

    data = files.read(row["body_file"], row["body_offset"], row["n_bytes"])
    if is_purged(data):
        return NotDecoded(PURGED_DETAIL)
    check_body(data, row)
    try:
        image = open_rgb(data, row["image_format"], LONGEST_PX, row["width_px"] * row["height_px"])
    except NotDecoded as fault:
        return NotDecoded(*fault.args)  # without its traceback, which would keep the picture in memory
    return prepare(image)


def refuse(table: Table, refused: Sequence[Refusal]) -> pa.Table:
    """Return the reject rows of refused pictures."""
    ids, reasons, details = zip(*refused, strict=True) if refused else ((), (), ())
    keys = {"pixel_sha256": pa.array(ids, pa.string())}
    return rejects_table(table, keys, pa.array(reasons, pa.string()), list(details))


LONGEST_PX = 1024  # models see at most 448 px, so a picture of 400 megapixels is decoded small


def embed_prompts(inputs: Inputs, context: Context) -> Outcome:
    """Return the text feature of each prompt in every grammar, from the model that embeds the pictures."""
    scorer: ImageTextScorer = context.tools["scorer"]
    texts = list(load_prompts().all_texts())
    features = scorer.text_features(texts, is_normalised=False).astype(np.float32)
    kept = pa.table([pa.array(texts, pa.string()), pa.array(list(features), pa.list_(pa.float32()))], PROMPT.schema)
    return Outcome(kept, no_rejects(PROMPT))


def _lists(features: Sequence[np.ndarray]) -> pa.Array:
    if not features:
        return pa.array([], pa.list_(pa.float16()))
    flat = np.concatenate(features)
    offsets = np.arange(len(features) + 1, dtype=np.int32) * len(features[0])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, pa.float16()))


def _identity(params: EmbedParams) -> Mapping[str, str]:
    return model_identity(params.model, params)


def _open(params: EmbedParams, resources: ModelResources) -> AbstractContextManager[ImageTextScorer]:
    return open_scorer(params.model, models=resources.models, device=resources.device, n_threads=params.n_threads)


def _off(params: EmbedParams) -> str:
    return f"embed.model = {NONE}" if params.model == NONE else ""


def _prompts_identity(params: Params) -> Mapping[str, str]:
    return {"sha256": digest_json(list(load_prompts().all_texts()))}


SCORER = Tool("scorer", _identity, _open)
PROMPTS = Dependency("prompts", _prompts_identity)

PLAN_PICTURES = Stage(
    name="plan_pictures",
    module="embed",
    version=2,
    does="Lists each distinct picture of both halves once, with the image to read it from.",
    reads=(
        Reads("image", ("image_id", "pixel_sha256", *FOUND), is_whole=True),
        Reads("fetched", ("fetch_id", "pass", *BODY, "partition"), is_whole=True),
        Reads(
            "labelled_image",
            ("sample_id", *BODY, "partition"),
            is_whole=True,
        ),
    ),
    writes=PICTURE,
    grain="reduce",
    given=Given(query="SELECT DISTINCT pixel_sha256 FROM image", inputs=("image",)),
    run=plan_pictures,
    is_queried=True,
    split_by="partition",
)

EMBED_PROMPTS = Stage(
    name="embed_prompts",
    module="embed",
    version=2,
    does="Computes the text feature of each prompt for remote sensing images.",
    reads=(),
    writes=PROMPT,
    grain="reduce",
    given=Given(query=f"SELECT unnest({list(load_prompts().all_texts())}) AS prompt"),
    run=embed_prompts,
    params=EmbedParams,
    resources=ModelResources,
    tools=(SCORER,),
    depends=(PROMPTS,),
    has_model=True,
    memory_gb=MODEL_MEMORY_GB,
    off=_off,
)

EMBED = Stage(
    name="embed",
    module="embed",
    version=2,
    does="Computes the image feature of each picture, in one forward pass per picture.",
    reads=(Reads("picture", LOCATED),),
    writes=EMBEDDING,
    grain="map",
    given=Given("picture", ("pixel_sha256",)),
    run=embed,
    params=EmbedParams,
    resources=ModelResources,
    reasons=("model_not_finite", "decoding_failed"),
    decides=False,
    tools=(SCORER,),
    partitions_from=("picture",),
    has_model=True,
    memory_gb=MODEL_MEMORY_GB,
    bytes_per_row=2_400,
    off=_off,
)
