"""Fit the linear head of the light detector: logistic regression on frozen features.

Not for computing features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.detector.examples import DRAWN, Example
from flows.detector.manifest import Label

Floats = npt.NDArray[np.float64]
# L2 penalty on standardised features. From .001 to .03 the accuracy on left-out classes differs by .003, and the worst
# source left out is right in .83 at .01 and in .92 at .03.
PENALTY = 0.03
# Of the weight of label other. Without drawn weather a left-out source of weather is kept; with .1 forests are refused.
DRAWN_SHARE = 0.03
_DRAWN: tuple[Label, str] = ("other", DRAWN)


@dataclass(frozen=True)
class Head:
    """A linear function of features.

    Attributes:
        weight: weights, float64 [n_features].
        bias: bias of the logit.
    """

    weight: Floats
    bias: float

    def probabilities(self, features: npt.NDArray[np.float32]) -> Floats:
        """Return the probability of "remote sensing" of each row of features, float64 [n]."""
        return np.asarray(1 / (1 + np.exp(-(features @ self.weight + self.bias))), np.float64)


def weigh(examples: Sequence[Example]) -> Floats:
    """Return weights that balance both labels; within a label, a source counts by the square root of its size.

    The root is a compromise: with equal images one large source dominates, and with equal sources twenty images
    would count as much as four hundred. Drawn pictures count `DRAWN_SHARE`.
    """
    sizes = Counter((example.label, example.source) for example in examples)
    roots = {key: n**0.5 for key, n in sizes.items() if key != _DRAWN}
    others = sum(root for (label, _), root in roots.items() if label == "other")
    if _DRAWN in sizes:
        roots[_DRAWN] = (others or 1.0) * DRAWN_SHARE / (1 - DRAWN_SHARE)
    totals = {label: sum(root for (of, _), root in roots.items() if of == label) for label in ("rs", "other")}
    return np.array(
        [roots[e.label, e.source] / totals[e.label] / sizes[e.label, e.source] / 2 for e in examples], np.float64
    )


def fit_head(features: npt.NDArray[np.float32], examples: Sequence[Example], penalty: float = PENALTY) -> Head:
    """Return the fitted head, by L-BFGS from zero, so without a seed.

    Args:
        features: float32 [n, n_features], one row per view of an image.
        examples: the example of each row.
        penalty: see `PENALTY`.
    """
    import torch

    mean, deviation = features.mean(0), features.std(0) + 1e-3
    inputs = torch.from_numpy(((features - mean) / deviation).astype(np.float32))
    targets = torch.tensor([float(example.is_rs) for example in examples])
    weights = torch.from_numpy(weigh(examples).astype(np.float32))
    weight = torch.zeros(inputs.shape[1], requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        losses = torch.nn.functional.binary_cross_entropy_with_logits(inputs @ weight + bias, targets, reduction="none")
        found = (losses * weights).sum() + penalty * weight.square().sum() / 2
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimiser.step(loss)  # type: ignore[arg-type]
    raw = weight.detach().numpy().astype(np.float64) / deviation
    return Head(raw, float(bias.item() - (raw * mean).sum()))
