"""Scores of labelled images: stored by a build, or computed here with the profile's models.

Not for choosing thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.ask.views import open_views
from flows.calibrate.thresholds import Floats, Scores
from flows.detector.digests import NONE, Digests, digest_images, stored_digests
from flows.detector.examples import Example
from flows.detector.views import ImagesRead, read_images
from flows.ledger.ledger import Ledger
from schemas.manifests import load_prompts
from stages.contract import InputError, Stage
from stages.embed.cosines import cosines
from stages.embed.stage import EMBED
from stages.models.protocols import Detector, ImageTextScorer
from stages.outliers.scores import SCORE_DETECTOR, SCORE_VLM, chosen_prompts, mean_direction

Row = tuple[str, bool, float, float]  # name, whether it is remote sensing, cosine, probability
_BATCH = 32
_TABLES = ("sample", "image", "embedding", "prompt", "detector_score", "vlm_score", "keypoint_summary")


@dataclass(frozen=True)
class Models:
    """Which of the two models are in use."""

    has_vlm: bool
    has_detector: bool

    @classmethod
    def of(cls, ledger: Ledger) -> Models:
        """Return the models in a build's settings. Raises InputError if there is none."""
        found = cls(*(not ledger.why_off(ledger.writer[table]) for table in ("vlm_score", "detector_score")))
        if not found.has_vlm and not found.has_detector:
            raise InputError('embed.model and outliers.detector are "none": there is no score to set a threshold for')
        return found

    def scores(self, rows: Sequence[Row]) -> Scores:
        """Return labelled images with the scores of the models in use; NaN for a missing score."""
        names, is_rs, vlm, prob = zip(*rows, strict=True) if rows else ((), (), (), ())
        return Scores(
            names, np.array(is_rs, bool),
            np.array(vlm, np.float64) if self.has_vlm else None,
            np.array(prob, np.float64) if self.has_detector else None,
        )  # fmt: skip


@dataclass(frozen=True)
class Scored:
    """Labelled images with their scores, and how many more there are.

    Attributes:
        scores: the scores.
        n_seen: images left out because the detector was trained on them.
        n_invalid: names without a valid image.
        not_read: why each file that was left out cannot be decoded, with its path.
    """

    scores: Scores
    n_seen: int
    n_invalid: int = 0
    not_read: Sequence[str] = ()


def stored_scores(ledger: Ledger, labels: Mapping[str, bool], seen: Digests = NONE, n_labelled: int = 0) -> Scored:
    """Return the stored scores of labelled samples or images, each image once.

    Args:
        ledger: of the build.
        labels: whether an image is remote sensing, by sample_id or image_id.
        seen: digests of the images that the detector was trained on.
        n_labelled: rows of the table with these names, for messages; 0 if it has no others.

    Raises:
        InputError: the build does not know a name, an image has both labels, or scores are not up to date.
    """
    models = Models.of(ledger)
    for table in ("vlm_score", "detector_score"):
        state = ledger.state(ledger.writer[table])
        if not state.is_complete:
            raise InputError(f"{state.blocked or ledger.describe_due(state)}, then calibrate")
    found = _rows_of(ledger, list(labels))
    if unknown := sorted(set(labels) - {name for name, *_ in found}):
        raise InputError(
            f"{len(unknown):,} of {n_labelled or len(labels):,} labelled names are neither files nor a sample_id or"
            f" image_id of {ledger.store.root}, such as {unknown[0]}"
        )
    valid = [row for row in found if row[1] is not None]
    pictures: dict[str, tuple[Any, ...]] = {}
    for name, pixels, vlm, prob, *_ in valid:
        row = (labels[name], *(math.nan if value is None else value for value in (vlm, prob)))
        if pictures.setdefault(pixels, row)[0] != labels[name]:
            raise InputError(f"{name} shows the same picture as a name with the other label. Correct one label")
    digests = stored_digests(*([row[column] for row in valid] for column in range(4, 8)))
    used = {row[1] for row, is_seen in zip(valid, seen.find(digests), strict=True) if is_seen}
    rows: list[Row] = [(name, *pictures[name]) for name in sorted(pictures.keys() - used)]  # type: ignore[misc]
    return Scored(models.scores(rows), len(used), len(found) - len(valid))


def _rows_of(ledger: Ledger, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return name, pixel_sha256, cosine, probability and the columns of stored_digests of each known name."""
    import pyarrow as pa

    with open_views(ledger, [ledger.writer[table] for table in _TABLES]) as db:
        db.register("labelled", pa.table({"name": pa.array(names, pa.string())}))
        return db.execute(
            "SELECT DISTINCT name, pixel_sha256, vlm_score_cos, detector_prob, body_sha256, phash, window_hashes,"
            " window_details FROM labelled"
            " JOIN (SELECT sample_id AS name, image_id FROM sample UNION SELECT image_id, image_id FROM sample)"
            " USING (name) LEFT JOIN image USING (image_id) LEFT JOIN vlm_score USING (pixel_sha256)"
            " LEFT JOIN detector_score USING (pixel_sha256) LEFT JOIN keypoint_summary USING (pixel_sha256)"
            " ORDER BY name"
        ).fetchall()


def score_images(
    ledger: Ledger, examples: Sequence[Example], advance: Callable[[int], None], seen: Digests = NONE
) -> Scored:
    """Return labelled images in files with their scores by the build's models.

    Args:
        ledger: of the build.
        examples: the images.
        advance: takes the number of images done.
        seen: digests of the images that the detector was trained on.

    Raises:
        InputError: a model is missing.
    """
    models = Models.of(ledger)
    rows: list[Row] = []
    not_read: list[str] = []
    n_done = 0
    with ExitStack() as stack:
        detector: Detector | None = _open(ledger, SCORE_DETECTOR, stack) if models.has_detector else None
        scorer: ImageTextScorer | None = _open(ledger, EMBED, stack) if models.has_vlm else None
        direction = None if scorer is None else _direction(ledger, scorer)
        for batch in _batches(examples):
            read = read_images(batch)
            not_read += read.not_read
            unseen = _take_unseen(read, seen)
            images = unseen.images
            vlm, probs = np.full(len(images), np.nan), np.full(len(images), np.nan)
            if detector is not None and images:
                probs = detector.probabilities([detector.prepare(image) for image in images]).astype(np.float64)
            if scorer is not None and direction is not None and images:
                features = scorer.image_features([scorer.prepare(image) for image in images])
                vlm = cosines(features, direction)
            known = [(str(example.path), example.is_rs) for example in unseen.examples]
            rows += [(*one, *scores) for one, *scores in zip(known, vlm, probs, strict=True)]  # type: ignore[misc]
            n_done += len(batch)
            advance(n_done)
    return Scored(models.scores(rows), len(examples) - len(rows) - len(not_read), not_read=not_read)


def _take_unseen(read: ImagesRead, seen: Digests) -> ImagesRead:
    """Return the images that the detector was not trained on."""
    return read.take(np.flatnonzero(~seen.find(digest_images(read.files, read.images))).tolist())


def _batches(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), _BATCH):
        yield examples[start : start + _BATCH]


def _open(ledger: Ledger, stage: Stage, stack: ExitStack) -> Any:
    """Return the model that a stage gets with the build's settings."""
    return stack.enter_context(stage.tools[0].open(*ledger.settings.by_stage[stage.name]))


def _direction(ledger: Ledger, scorer: ImageTextScorer) -> Floats:
    params: Any = ledger.settings.params(SCORE_VLM)
    texts = load_prompts().all_texts()
    features = scorer.text_features(texts, is_normalised=False).astype(np.float32)
    return mean_direction(features[chosen_prompts(texts, params.prompt_grammar)], params.prompt_average)
