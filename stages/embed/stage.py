"""Embed: one forward pass of the image encoder per distinct picture, of both halves.

Features serve the outlier filter and, later, the search for copies; scores and decisions are the business of outliers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pydantic import Field

from schemas.manifests import load_prompts
from schemas.tables import EMBEDDING, PICTURE, PROMPT
from stages.checks import check_body, run_sql
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
from stages.models.opening import model_identity, open_scorer
from stages.models.protocols import ImageTextScorer

Row = Mapping[str, Any]
LOCATED = ("pixel_sha256", "n_bytes", "body_sha256", "body_file", "body_offset")


class ModelResources(Resources):
    """Where models lie and run."""

    models: str = Field("models", description="folder of the published models, one folder each, as models.toml names")
    device: str = Field("auto", description="auto (cuda where there is one), cuda, cuda:1 or cpu")
    loaders: int = Field(0, ge=0, description="threads that decode images for a model; 0: one a CPU core, at most 8")


class EmbedParams(Params):
    """Which model sees the pictures, and how many at once."""

    model: str = Field(
        "clip-convnext-xxl", description="a scorer of manifests/models.toml"
    )  # RS5M, section III-A: OpenCLIP ConvNeXt-XXL
    batch_size: int = Field(64, ge=1, description="pictures of one forward pass")
    n_threads: int = Field(1, ge=1, description="CPU threads of a worker; another number rounds differently")


def plan_pictures(inputs: Inputs, context: Context) -> Outcome:
    """Return each distinct picture with the image it is read from: the first by download pass, then by image_id.

    What a later pass brings leaves the older pictures in their partitions, and their features with them.
    """
    kept = run_sql(_PICTURES, inputs)
    return Outcome(kept.cast(PICTURE.schema), no_rejects(PICTURE))


_PICTURES = f"""
    WITH located AS (
        SELECT fetch_id AS image_id, {", ".join(LOCATED[1:])}, partition, pass FROM fetched
        UNION ALL SELECT sample_id, {", ".join(LOCATED[1:])}, partition, NULL FROM labelled_image
    )
    SELECT {", ".join(PICTURE.schema.names)} FROM image JOIN located USING (image_id)
    QUALIFY row_number() OVER (PARTITION BY pixel_sha256 ORDER BY pass NULLS LAST, image_id) = 1
    ORDER BY partition, pixel_sha256
"""


def embed(inputs: Inputs, context: Context) -> Outcome:
    """Return the image feature of each picture; reject those for which the model gives NaN or infinity."""
    scorer: ImageTextScorer = context.tools["scorer"]
    ids: list[str] = []
    features: list[np.ndarray] = []
    bad: list[str] = []
    for rows, prepared in prepare_ahead(inputs["picture"], context, scorer.prepare, context.params.batch_size):
        for row, feature in zip(rows, scorer.image_features(prepared), strict=True):
            if np.isfinite(feature).all():
                ids.append(row["pixel_sha256"])
                features.append(feature.astype(np.float16))
            else:
                bad.append(row["pixel_sha256"])
        context.advance(len(ids) + len(bad))
    kept = pa.table([pa.array(ids, pa.string()), _lists(features)], schema=EMBEDDING.schema)
    rejects = rejects_table(
        EMBEDDING, {"pixel_sha256": bad}, pa.array(["model_not_finite"] * len(bad), pa.string()), [""] * len(bad)
    )
    return Outcome(kept, rejects)


def prepare_ahead(
    pictures: pa.Table, context: Context, prepare: Callable[[Image.Image], Any], size: int
) -> Iterator[tuple[Sequence[Row], list[Any]]]:
    """Yield rows and what a model takes of them, in the order of pixel_sha256.

    Batches form inside a partition alone.
    """
    rows = sorted(pictures.to_pylist(), key=lambda row: str(row["pixel_sha256"]))
    return load_ahead(cut(rows, size), lambda row: prepare(open_located(row, context.files)), context.resources.loaders)


def open_located(row: Row, files: Files) -> Image.Image:
    """Return the image that location columns point to, as RGB."""
    from stages.images.rgb import open_rgb

    data = files.read(row["body_file"], row["body_offset"], row["n_bytes"])
    check_body(data, row)
    return open_rgb(data, LONGEST_PX)


LONGEST_PX = 1024  # models see at most 448 px: a picture of 400 megapixels is decoded small


def embed_prompts(inputs: Inputs, context: Context) -> Outcome:
    """Return the text feature of each prompt, by the model that embeds the pictures."""
    scorer: ImageTextScorer = context.tools["scorer"]
    texts = sorted(load_prompts().texts())
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


def _prompts_identity(params: EmbedParams) -> Mapping[str, str]:
    return {"sha256": digest_json(list(load_prompts().texts()))}


SCORER = Tool("scorer", _identity, _open)
PROMPTS = Dependency("prompts", _prompts_identity)

PLAN_PICTURES = Stage(
    name="plan_pictures",
    module="embed",
    version=1,
    does="Names each distinct picture once, of both halves, and where it is read from.",
    reads=(
        Reads("image", ("image_id", "pixel_sha256"), is_whole=True),
        Reads("fetched", ("fetch_id", "pass", *LOCATED[1:], "partition"), is_whole=True),
        Reads(
            "labelled_image",
            ("sample_id", *LOCATED[1:], "partition"),
            is_whole=True,
        ),
    ),
    writes=PICTURE,
    grain="reduce",
    given=Given(query="SELECT DISTINCT pixel_sha256 FROM image", inputs=("image",)),
    run=plan_pictures,
    split_by="partition",
)

EMBED_PROMPTS = Stage(
    name="embed_prompts",
    module="embed",
    version=1,
    does="Gives each prompt for remote sensing images its text feature.",
    reads=(),
    writes=PROMPT,
    grain="reduce",
    given=Given(query=f"SELECT unnest({list(load_prompts().texts())}) AS prompt"),
    run=embed_prompts,
    params=EmbedParams,
    resources=ModelResources,
    tools=(SCORER,),
    depends=(PROMPTS,),
    has_model=True,
)

EMBED = Stage(
    name="embed",
    module="embed",
    version=1,
    does="Gives each picture its image feature, one forward pass each.",
    reads=(Reads("picture", LOCATED),),
    writes=EMBEDDING,
    grain="map",
    given=Given("picture", ("pixel_sha256",)),
    run=embed,
    params=EmbedParams,
    resources=ModelResources,
    reasons=("model_not_finite",),
    decides=False,
    tools=(SCORER,),
    partitions_from=("picture",),
    has_model=True,
    bytes_per_row=2_400,
)
