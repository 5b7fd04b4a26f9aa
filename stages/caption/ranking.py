"""Rank the captions drawn for images: by a first scorer, by a second one, and by invariance to rotation.

Texts and views of many images share the scorers' batches, but each image is ranked independently. Choosing a caption
and reading images happen elsewhere.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from stages.images.ahead import cut
from stages.models.protocols import Floats, ImageTextScorer

T = TypeVar("T")
Cosines = npt.NDArray[np.float64]
_TEXTS_AN_IMAGE = 8  # a text costs the published scorers less than an eighth of an image


@dataclass(frozen=True)
class Ranking:
    """How many captions each step keeps, and the batch size.

    Attributes:
        n_first: captions kept by the first scorer.
        n_second: captions kept by the second scorer.
        n_at_once: images or views per forward pass; eight times as many texts.
    """

    n_first: int
    n_second: int
    n_at_once: int


@dataclass
class Ranked:
    """An image as the scorers see it, and the scores of its captions.

    Attributes:
        captions: texts by number; of equal texts only the lowest number is ranked.
        first_feature: the image's feature from the first scorer.
        second_feature: the image's feature from the second scorer.
        views: its rotated views, prepared for the second scorer; released once it is ranked.
        scores: the score columns of each caption by its number; empty or repeated captions have none.
        fault: which scorer gave NaN or infinity, or ""; such an image is not ranked further.
    """

    captions: Mapping[int, str]
    first_feature: Floats
    second_feature: Floats
    views: Sequence[Any]
    scores: dict[int, dict[str, Any]] = field(init=False)
    fault: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Select all distinct captions that are not empty for ranking."""
        self.scores = {n: {} for n in self.captions}
        first_of: dict[str, int] = {}
        for n in sorted(self.captions):
            if self.captions[n]:
                first_of.setdefault(self.captions[n], n)
        self._left = list(first_of.values())
        self._features: dict[int, Floats] = {}  # ranks of the captions by the last scorer

    @property
    def texts(self) -> list[str]:
        """The remaining captions, best first once they are ranked."""
        return [self.captions[n] for n in self._left]

    def take_texts(self, features: Floats, which: str, n_kept: int) -> None:
        """Rank the remaining captions by one scorer and keep the best; the lower number wins ties.

        Args:
            features: one per text of `texts`.
            which: "first" or "second", the scorer's name in the columns.
            n_kept: number of captions to keep.
        """
        image = self.first_feature if which == "first" else self.second_feature
        cosines = self._cosines(image, features, f"{which} scorer")
        if cosines is None:
            return
        cosine_of = dict(zip(self._left, cosines.tolist(), strict=True))
        self._features = dict(zip(self._left, features, strict=True))
        order = sorted(cosine_of, key=lambda n: (-cosine_of[n], n))
        for rank, n in enumerate(order, 1):
            self.scores[n] |= {f"{which}_score_cos": cosine_of[n], f"{which}_rank": rank}
        self._left = order[:n_kept]

    def take_views(self, features: Floats) -> None:
        """Write mean and variance of the cosine with the views, for each remaining caption."""
        for n in self._left:
            turned = self._cosines(self._features[n], features, "second scorer, rotated views")
            if turned is None:
                return
            self.scores[n] |= {"rotation_mean_cos": float(turned.mean()), "rotation_variance": float(turned.var())}

    def _cosines(self, feature: Floats, features: Floats, what: str) -> Cosines | None:
        """Return the cosines of a feature and several others, of unit length; None, without texts left, at a fault."""
        with np.errstate(invalid="ignore"):
            found = (features.astype(np.float64) * feature.astype(np.float64)).sum(axis=1)
        n_bad = int((~np.isfinite(found)).sum())
        if n_bad:
            self.fault, self._left = f"{what}: {n_bad} of {len(found)} cosines", []
            return None
        return np.asarray(found, np.float64)


def rank_images(images: Sequence[Ranked], first: ImageTextScorer, second: ImageTextScorer, ranking: Ranking) -> None:
    """Rank the captions of each image; record a fault if a scorer gives NaN or infinity.

    The second scorer also scores the views: it selects the captions among which the least varying one is chosen, so
    both choices use one scale. RS5M does not say which scorer it used.

    Args:
        images: `scores` of each are written.
        first: scorer of all captions.
        second: scorer of the captions that the first keeps, and of the views.
        ranking: how many each keeps.
    """
    n_texts = _TEXTS_AN_IMAGE * ranking.n_at_once
    for which, scorer, n_kept in (("first", first, ranking.n_first), ("second", second, ranking.n_second)):
        asked = [image for image in images if image.texts]
        texts = [image.texts for image in asked]
        for image, features in zip(asked, _in_passes(scorer.text_features, texts, n_texts), strict=True):
            image.take_texts(features, which, n_kept)
    asked = [image for image in images if image.texts]
    views = [image.views for image in asked]
    for image, features in zip(asked, _in_passes(second.image_features, views, ranking.n_at_once), strict=True):
        image.take_views(features)
    for image in images:
        image.views = ()


def _in_passes(see: Callable[[Sequence[T]], Floats], groups: Sequence[Sequence[T]], size: int) -> Iterator[Floats]:
    """Yield the features of each group; batches may cross group boundaries."""
    every = [item for group in groups for item in group]
    if not every:
        return iter(())
    found = np.concatenate([see(some) for some in cut(every, size)])
    return iter(np.split(found, np.cumsum([len(group) for group in groups])[:-1]))
