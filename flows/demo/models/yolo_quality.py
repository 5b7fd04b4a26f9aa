"""Measures a detector: accuracy, AUC, a threshold, and a baseline that sees only the image's size."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from flows.detector.measure import area_under_curve


@dataclass(frozen=True)
class Measured:
    """Share of right decisions at a threshold, and area under the ROC curve; both in [0, 1]."""

    right: float
    auc: float

    @classmethod
    def of(cls, is_positive: np.ndarray, probs: np.ndarray, threshold: float) -> Self:
        """Compare probabilities with the true classes."""
        return cls(float(((probs >= threshold) == is_positive).mean()), area_under_curve(is_positive, probs))


def choose_threshold(probs: np.ndarray, is_positive: np.ndarray) -> float:
    """Return the threshold with the most right decisions, from 0.01 to 0.99; of equally good ones, the middle one."""
    candidates = np.arange(1, 100) / 100
    n_right = np.array([((probs >= candidate) == is_positive).sum() for candidate in candidates])
    best = candidates[n_right == n_right.max()]
    return float(best[len(best) // 2])


class Sized(Protocol):
    """Pictures with known sizes and classes."""

    @property
    def sizes(self) -> np.ndarray:
        """Width and height in px, and aspect; one row per picture."""

    @property
    def is_from_above(self) -> np.ndarray:
        """Whether each picture is a view from above."""


def guess_from_sizes(trained_on: Sized, sizes: np.ndarray) -> np.ndarray:
    """Return the probabilities of a logistic regression on width, height and aspect alone.

    Args:
        trained_on: pictures to fit the regression to.
        sizes: width and height in px, and aspect, of the pictures to classify; one row per picture.
    """
    logs = np.log(trained_on.sizes)
    mean, spread = logs.mean(0), logs.std(0) + 1e-9
    inputs = np.c_[(logs - mean) / spread, np.ones(len(logs))]
    signs = np.where(trained_on.is_from_above, 1.0, -1.0)

    def loss(weights: np.ndarray) -> float:
        return float(np.logaddexp(0, -signs * (inputs @ weights)).mean() + 1e-4 * (weights @ weights))

    weights = minimize(loss, np.zeros(inputs.shape[1])).x
    found: np.ndarray = expit(np.c_[(np.log(sizes) - mean) / spread, np.ones(len(sizes))] @ weights)
    return found
