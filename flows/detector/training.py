"""Train a detector on a folder of images and measure it on unseen images, classes and sources.

Three disjoint sets: training, what is left out to choose the threshold (whole classes, if a label has enough of them),
and test images for the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from flows.detector.copies import CopyFinder
from flows.detector.digests import Digests, digest_images, join_digests
from flows.detector.examples import Example
from flows.detector.groups import N_FOLDS, fold_left_out, group_examples, is_apart, split
from flows.detector.learners import Learner
from flows.detector.manifest import LABELS
from flows.detector.measure import choose_threshold, measure
from flows.detector.views import VIEWS, open_image, read_images, view
from flows.detector.weather import N_DRAWN, draw_weather
from stages.contract import InputError
from stages.plurals import briefly, counted

SEED = "detector"
N_NAMED = 3  # names in a message
_CHUNK = 32
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """A detector and its figures.

    Attributes:
        model: the learner's model.
        metrics: plain values, written as metrics.json.
        test: indices of the examples used neither for training nor for the threshold.
        probs: probabilities of all examples, float64 [n].
        parts: split of each example: train, val or test.
    """

    model: Any
    metrics: dict[str, Any]
    test: npt.NDArray[np.int64]
    probs: Floats
    parts: Sequence[str]


@dataclass(frozen=True)
class Prepared:
    """The images that were read.

    Attributes:
        examples: those whose image can be decoded.
        digests: of these.
        sizes: width, height and aspect ratio of these, float64 [n, 3].
        not_read: why each other image was left out, with its path.
    """

    examples: Sequence[Example]
    digests: Digests
    sizes: Floats
    not_read: Sequence[str]


def prepare(examples: Sequence[Example], learners: Sequence[Learner], advance: Callable[[int], None]) -> Prepared:
    """Add all views of the images that can be decoded, and drawn weather, to the learners.

    Raises:
        InputError: no image of a label can be decoded.
    """
    kept: list[Example] = []
    not_read: list[str] = []
    digests, sizes = [], []
    copies = CopyFinder()
    for start in range(0, len(examples), _CHUNK):
        all_read = read_images(examples[start : start + _CHUNK])
        chunk, images = all_read.examples, all_read.images
        kept += chunk
        not_read += all_read.not_read
        digests.append(digest_images(all_read.files, images))
        copies.add(images)
        sizes += [(image.width, image.height, image.width / image.height) for image in images]
        for name in VIEWS if images else ():
            shown = [view(image, name, example.path.name) for image, example in zip(images, chunk, strict=True)]
            for learner in learners:
                learner.add(name, shown)
        advance(min(start + _CHUNK, len(examples)))
    if missing := [label for label in LABELS if not any(example.label == label for example in kept)]:
        raise InputError(f"no image of label {missing[0]} can be read: {briefly(not_read, N_NAMED, '; ')}")
    drawn = [draw_weather(seed) for seed in range(N_DRAWN)]
    for learner in learners:
        learner.add_weather(drawn)
    return Prepared(kept, join_digests(digests, copies.pairs()), np.array(sizes, np.float64), not_read)


def train(learner: Learner, examples: Sequence[Example], digests: Digests, *, is_leaving_sources_out: bool) -> Trained:
    """Return a detector trained on eight tenths of the examples, train and val, and measured on two tenths.

    Nothing is chosen on val: passes are fixed, and folds of the eight tenths give the threshold.

    Args:
        learner: has all views of all examples.
        examples: the examples.
        digests: their digests.
        is_leaving_sources_out: whether to train again without each source, one at a time.

    Raises:
        InputError: there are too few images to train and measure each label.
    """
    groups = np.array(group_examples(examples, digests))
    parts = split(examples, groups.tolist(), SEED)
    is_test = np.array([part == "test" for part in parts])
    is_rs = np.array([example.is_rs for example in examples])
    _check_split(examples, is_test)
    folds = fold_left_out(examples, groups, ~is_test, SEED)
    left_out = _score_left_out(learner, examples, folds.numbers, groups, ~is_test)
    threshold = choose_threshold(is_rs[~is_test], left_out[~is_test])
    model = learner.fit(examples, ~is_test)
    probs = learner.probabilities(model, VIEWS[0])
    test = np.flatnonzero(is_test)
    metrics = {
        "detector": learner.name,
        **measure([examples[n] for n in test.tolist()], probs[test], threshold),
        "n_trained_on": int((~is_test).sum()),
        "n_drawn": N_DRAWN,
        "left_out": folds.describe(),
        "classes_left_out": measure(
            [examples[n] for n in np.flatnonzero(~is_test).tolist()], left_out[~is_test], threshold
        ),
        "marked": _measure_marked(learner, model, examples, test, threshold),
    }
    if is_leaving_sources_out:
        metrics["sources_left_out"] = _leave_sources_out(learner, examples, groups, threshold)
    return Trained(model, metrics, test, probs, parts)


def _check_split(examples: Sequence[Example], is_test: npt.NDArray[np.bool_]) -> None:
    """Raise InputError unless both labels are trained on and measured."""
    is_rs = np.array([example.is_rs for example in examples])
    for label in LABELS:
        is_label = is_rs == (label == LABELS[0])
        if not (is_label & is_test).any() or not (is_label & ~is_test).any():
            raise InputError(
                f"label {label} has {counted(int(is_label.sum()), 'image')}, too few to train and to measure: two"
                " tenths of each label are measured, and near duplicates stay together. Expected at least 100"
            )


def _score_left_out(
    learner: Learner, examples: Sequence[Example], folds: npt.NDArray[np.int64], groups: npt.NDArray[np.int64],
    is_known: npt.NDArray[np.bool_],
) -> Floats:  # fmt: skip
    """Return the probability of every example by a model trained without its fold and near duplicates of it."""
    found = np.zeros(len(folds))
    for number in range(N_FOLDS):
        is_out = folds == number
        model = learner.fit(examples, is_known & is_apart(groups, is_out))
        found[is_out] = learner.probabilities(model, VIEWS[0])[is_out]
    return found


def _leave_sources_out(
    learner: Learner, examples: Sequence[Example], groups: npt.NDArray[np.int64], threshold: float
) -> list[dict[str, Any]]:
    """Return for each source the share of right decisions by a model trained without it and near duplicates of it."""
    rows = []
    names = np.array([f"{example.label}: {example.source}" for example in examples], object)
    is_rs = np.array([example.is_rs for example in examples])
    for name in sorted(set(names)):
        is_out = names == name
        chosen = is_apart(groups, is_out)
        if len(set(is_rs[chosen])) < len(LABELS):
            continue  # no other source has its label
        probs = learner.probabilities(learner.fit(examples, chosen), VIEWS[0])
        rows += measure([e for e, out in zip(examples, is_out, strict=True) if out], probs[is_out], threshold)[
            "sources"
        ]
    return rows


def _measure_marked(
    learner: Learner, model: Any, examples: Sequence[Example], test: npt.NDArray[np.int64], threshold: float
) -> list[dict[str, Any]]:
    """Return the shares of right decisions on test images with a drawn frame or text, by label."""
    probs = learner.probabilities(model, "marked")[test]
    found = measure([examples[n] for n in test.tolist()], probs, threshold)
    return [found["kept_rs"], found["refused_other"]]


def thumbnail(path: Path, side_px: int = 96) -> Image.Image:
    """Return a copy of an image with its longest side at most side_px."""
    image = open_image(path)
    image.thumbnail((side_px, side_px))
    return image
