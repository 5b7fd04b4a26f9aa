"""Ranks the captions drawn for images: by a first scorer, by a second one, and by how little turning matters.

Many images go at once: their texts, and their views, fill the scorers' passes. Each image is ranked by itself.
Not for choosing among captions, nor for reading images.
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
_TEXTS_AN_IMAGE = 8  # a text costs the published scorers less than that share of an image


@dataclass(frozen=True)
class Ranking:
    """How many captions each step keeps, and how much goes at once.

    Attributes:
        n_first: captions the first scorer hands on.
        n_second: captions the second scorer hands on.
        n_at_once: images, or views, of one forward pass; eight times as many texts.
    """

    n_first: int
    n_second: int
    n_at_once: int


@dataclass
class Ranked:
    """An image as the scorers see it, and what its captions have earned.

    Attributes:
        captions: text by number; equal texts share the lowest number.
        first_feature: the image's feature by the first scorer.
        second_feature: the image's feature by the second scorer.
        views: its turned views, as the second scorer prepares them; let go once it is ranked.
        scores: the score columns of each caption by its number; an empty or repeated one has none.
        fault: which scorer gave NaN or infinity, or "": such an image is ranked no further.
    """

    captions: Mapping[int, str]
    first_feature: Floats
    second_feature: Floats
    views: Sequence[Any]
    scores: dict[int, dict[str, Any]] = field(init=False)
    fault: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Let all distinct captions that say something be at work."""
        self.scores = {n: {} for n in self.captions}
        first_of: dict[str, int] = {}
        for n in sorted(self.captions):
            if self.captions[n]:
                first_of.setdefault(self.captions[n], n)
        self._left = list(first_of.values())
        self._features: dict[int, Floats] = {}  # of the captions that the last scorer saw

    @property
    def texts(self) -> list[str]:
        """The captions that are left, best first once they are ranked."""
        return [self.captions[n] for n in self._left]

    def take_texts(self, features: Floats, which: str, n_kept: int) -> None:
        """Rank the captions that are left by one scorer, and keep the best; of equal ones the lower number is better.

        Args:
            features: of `texts`.
            which: "first" or "second", the scorer's name in the columns.
            n_kept: how many go on.
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
        """Write mean and variance of the cosine of each caption that is left with the views."""
        for n in self._left:
            turned = self._cosines(self._features[n], features, "second scorer, turned views")
            if turned is None:
                return
            self.scores[n] |= {"rotation_mean_cos": float(turned.mean()), "rotation_variance": float(turned.var())}

    def _cosines(self, feature: Floats, features: Floats, what: str) -> Cosines | None:
        """Return the cosine of a feature with each of several, all of unit length; None at a fault: no text is left."""
        with np.errstate(invalid="ignore"):
            found = (features.astype(np.float64) * feature.astype(np.float64)).sum(axis=1)
        n_bad = int((~np.isfinite(found)).sum())
        if n_bad:
            self.fault, self._left = f"{what}: {n_bad} of {len(found)} cosines", []
            return None
        return np.asarray(found, np.float64)


def rank_images(images: Sequence[Ranked], first: ImageTextScorer, second: ImageTextScorer, ranking: Ranking) -> None:
    """Rank the captions of each image, and note its fault where a scorer gave NaN or infinity.

    The second scorer also judges the views: it is the one that put the captions in the order among whose best the
    invariant one is sought, so that both choices follow one scale. RS5M does not say which scorer it took.

    Args:
        images: their scores are written.
        first: scorer of all captions.
        second: scorer of those the first hands on, and of the views.
        ranking: how many each hands on.
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
    """Yield the features of each group; a pass takes so many of what all groups hold, wherever one ends."""
    every = [item for group in groups for item in group]
    if not every:
        return iter(())
    found = np.concatenate([see(some) for some in cut(every, size)])
    return iter(np.split(found, np.cumsum([len(group) for group in groups])[:-1]))
