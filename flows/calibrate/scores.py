"""Scores of labelled images: stored by a build, or computed here with the profile's models.

Not for choosing thresholds.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flows.ask.views import open_views
from flows.calibrate.thresholds import Floats, Scores
from flows.detector.examples import Example
from flows.detector.views import open_image
from flows.ledger.ledger import Ledger
from schemas.manifests import load_prompts
from stages.contract import InputError, Stage
from stages.embed.cosines import cosines
from stages.embed.stage import EMBED
from stages.models.protocols import Detector, ImageTextScorer
from stages.outliers.scores import SCORE_DETECTOR, SCORE_VLM, chosen_prompts, mean_direction

Row = tuple[str, bool, float, float]  # name, whether it is remote sensing, cosine, probability
_BATCH = 32
_TABLES = ("sample", "image", "embedding", "prompt", "detector_score", "vlm_score")
_USED = "trained_on.csv"  # beside a trained detector: split, label, class and file


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


def stored_scores(ledger: Ledger, labels: Mapping[str, bool]) -> tuple[Scores, int]:
    """Return the stored scores of labelled samples or images, each image once, and the number without a valid image.

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
            f"{len(unknown):,} of {len(labels):,} labelled names are neither files nor a sample_id or image_id of"
            f" {ledger.store.root}, such as {unknown[0]}"
        )
    pictures: dict[str, tuple[Any, ...]] = {}
    for name, pixels, vlm, prob in found:
        if pixels is not None:
            row = (labels[name], *(math.nan if value is None else value for value in (vlm, prob)))
            if pictures.setdefault(pixels, row)[0] != labels[name]:
                raise InputError(f"{name} shows the same picture as a name with the other label. Correct one label")
    rows: list[Row] = [(name, *pictures[name]) for name in sorted(pictures)]  # type: ignore[misc]
    return models.scores(rows), sum(pixels is None for _, pixels, *_ in found)


def _rows_of(ledger: Ledger, names: Sequence[str]) -> list[tuple[str, str | None, float | None, float | None]]:
    import pyarrow as pa

    with open_views(ledger, [ledger.writer[table] for table in _TABLES]) as db:
        db.register("labelled", pa.table({"name": pa.array(names, pa.string())}))
        return db.execute(
            "SELECT DISTINCT name, pixel_sha256, vlm_score_cos, detector_prob FROM labelled"
            " JOIN (SELECT sample_id AS name, image_id FROM sample UNION SELECT image_id, image_id FROM sample)"
            " USING (name) LEFT JOIN image USING (image_id) LEFT JOIN vlm_score USING (pixel_sha256)"
            " LEFT JOIN detector_score USING (pixel_sha256) ORDER BY name"
        ).fetchall()


def score_images(ledger: Ledger, examples: Sequence[Example], advance: Callable[[int], None]) -> Scores:
    """Return labelled images in files with their scores by the build's models.

    Raises:
        InputError: an image cannot be decoded, or a model is missing.
    """
    models = Models.of(ledger)
    vlm: list[Floats] = []
    probs: list[Floats] = []
    with ExitStack() as stack:
        detector: Detector | None = _open(ledger, SCORE_DETECTOR, stack) if models.has_detector else None
        scorer: ImageTextScorer | None = _open(ledger, EMBED, stack) if models.has_vlm else None
        direction = None if scorer is None else _direction(ledger, scorer)
        for batch in _batches(examples):
            images = [open_image(example.path) for example in batch]
            if detector is not None:
                probs.append(detector.probabilities([detector.prepare(image) for image in images]).astype(np.float64))
            if scorer is not None and direction is not None:
                features = scorer.image_features([scorer.prepare(image) for image in images])
                vlm.append(cosines(features, direction))
            advance(sum(map(len, probs or vlm)))
    columns = [np.concatenate(rows) if rows else np.full(len(examples), np.nan) for rows in (vlm, probs)]
    named = [(str(example.path), example.is_rs) for example in examples]
    return models.scores([(*known, *scores) for known, *scores in zip(named, *columns, strict=True)])


def _batches(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), _BATCH):
        yield examples[start : start + _BATCH]


def unseen(ledger: Ledger, examples: Sequence[Example]) -> list[Example]:
    """Return the images that the user's own detector was not trained on, according to the list in its folder."""
    params: Any = ledger.settings.params(SCORE_DETECTOR)
    resources: Any = ledger.settings.resources(SCORE_DETECTOR)
    path = Path(resources.models) / params.detector / _USED
    if not path.is_file():
        return list(examples)
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["part"] != "test"]
    used = {(row["label"], row["class"], row["file"]) for row in rows}
    return [example for example in examples if (example.label, example.name, example.path.name) not in used]


def _open(ledger: Ledger, stage: Stage, stack: ExitStack) -> Any:
    """Return the model that a stage gets with the build's settings."""
    return stack.enter_context(stage.tools[0].open(*ledger.settings.by_stage[stage.name]))


def _direction(ledger: Ledger, scorer: ImageTextScorer) -> Floats:
    params: Any = ledger.settings.params(SCORE_VLM)
    texts = load_prompts().all_texts()
    features = scorer.text_features(texts, is_normalised=False).astype(np.float32)
    return mean_direction(features[chosen_prompts(texts, params.prompt_grammar)], params.prompt_average)
