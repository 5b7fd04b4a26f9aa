"""Caption: draw captions for the labelled images, rank them by two scorers, and choose the one to publish.

The sentence from an image's metadata is made by geometa.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa
from PIL import Image

from schemas.tables import CAPTION, CAPTION_CANDIDATE, CAPTION_SCORE
from stages.caption.choice import (
    GIVEN,
    ChooseParams,
    TextParams,
    caption_model_licence,
    choose_captions,
)
from stages.caption.drawing import draw_each, draw_seed
from stages.caption.ranking import Ranked, Ranking, rank_images
from stages.caption.refusals import Rejects, refuse, without_faults
from stages.caption.rotation import turned_views
from stages.caption.settings import DrawParams, RankParams
from stages.contract import (
    Context,
    ContractError,
    Dependency,
    Given,
    Inputs,
    Outcome,
    Reads,
    Stage,
    Tool,
)
from stages.embed.located import BODY, FOUND, load_located
from stages.embed.stage import ModelResources
from stages.images.ahead import cut, load_ahead
from stages.models.opening import MODEL_MEMORY_GB, model_identity, open_captioner, open_scorer
from stages.models.protocols import Captioner, DrawSettings, ImageTextScorer, ModelNotFinite
from stages.rows import run_sql

Sample = tuple[dict[str, Any], dict[int, str]]  # the location of its image, and its captions by number


def draw_captions(inputs: Inputs, context: Context) -> Outcome:
    """Return all captions drawn for each valid image; reject images that are not decoded or give non-finite values.

    Raises:
        ContractError: if the captioner returns another number of captions.
    """
    params: DrawParams = context.params
    images = run_sql(_VALID, inputs).to_pylist()
    if not images:  # the captioner is not loaded
        return Outcome(CAPTION_CANDIDATE.schema.empty_table(), refuse(CAPTION_CANDIDATE, []))
    settings = DrawSettings(params.n_candidates, params.top_p, params.top_k, params.max_new_tokens)
    captioner: Captioner = context.tools["captioner"]
    rows: list[dict[str, Any]] = []
    rejects: Rejects = []
    n_done = 0
    for batch, prepared in load_ahead(
        cut(images, params.captioner_batch_size),
        lambda located: load_located(located, context.files, captioner.prepare),
        context.resources.loaders,
    ):
        n_done += len(batch)
        batch, prepared = without_faults(batch, prepared, lambda located: [(located["sample_id"], 0)], rejects)
        seeds = [draw_seed(located["sample_id"], params.draw_seed) for located in batch]
        drawn = draw_each(captioner, prepared, seeds, settings) if prepared else ()
        for located, captions in zip(batch, drawn, strict=True):
            sample_id = located["sample_id"]
            if isinstance(captions, ModelNotFinite):
                rejects.append((sample_id, 0, "model_not_finite", str(captions)))
                continue
            if len(captions) != params.n_candidates:
                raise ContractError(f"{params.captioner} drew {len(captions)} captions, not {params.n_candidates}")
            rows += [{"sample_id": sample_id, "n": n, "candidate_caption": c} for n, c in enumerate(captions)]
        context.advance(n_done)
    return Outcome(pa.Table.from_pylist(rows, CAPTION_CANDIDATE.schema), refuse(CAPTION_CANDIDATE, rejects))


_VALID = "FROM labelled_image JOIN image ON image_id = sample_id ORDER BY sample_id"


def rank_captions(inputs: Inputs, context: Context) -> Outcome:
    """Return the scores of each caption; null after the step that dropped it.

    All captions of a sample are rejected if its image is not decoded, or if a scorer gives NaN or infinity for it.
    """
    params: RankParams = context.params
    samples = _samples(inputs)
    if not samples:  # the scorers are not loaded
        return Outcome(CAPTION_SCORE.schema.empty_table(), refuse(CAPTION_SCORE, []))
    first, second = context.tools["first_scorer"], context.tools["second_scorer"]
    ranking = Ranking(params.n_first, params.n_second, params.scorer_batch_size)

    def prepare(image: Image.Image) -> tuple[Any, Any, list[Any]]:
        views = [second.prepare(view) for view in turned_views(image, params.n_views)]
        return first.prepare(image), second.prepare(image), views

    def load(sample: Sample) -> Any:
        return load_located(sample[0], context.files, prepare)

    rows: list[dict[str, Any]] = []
    rejects: Rejects = []
    batches = cut(samples, params.scorer_batch_size)
    for batch, found in load_ahead(batches, load, context.resources.loaders):
        batch, loaded = without_faults(
            batch, found, lambda sample: [(sample[0]["sample_id"], n) for n in sample[1]], rejects
        )
        found.clear()
        images = _seen(batch, loaded, first, second)
        rank_images(images, first, second, ranking)
        for (located, _), image in zip(batch, images, strict=True):
            sample_id = located["sample_id"]
            if image.fault:
                rejects += [(sample_id, n, "model_not_finite", image.fault) for n in image.captions]
            else:
                rows += [{"sample_id": sample_id, "n": n, **columns} for n, columns in image.scores.items()]
        context.advance(len(rows) + len(rejects))
    return Outcome(pa.Table.from_pylist(rows, CAPTION_SCORE.schema), refuse(CAPTION_SCORE, rejects))


def _seen(
    batch: Sequence[Sample], loaded: list[tuple[Any, Any, list[Any]]], first: ImageTextScorer, second: ImageTextScorer
) -> list[Ranked]:
    """Return the images as the scorers see them; the loaded pictures are released: a batch's views take a gigabyte."""
    if not loaded:
        return []
    by_first, by_second, views = zip(*loaded, strict=True)
    loaded.clear()
    features = zip(first.image_features(by_first), second.image_features(by_second), views, strict=True)
    return [Ranked(captions, *seen) for (_, captions), seen in zip(batch, features, strict=True)]


def _samples(inputs: Inputs) -> list[Sample]:
    """Return samples with their captions, in the order of sample_id."""
    located = {row["sample_id"]: row for row in run_sql(_VALID, inputs).to_pylist()}
    captions: dict[str, dict[int, str]] = {}
    for row in inputs["caption_candidate"].sort_by([("sample_id", "ascending"), ("n", "ascending")]).to_pylist():
        captions.setdefault(row["sample_id"], {})[row["n"]] = row["candidate_caption"]
    return [(located[sample_id], texts) for sample_id, texts in captions.items()]


def _captioner_identity(params: DrawParams) -> Mapping[str, str]:
    return model_identity(params.captioner, params)


def _licence_identity(params: ChooseParams) -> Mapping[str, str]:
    return {"licence": caption_model_licence(params)}


def _open_captioner(params: DrawParams, resources: ModelResources) -> AbstractContextManager[Captioner]:
    return open_captioner(
        params.captioner, models=resources.models, device=resources.device, n_threads=params.captioner_n_threads
    )


def _scorer(name: str) -> Tool:
    """Return the tool that the setting of this name selects."""

    def identity(params: RankParams) -> Mapping[str, str]:
        return model_identity(getattr(params, name), params)

    def open_it(params: RankParams, resources: ModelResources) -> AbstractContextManager[ImageTextScorer]:
        return open_scorer(
            getattr(params, name),
            models=resources.models,
            device=resources.device,
            n_threads=params.scorer_n_threads,
        )

    return Tool(name, identity, open_it)


_LOCATED = (Reads("labelled_image", ("sample_id", *BODY)), Reads("image", ("image_id", *FOUND)))


def _off(params: TextParams) -> str:
    return "" if params.texts == "generated" else f"caption.texts = {params.texts}"


DRAW_CAPTIONS = Stage(
    name="draw_captions",
    module="caption",
    version=3,
    does="Draws captions for each valid labelled image by nucleus sampling, seeded by the sample's id.",
    reads=_LOCATED,
    writes=CAPTION_CANDIDATE,
    grain="fan_out",
    given=Given(query=f"SELECT sample_id {_VALID}", columns=("sample_id",), inputs=("labelled_image", "image")),
    run=draw_captions,
    params=DrawParams,
    resources=ModelResources,
    reasons=("model_not_finite", "decoding_failed"),
    tools=(Tool("captioner", _captioner_identity, _open_captioner),),
    partitions_from=("labelled_image",),
    has_model=True,
    memory_gb=MODEL_MEMORY_GB,
    off=_off,
    bytes_per_row=1_000,  # 20 captions of a sample
)

RANK_CAPTIONS = Stage(
    name="rank_captions",
    module="caption",
    version=4,
    does="Ranks the captions of a sample by two scorers, and measures how their cosines vary as the image rotates.",
    reads=(Reads("caption_candidate", ("sample_id", "n", "candidate_caption")), *_LOCATED),
    writes=CAPTION_SCORE,
    grain="map",
    given=Given("caption_candidate", ("sample_id", "n")),
    run=rank_captions,
    params=RankParams,
    resources=ModelResources,
    reasons=("model_not_finite", "decoding_failed"),
    tools=(_scorer("first_scorer"), _scorer("second_scorer")),
    partitions_from=("caption_candidate",),
    has_model=True,
    memory_gb=MODEL_MEMORY_GB,
    off=_off,
    bytes_per_row=40,
)

CHOOSE_CAPTIONS = Stage(
    name="choose_captions",
    module="caption",
    version=3,
    does="Chooses the caption with the highest rank and the one that varies least, and which of the two to publish.",
    reads=(
        Reads("caption_score", ("sample_id", "n", "second_rank", "rotation_variance")),
        Reads("caption_candidate", ("sample_id", "n", "candidate_caption")),
        Reads("labelled_image", ("sample_id", "released_caption")),
        Reads("image", ("image_id",)),
    ),
    writes=CAPTION,
    grain="map",
    given=Given(query=GIVEN, inputs=("caption_score", "labelled_image", "image")),
    run=choose_captions,
    params=ChooseParams,
    reasons=("no_caption_generated",),
    depends=(Dependency("caption_model", _licence_identity),),
    partitions_from=("labelled_image",),
)
