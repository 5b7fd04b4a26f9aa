"""Match: compares each image with its own caption, by the stored feature and one pass of the model's text encoder.

Not for choosing among drawn captions: caption does so, with models of its own.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from schemas.tables import CAPTION_MATCH, CAPTION_RANK, OWN_CAPTION
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, no_rejects
from stages.embed.cosines import cosines, read_features
from stages.embed.stage import SCORER, EmbedParams, ModelChoice, ModelResources
from stages.images.ahead import cut
from stages.models.opening import MODEL_MEMORY_GB, NONE
from stages.models.protocols import Floats, ImageTextScorer
from stages.rows import query_rows, run_sql

SECTION = "embed"  # the same model, so the same settings
_TEXTS_AN_IMAGE = 8  # a text costs the published scorers less than an eighth of an image


class MatchSwitch(ModelChoice):
    """Whether images are compared with their captions."""

    match_captions: bool = Field(
        True, description="compare each published image with its caption, by the same model: one pass over the captions"
    )


class MatchParams(EmbedParams, MatchSwitch):
    """Whether images are compared with their captions, and how the model runs."""


class TierParams(MatchSwitch):
    """Among which samples a tier is a share."""

    tier_scope: Literal["corpus", "all"] = Field(
        "corpus", description="samples of which a tier is a share: those of the corpus, or all"
    )  # cosines of drawn captions, which were chosen by such a cosine, and of texts of the web are not comparable


def list_own_captions(inputs: Inputs, context: Context) -> Outcome:
    """Return the caption of each remaining sample, without its meta caption, and its picture, by embed's partitions."""
    kept = query_rows(_CAPTIONS, inputs)
    return Outcome(kept.cast(OWN_CAPTION.schema), no_rejects(OWN_CAPTION))


_GIVEN = "SELECT sample_id FROM relevant UNION ALL SELECT sample_id FROM caption"
_CAPTIONS = """
    WITH text AS (
        SELECT sample_id, image_id, caption AS own_caption FROM relevant JOIN candidate USING (sample_id)
        UNION ALL SELECT sample_id, sample_id, generated_caption FROM caption
    )
    SELECT sample_id, pixel_sha256, own_caption, picture.partition
    FROM text JOIN image USING (image_id) JOIN picture USING (pixel_sha256)
    ORDER BY partition, sample_id
"""


def match_captions(inputs: Inputs, context: Context) -> Outcome:
    """Return the cosine of each sample's picture and caption; null if the model gave no finite feature of either.

    Each distinct caption of the partition is encoded once. The model cuts captions that are longer than its input
    (CLIP: 77 tokens, SigLIP: 64), so that the cosine is that of their beginning.

    Raises:
        ContractError: the features differ in length from those of the texts.
    """
    rows = inputs["own_caption"]
    numbers = {text: n for n, text in enumerate(sorted(set(rows["own_caption"].to_pylist())))}
    texts = encode_texts(list(numbers), context)
    places = {key: n for n, key in enumerate(inputs["embedding"]["pixel_sha256"].to_pylist())}
    features = read_features(inputs["embedding"], texts.shape[1], "caption features")
    pictures = np.array([places.get(key, -1) for key in rows["pixel_sha256"].to_pylist()], np.int64)
    own = np.array([numbers[text] for text in rows["own_caption"].to_pylist()], np.int64)
    values, has_feature = np.full(rows.num_rows, np.nan), pictures >= 0
    values[has_feature] = cosines(features[pictures[has_feature]], texts[own[has_feature]])
    found = pa.array(values, mask=~np.isfinite(values))
    kept = pa.table([rows["sample_id"], found], schema=CAPTION_MATCH.schema)
    return Outcome(kept, no_rejects(CAPTION_MATCH))


def encode_texts(texts: Sequence[str], context: Context) -> Floats:
    """Return the L2-normalised text features, float32 [n, dim], in batches of eight texts per picture of a batch."""
    scorer: ImageTextScorer = context.tools["scorer"]
    found, n_done = [np.zeros((0, scorer.dim), np.float32)], 0
    for batch in cut(texts, _TEXTS_AN_IMAGE * context.params.batch_size):
        found.append(scorer.text_features(batch))
        n_done += len(batch)
        context.advance(n_done)
    return np.concatenate(found)


def rank_matches(inputs: Inputs, context: Context) -> Outcome:
    """Return the share of samples that match at least as well as each sample, in its corpus or over all.

    A sample is in the tier "top 30 %" if its share is at most .3; equal cosines have equal shares. By default tiers are
    shares of a corpus: they keep its weight in the mixture, and captions of one kind are compared with each other.
    """
    scope = "corpus" if context.params.tier_scope == "corpus" else "0"
    found = run_sql(_RANKS.format(scope=scope), inputs)
    return Outcome(found.select(CAPTION_RANK.schema.names).cast(CAPTION_RANK.schema), no_rejects(CAPTION_RANK))


_RANKS = """
    SELECT sample_id, caption_cos,
           CASE WHEN caption_cos IS NOT NULL
                THEN cume_dist() OVER (PARTITION BY {scope}, caption_cos IS NULL ORDER BY caption_cos DESC)
           END AS caption_top_share
    FROM caption_match JOIN sample USING (sample_id) ORDER BY sample_id
"""


def _off(params: MatchSwitch) -> str:
    if params.model == NONE:
        return f"embed.model = {NONE}"
    return "" if params.match_captions else "embed.match_captions = false"


LIST_OWN_CAPTIONS = Stage(
    name="list_own_captions",
    module="match",
    version=1,
    does="Lists the caption of each remaining sample with its picture.",
    reads=(
        Reads("relevant", ("sample_id", "image_id"), is_whole=True),
        Reads("candidate", ("sample_id", "caption"), is_whole=True),
        Reads("caption", ("sample_id", "generated_caption"), is_whole=True),
        Reads("image", ("image_id", "pixel_sha256"), is_whole=True),
        Reads("picture", ("pixel_sha256", "partition"), is_whole=True),
    ),
    writes=OWN_CAPTION,
    grain="map",
    given=Given(query=_GIVEN, inputs=("relevant", "caption")),
    run=list_own_captions,
    is_queried=True,
    params=MatchSwitch,
    off=_off,
    split_by="partition",
    section=SECTION,
)

MATCH_CAPTIONS = Stage(
    name="match_captions",
    module="match",
    version=2,
    does="Compares each picture's feature with that of the sample's own caption, in one forward pass per caption.",
    reads=(
        Reads("own_caption", ("sample_id", "pixel_sha256", "own_caption")),
        Reads("embedding", ("pixel_sha256", "image_feature")),
    ),
    writes=CAPTION_MATCH,
    grain="map",
    given=Given("own_caption", ("sample_id",)),
    run=match_captions,
    params=MatchParams,
    resources=ModelResources,
    tools=(SCORER,),
    partitions_from=("own_caption",),
    has_model=True,
    memory_gb=MODEL_MEMORY_GB,
    off=_off,
    section=SECTION,
)

RANK_MATCHES = Stage(
    name="rank_matches",
    module="match",
    version=1,
    does="Ranks the samples by the match of image and caption, within their corpus or over all.",
    reads=(
        Reads("caption_match", ("sample_id", "caption_cos"), is_whole=True),
        Reads("sample", ("sample_id", "corpus"), is_whole=True),
    ),
    writes=CAPTION_RANK,
    grain="map",
    given=Given("caption_match", ("sample_id",)),
    run=rank_matches,
    is_queried=True,
    params=TierParams,
    off=_off,
    section=SECTION,
)
