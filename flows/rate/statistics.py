"""Shares with intervals over strata, sample sizes, and agreement of raters. Reads no files.

Sources: E. B. Wilson, Probable Inference, 1927. R. G. Newcombe, Two-sided confidence intervals for the single
proportion, 1998. G. Y. Zou and A. Donner, Construction of confidence limits about effect measures, 2008, for the limits
of a weighted sum (square-and-add), which for one stratum equal Wilson's; A. Donner and G. Y. Zou, Closed-form
confidence intervals for functions of the normal mean and standard deviation, 2012, for those of a ratio.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flows.intervals import Z_95, Estimate, wilson

Level = Literal["nominal", "ordinal"]


@dataclass(frozen=True)
class Counted:
    """The answers for one stratum.

    Attributes:
        size: number of members of the stratum in the build.
        n: number of members with an answer.
        n_yes: number of members with the answer yes.
    """

    size: int
    n: int
    n_yes: int


def weighted_sum(strata: Sequence[Counted], weights: Sequence[float]) -> Estimate | None:
    """Return the weighted sum of the strata's shares; None if a stratum has no answer.

    The limits join Wilson's limits of each stratum by square-and-add, so that strata with a share of 0 or 1 count too.
    """
    if not strata or any(stratum.n == 0 for stratum in strata):
        return None
    each = [wilson(stratum.n_yes, stratum.n) for stratum in strata]
    value = sum(w * e.value for w, e in zip(weights, each, strict=True))
    below = math.sqrt(sum((w * (e.value - e.low)) ** 2 for w, e in zip(weights, each, strict=True)))
    above = math.sqrt(sum((w * (e.high - e.value)) ** 2 for w, e in zip(weights, each, strict=True)))
    return Estimate(value, max(0.0, value - below), min(sum(weights), value + above))


def stratified_share(strata: Sequence[Counted]) -> Estimate | None:
    """Return the share of yes in some strata together; None if a stratum with members has no answer."""
    strata = [stratum for stratum in strata if stratum.size]
    total = sum(stratum.size for stratum in strata)
    return weighted_sum(strata, [stratum.size / total for stratum in strata])


def recall(found: Sequence[Counted], other: Sequence[Counted]) -> Estimate | None:
    """Return the share of all yes that is in the strata `found`; None if it cannot be computed.

    With F and O the numbers of yes in the two groups it is 1 / (1 + O / F); the limits are those of the ratio.
    """
    found, other = [s for s in found if s.size], [s for s in other if s.size]
    f = weighted_sum(found, [float(s.size) for s in found])
    o = weighted_sum(other, [float(s.size) for s in other]) if other else Estimate(0.0, 0.0, 0.0)
    if f is None or o is None or f.value + o.value == 0:
        return None
    if f.value == 0:
        return Estimate(0.0, 0.0, _recall_of(_ratio_low(o, f)))
    return Estimate(f.value / (f.value + o.value), _recall_of(_ratio_high(o, f)), _recall_of(_ratio_low(o, f)))


def _recall_of(ratio: float) -> float:
    return 0.0 if math.isinf(ratio) else 1 / (1 + ratio)


def _ratio_low(a: Estimate, b: Estimate) -> float:
    """Return the lower limit of a / b (Donner and Zou 2012, with independent a and b)."""
    root = math.sqrt(
        max(0.0, (a.value * b.value) ** 2 - a.low * b.high * (2 * a.value - a.low) * (2 * b.value - b.high))
    )
    below = b.high * (2 * b.value - b.high)
    # The formula needs b's upper limit to be below twice b; a's lower limit over b's upper limit is always a bound.
    return max(0.0, (a.value * b.value - root) / below) if below > 0 else a.low / b.high


def _ratio_high(a: Estimate, b: Estimate) -> float:
    root = math.sqrt(
        max(0.0, (a.value * b.value) ** 2 - a.high * b.low * (2 * a.value - a.high) * (2 * b.value - b.low))
    )
    below = b.low * (2 * b.value - b.low)
    return (a.value * b.value + root) / below if below > 0 else math.inf


def n_for_margin(share: float, margin: float) -> int:
    """Return the smallest simple sample in which Wilson's half-width for a share is at most the margin.

    Args:
        share: expected share, in [0, 1].
        margin: half-width of the 95 % interval, in (0, 0.5).
    """

    def half(n: int) -> float:
        return Z_95 / (1 + Z_95**2 / n) * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))

    low, high = 0, 1  # half(low) exceeds the margin, half(high) does not
    while half(high) > margin:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if half(middle) > margin else (low, middle)
    return high


def majority(answers: Sequence[str], unsure: str) -> str | None:
    """Return the most frequent answer, without unsure ones; None on a tie or without answers."""
    counts = Counter(answer for answer in answers if answer != unsure).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]


def mean_and_deviation(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the mean and the sample standard deviation; None if there are too few values."""
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def alpha(answers: Mapping[str, Mapping[Hashable, float]], level: Level) -> float | None:
    """Return Krippendorff's alpha; None if no item has two answers, or all answers are equal.

    Args:
        answers: by rater, the answers as numbers by item; items without an answer are omitted.
        level: "nominal" for yes and no, "ordinal" for levels.
    """
    import krippendorff
    import numpy as np

    items = sorted({item for of_rater in answers.values() for item in of_rater}, key=str)
    rows = [[of_rater.get(item, math.nan) for item in items] for of_rater in answers.values()]
    table = np.array(rows, dtype=float).reshape(len(rows), len(items))
    paired = table[:, (~np.isnan(table)).sum(axis=0) >= 2]
    if not paired.size or np.unique(paired[~np.isnan(paired)]).size < 2:
        return None
    return float(krippendorff.alpha(reliability_data=paired, level_of_measurement=level))
