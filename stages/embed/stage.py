"""Embed: one forward pass of the image encoder per distinct picture of both halves.

Features are used by the outlier filter and, later, by the search for copies; outliers computes scores and decides.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import pyarrow as pa
from pydantic import Field

from schemas.manifests import load_prompts
from schemas.tables import EMBEDDING, PICTURE, PROMPT
from stages.contract import (
    Context,
    Dependency,
    Given,
    Inputs,
    Outcome,
    Params,
    Reads,
    Resources,
    Stage,
    Tool,
    no_rejects,
)
from stages.embed.located import BODY, FOUND, LOCATED, Refusal, prepare_ahead, refuse
from stages.identity import digest_json
from stages.models.opening import MODEL_MEMORY_GB, NONE, model_identity, open_scorer
from stages.models.protocols import ImageTextScorer
from stages.rows import query_rows


class ModelResources(Resources):
    """Where models are stored, and on which device they run."""

    models: str = Field("models", description="folder of the published models, with one folder per name in models.toml")
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


# Not materialised: the wide columns would be held in memory for a query that needs two of them.
_PICTURES = f"""
    WITH located AS NOT MATERIALIZED (
        SELECT fetch_id AS image_id, {", ".join(BODY)}, partition, pass FROM fetched
        UNION ALL SELECT sample_id, {", ".join(BODY)}, partition, NULL FROM labelled_image
    ), chosen AS (  -- before the wide columns are joined, which sorting would copy
        SELECT image_id FROM image JOIN (SELECT image_id, pass FROM located) USING (image_id)
        QUALIFY row_number() OVER (PARTITION BY pixel_sha256 ORDER BY pass NULLS LAST, image_id) = 1
    )
    SELECT {", ".join(PICTURE.schema.names)} FROM image JOIN chosen USING (image_id) JOIN located USING (image_id)
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
