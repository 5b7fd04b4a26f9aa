"""Score pictures by the prompts of a vision-language model, and by the detector.

Outliers are decided in stage.py: another threshold costs no forward pass, another prompt no pass over the images.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from schemas.manifests import Grammar, load_prompts
from schemas.tables import DETECTOR_SCORE, VLM_SCORE, Table
from stages.contract import (
    Context,
    Given,
    Inputs,
    Outcome,
    Params,
    Reads,
    Stage,
    Tool,
)
from stages.embed.cosines import cosines, lengths, read_features
from stages.embed.located import LOCATED, Refusal, prepare_ahead, refuse
from stages.embed.stage import PROMPTS, ModelResources
from stages.models.opening import MODEL_MEMORY_GB, NONE, model_identity, open_detector
from stages.models.own_weights import own_weights
from stages.models.protocols import Detector


class DetectorChoice(Params):
    """Which detector takes part: a setting of the stage that scores and of the one that decides."""

    detector: str = Field(
        "rs-detector", description="a detector of manifests/models.toml; none: the image-text model decides alone"
    )


class DetectorParams(DetectorChoice):
    """How the detector scores the pictures."""

    detector_batch_size: int = Field(64, ge=1, description="pictures per forward pass")
    detector_n_threads: int = Field(1, ge=1, description="CPU threads of a worker; the number affects rounding")


class PromptParams(Params):
    """How the prompts are averaged."""

    prompt_average: Literal["normalised", "raw"] = Field(
        "normalised",
        description="normalised: each prompt's feature is L2-normalised before the mean; raw: not normalised",
    )
    prompt_grammar: Grammar = Field(
        "published", description='published: "a aerial image", as forms are filled in; english: "an aerial image"'
    )


def score_detector(inputs: Inputs, context: Context) -> Outcome:
    """Return the probability of "remote sensing" of each picture; reject those without a finite one."""
    if not inputs["picture"].num_rows:  # the detector is not loaded
        return Outcome(DETECTOR_SCORE.schema.empty_table(), refuse(DETECTOR_SCORE, []))
    detector: Detector = context.tools["detector"]
    ids: list[str] = []
    probs: list[float] = []
    refused: list[Refusal] = []
    size = context.params.detector_batch_size
    for rows, prepared, faults in prepare_ahead(inputs["picture"], context, detector.prepare, size):
        probs += detector.probabilities(prepared).astype(float).tolist() if prepared else []
        ids += [row["pixel_sha256"] for row in rows]
        refused += faults
        context.advance(len(ids) + len(refused))
    return _finite(DETECTOR_SCORE, ids, np.array(probs, float), refused)


def score_vlm(inputs: Inputs, context: Context) -> Outcome:
    """Return the cosine of each picture's feature with the mean feature of the prompts.

    Source: RS5M, section III-A and appendix B3: 33 prompts, three nouns in eleven forms, averaged.

    Raises:
        ContractError: the features differ in length from the prompts'.
    """
    chosen = chosen_prompts(inputs["prompt"]["prompt"].to_pylist(), context.params.prompt_grammar)
    prompts = np.array(inputs["prompt"]["prompt_feature"].to_pylist(), np.float32)[chosen]
    direction = mean_direction(prompts, context.params.prompt_average)
    rows = inputs["embedding"]
    features = read_features(rows, len(direction), "the prompts' mean has")
    return _finite(VLM_SCORE, rows["pixel_sha256"].to_pylist(), cosines(features, direction))


def chosen_prompts(texts: Sequence[str], grammar: Grammar) -> npt.NDArray[np.bool_]:
    """Return which prompts are averaged, bool [n]: all but those of the other grammar alone."""
    prompts = load_prompts()
    others = set(prompts.all_texts()) - set(prompts.texts(grammar))
    return np.array([text not in others for text in texts], bool)


def mean_direction(features: np.ndarray, average: str) -> np.ndarray:
    """Return the unit vector of the mean prompt feature.

    Args:
        features: float32 [n_prompts, dim], as the text encoder gives them, not normalised.
        average: "normalised" or "raw", as `PromptParams.prompt_average`.
    """
    values = features.astype(np.float64)
    if average == "normalised":
        values /= lengths(values)[:, None]
    mean = values.mean(axis=0, keepdims=True)
    return np.asarray((mean / lengths(mean))[0], np.float32)


def _finite(table: Table, ids: list[str], values: np.ndarray, refused: Sequence[Refusal] = ()) -> Outcome:
    is_finite = np.isfinite(values)
    keys = pa.array(ids, pa.string())
    kept = pa.table([keys.filter(pa.array(is_finite)), pa.array(values[is_finite], pa.float64())], schema=table.schema)
    bad = [(key, "model_not_finite", "") for key in keys.filter(pa.array(~is_finite)).to_pylist()]
    return Outcome(kept, refuse(table, [*bad, *refused]))


def _detector_identity(params: DetectorParams) -> Mapping[str, str]:
    return model_identity(params.detector, params)


def _own_weights(params: DetectorParams, resources: ModelResources) -> Mapping[str, str] | None:
    return own_weights(params.detector, resources.models)


def _off(params: DetectorParams) -> str:
    return f"outliers.detector = {NONE}" if params.detector == NONE else ""


def _open_detector(params: DetectorParams, resources: ModelResources) -> AbstractContextManager[Detector]:
    return open_detector(
        params.detector, models=resources.models, device=resources.device, n_threads=params.detector_n_threads
    )


SCORE_DETECTOR = Stage(
    name="score_detector",
    module="outliers",
    version=2,
    does="Computes each picture's probability of being a remote sensing image.",
    reads=(Reads("picture", LOCATED),),
    writes=DETECTOR_SCORE,
    grain="map",
    given=Given("picture", ("pixel_sha256",)),
    run=score_detector,
    params=DetectorParams,
    resources=ModelResources,
    reasons=("model_not_finite", "decoding_failed"),
    decides=False,
    tools=(Tool("detector", _detector_identity, _open_detector, _own_weights),),
    partitions_from=("picture",),
    has_model=True,
    memory_gb=MODEL_MEMORY_GB,
    off=_off,
)

SCORE_VLM = Stage(
    name="score_vlm",
    module="outliers",
    version=3,
    does="Compares each picture's feature with the mean of the prompts.",
    reads=(
        Reads("embedding", ("pixel_sha256", "image_feature")),
        Reads("prompt", ("prompt", "prompt_feature"), is_whole=True),
    ),
    writes=VLM_SCORE,
    grain="map",
    given=Given("embedding", ("pixel_sha256",)),
    run=score_vlm,
    params=PromptParams,
    depends=(PROMPTS,),
    reasons=("model_not_finite",),
    decides=False,
    partitions_from=("embedding",),
)
