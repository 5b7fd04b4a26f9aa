"""Measures a detector: AUC, and shares of right decisions with intervals, by source and class.

Not for training it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from flows.detector.examples import Example
from flows.intervals import wilson

Floats = npt.NDArray[np.float64]
N_BINS = 10  # bins of the calibration table


@dataclass(frozen=True)
class Share:
    """Number of right decisions among some examples, with Wilson's 95 % interval."""

    name: str
    n_right: int
    n: int

    @property
    def share(self) -> float:
        """The share in [0, 1]; NaN without examples."""
        return self.n_right / self.n if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The interval; (0, 1) without examples."""
        if not self.n:
            return 0.0, 1.0
        found = wilson(self.n_right, self.n)
        return found.low, found.high

    def facts(self) -> dict[str, Any]:
        """Return the figures as plain values; the share is None without examples."""
        low, high = self.interval
        share = round(self.share, 4) if self.n else None  # NaN is no JSON
        return {**asdict(self), "share": share, "low": round(low, 4), "high": round(high, 4)}


def area_under_curve(is_rs: npt.NDArray[np.bool_], probs: Floats) -> float:
    """Return the probability that a remote sensing image scores above one of label other; NaN if a label is missing."""
    n_rs = int(is_rs.sum())
    if n_rs in (0, len(is_rs)):
        return float("nan")
    ranks = rankdata(probs)[is_rs].sum() - n_rs * (n_rs + 1) / 2
    return float(ranks / (n_rs * (len(is_rs) - n_rs)))


def choose_threshold(is_rs: npt.NDArray[np.bool_], probs: Floats) -> float:
    """Return the threshold that maximises the smaller of two shares: remote sensing kept, and others rejected.

    Args:
        is_rs: bool [n], whether each image is remote sensing.
        probs: float64 [n], probabilities by models that were not trained on the example's class.
    """
    candidates = np.unique(np.concatenate([np.arange(1, 1000) / 1000, np.round(probs, 3)]))
    rs, others = np.sort(probs[is_rs]), np.sort(probs[~is_rs])
    kept = 1 - np.searchsorted(rs, candidates, "left") / max(1, len(rs))
    refused = np.searchsorted(others, candidates, "left") / max(1, len(others))
    worse = np.minimum(kept, refused)
    best = candidates[worse >= worse.max() - 1e-12]
    return float(best[len(best) // 2])


def measure(examples: Sequence[Example], probs: Floats, threshold: float) -> dict[str, Any]:
    """Return the figures of some examples at a threshold, as plain values.

    Args:
        examples: examples that the detector was not trained on.
        probs: float64 [n], one probability per example.
        threshold: lowest probability that counts as remote sensing.
    """
    is_rs = np.array([example.is_rs for example in examples], bool)
    right = (probs >= threshold) == is_rs

    def shares(name_of: Any, chosen: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
        names = np.array([name_of(example) for example in examples], object)
        return [
            Share(str(name), int(right[chosen & (names == name)].sum()), int((chosen & (names == name)).sum())).facts()
            for name in sorted(set(names[chosen]))
        ]

    kept = Share("remote sensing kept", int(right[is_rs].sum()), int(is_rs.sum()))
    refused = Share("others refused", int(right[~is_rs].sum()), int((~is_rs).sum()))
    n_called = int((probs >= threshold).sum())
    auc = area_under_curve(is_rs, probs)
    return {
        "n": len(examples),
        "auc": None if np.isnan(auc) else round(auc, 4),
        "threshold": round(threshold, 4),
        "kept_rs": kept.facts(),
        "refused_other": refused.facts(),
        "accuracy": Share("accuracy", int(right.sum()), len(right)).facts(),
        "precision": Share("precision", kept.n_right, n_called).facts(),
        "sources": shares(lambda e: f"{e.label}: {e.source}", np.ones(len(is_rs), bool)),
        "classes_rs": shares(lambda e: e.name, is_rs),
        "classes_other": shares(lambda e: e.name, ~is_rs),
        "calibration": calibrate(is_rs, probs),
    }


def calibrate(is_rs: npt.NDArray[np.bool_], probs: Floats) -> list[dict[str, Any]]:
    """Return per tenth of the probability range: number of examples, mean probability, and share of remote sensing."""
    bins = np.minimum((probs * N_BINS).astype(int), N_BINS - 1)
    return [
        {
            "from": number / N_BINS,
            "n": int((bins == number).sum()),
            "mean_probability": round(float(probs[bins == number].mean()), 4),
            "share_rs": round(float(is_rs[bins == number].mean()), 4),
        }
        for number in range(N_BINS)
        if (bins == number).any()
    ]
