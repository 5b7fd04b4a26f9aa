"""Ranks the captions drawn for one image: by a first scorer, by a second one, and by how little turning matters.

Not for choosing among them, nor for reading images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from stages.captions.rotation import turned_views
from stages.models.protocols import Floats, ImageTextScorer, ModelNotFinite

Cosines = npt.NDArray[np.float64]
Ranked = Mapping[int, dict[str, Any]]


@dataclass(frozen=True)
class Ranking:
    """How many captions each step keeps.

    Attributes:
        n_first: captions the first scorer hands on.
        n_second: captions the second scorer hands on.
        n_views: turned views of the image.
    """

    n_first: int
    n_second: int
    n_views: int


@dataclass(frozen=True)
class Seen:
    """An image as the scorers see it.

    Attributes:
        image: RGB.
        first_feature: its feature by the first scorer.
        second_feature: its feature by the second scorer.
    """

    image: Image.Image
    first_feature: Floats
    second_feature: Floats


def rank_sample(
    captions: Mapping[int, str], seen: Seen, first: ImageTextScorer, second: ImageTextScorer, ranking: Ranking
) -> Ranked:
    """Return the score columns that each caption has earned, by its number; an empty or repeated one has none.

    The second scorer also judges the views: it is the one that put the captions in the order among whose best the
    invariant one is sought, so that both choices follow one scale. RS5M does not say which scorer it took.

    Args:
        captions: text by number; of equal texts the lowest number stands for all.
        seen: the image the captions were drawn for.
        first: scorer of all captions.
        second: scorer of those the first hands on, and of the views.
        ranking: how many each hands on.

    Raises:
        ModelNotFinite: a scorer gave NaN or infinity; the message says which.
    """
    scores: dict[int, dict[str, Any]] = {n: {} for n in captions}
    left = _distinct(captions)
    if not left:
        return scores
    cosines = _cosines(seen.first_feature, _features(first, captions, left), "first scorer")
    left = _keep_best(scores, left, cosines, "first", ranking.n_first)
    features = _features(second, captions, left)
    cosines = _cosines(seen.second_feature, features, "second scorer")
    feature_of = dict(zip(left, features, strict=True))
    left = _keep_best(scores, left, cosines, "second", ranking.n_second)
    views = second.image_features(turned_views(seen.image, ranking.n_views))
    for n in left:
        turned = _cosines(feature_of[n], views, "second scorer, turned views")
        scores[n] |= {"rotation_mean_cos": float(turned.mean()), "rotation_variance": float(turned.var())}
    return scores


def _distinct(captions: Mapping[int, str]) -> list[int]:
    """Return the numbers of the distinct captions that say something, in ascending order."""
    first_of: dict[str, int] = {}
    for n in sorted(captions):
        if captions[n]:
            first_of.setdefault(captions[n], n)
    return list(first_of.values())


def _features(scorer: ImageTextScorer, captions: Mapping[int, str], numbers: Sequence[int]) -> Floats:
    return scorer.text_features([captions[n] for n in numbers])


def _cosines(feature: Floats, features: Floats, what: str) -> Cosines:
    """Return the cosine of a feature with each of several; all are of unit length."""
    with np.errstate(invalid="ignore"):
        found = (features.astype(np.float64) * feature.astype(np.float64)).sum(axis=1)
    if not np.isfinite(found).all():
        raise ModelNotFinite(f"{what}: {int((~np.isfinite(found)).sum())} of {len(found)} cosines")
    return np.asarray(found, np.float64)


def _keep_best(
    scores: dict[int, dict[str, Any]], numbers: Sequence[int], cosines: Cosines, which: str, n_kept: int
) -> list[int]:
    """Write scores and ranks of captions; return the best, best first. Of equal scores the lower number is better."""
    cosine_of = dict(zip(numbers, cosines.tolist(), strict=True))
    order = sorted(numbers, key=lambda n: (-cosine_of[n], n))
    for rank, n in enumerate(order, 1):
        scores[n] |= {f"{which}_score_cos": cosine_of[n], f"{which}_rank": rank}
    return order[:n_kept]
