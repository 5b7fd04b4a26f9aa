"""Choose both thresholds together, to keep the most remote sensing images at a given precision.

Not for computing scores or reading labels.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.detector.measure import Share
from stages.contract import InputError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
NO_LIMIT = {"vlm": -1.0, "detector": 0.0}  # the minima of a cosine and a probability
N_FOLDS = 5
_N_CANDIDATES = 500  # number of image-text thresholds tried, each with all detector thresholds
_STEPS = 1e6  # thresholds are rounded down to six decimals, as profiles show them


@dataclass(frozen=True)
class Thresholds:
    """The lowest scores that are kept; None for a model that is not in use, which rejects nothing."""

    vlm: float | None
    detector: float | None

    def keeps(self, scores: Scores) -> Bools:
        """Return whether each image reaches the thresholds; as in the outlier stage, one without a score does not."""
        kept = np.ones(len(scores.is_rs), bool)
        for values, least in ((scores.vlm, self.vlm), (scores.detector, self.detector)):
            if values is not None and least is not None:
                kept &= values >= least  # false for NaN
        return kept


@dataclass(frozen=True)
class Scores:
    """Labelled images with their scores.

    Attributes:
        names: names of the images.
        is_rs: bool [n], whether each is a remote sensing image.
        vlm: cosines, float64 [n] in [-1, 1], NaN if missing; None if the model is not in use.
        detector: probabilities, float64 [n] in [0, 1], NaN if missing; None if the model is not in use.
    """

    names: Sequence[str]
    is_rs: Bools
    vlm: Floats | None
    detector: Floats | None

    def take(self, chosen: Bools) -> Scores:
        """Return some of the images."""
        vlm, detector = (None if values is None else values[chosen] for values in (self.vlm, self.detector))
        return Scores(
            [n for n, is_in in zip(self.names, chosen, strict=True) if is_in], self.is_rs[chosen], vlm, detector
        )


def choose(scores: Scores, precision: float) -> Thresholds:
    """Return the thresholds that keep the most remote sensing images with at least the given precision.

    Ties are broken by higher precision, then by lower thresholds.

    Args:
        scores: scores of labelled images of both labels.
        precision: minimum share of remote sensing images among the kept, in (0, 1].

    Raises:
        InputError: no thresholds reach the precision; names the highest precision reached.
    """
    nothing = np.zeros(len(scores.is_rs))
    vlm = nothing if scores.vlm is None else np.nan_to_num(scores.vlm, nan=-math.inf)
    detector = nothing if scores.detector is None else np.nan_to_num(scores.detector, nan=-math.inf)
    best, highest = (-1, 0.0, 0.0, 0.0), 0.0
    for least in _candidates(vlm):
        found, reached = _best_of_detector(scores.is_rs, detector, vlm >= least, precision)
        highest = max(highest, reached)
        if found is not None and found[:2] > best[:2]:
            best = (*found[:2], float(least), found[2])
    if best[0] < 1:
        raise InputError(
            f"no thresholds reach a precision of {precision:.1%} on these {len(scores.is_rs):,} images: the best reach"
            f" {highest:.1%}. State a lower one with PRECISION=…, train the detector on more images of the kinds"
            " that it mistakes, or check the labels of its worst mistakes"
        )
    return Thresholds(
        None if scores.vlm is None else _round(best[2], vlm, NO_LIMIT["vlm"]),
        None if scores.detector is None else _round(best[3], detector, NO_LIMIT["detector"]),
    )


def _candidates(values: Floats) -> Floats:
    distinct: Floats = np.unique(values[np.isfinite(values)])
    if len(distinct) <= _N_CANDIDATES:
        return distinct
    chosen: Floats = distinct[np.linspace(0, len(distinct) - 1, _N_CANDIDATES).astype(int)]
    return chosen


def _best_of_detector(
    is_rs: Bools, detector: Floats, passed: Bools, precision: float
) -> tuple[tuple[int, float, float] | None, float]:
    """Return the best threshold as (images of remote sensing kept, precision, threshold), and the highest precision."""
    values, labels = detector[passed], is_rs[passed]
    order = np.argsort(-values, kind="stable")
    values, right = values[order], np.cumsum(labels[order])
    is_end = np.append(values[:-1] != values[1:], np.ones(min(1, len(values)), bool))  # equal scores go together
    ends = np.flatnonzero(is_end & np.isfinite(values))
    if not len(ends):
        return None, 0.0
    precisions = right[ends] / (ends + 1)
    reached = ends[precisions >= precision]
    if not len(reached):
        return None, float(precisions.max())
    last = reached[np.searchsorted(right[reached], right[reached[-1]])]  # the first with the most: fewest others
    return (int(right[last]), float(right[last] / (last + 1)), float(values[last])), float(precisions.max())


def _round(least: float, values: Floats, no_limit: float) -> float:
    """Return a threshold rounded down to six decimals; no_limit if no image is below it."""
    if least <= values.min():
        return no_limit
    return math.floor(least * _STEPS) / _STEPS


def measure(scores: Scores, kept: Bools) -> tuple[Share, Share]:
    """Return precision (remote sensing among the kept) and recall (kept among remote sensing)."""
    right = int((kept & scores.is_rs).sum())
    return Share("precision", right, int(kept.sum())), Share("recall", right, int(scores.is_rs.sum()))


def cross_measure(scores: Scores, precision: float) -> tuple[Share, Share] | None:
    """Return precision and recall by five-fold cross-validation; folds are hashes of the names.

    None if a fold lacks a label or cannot reach the precision.
    """
    folds = np.array([int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % N_FOLDS for name in scores.names])
    kept = np.zeros(len(folds), bool)
    for fold in range(N_FOLDS):
        known = scores.take(folds != fold)
        if known.is_rs.all() or not known.is_rs.any():
            return None
        try:
            thresholds = choose(known, precision)
        except InputError:
            return None
        kept[folds == fold] = thresholds.keeps(scores.take(folds == fold))
    return measure(scores, kept)
