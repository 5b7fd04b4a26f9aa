from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.demo.models.prepared import features
from stages.caption.ranking import Ranked, Ranking, rank_images
from stages.caption.rotation import turned_views
from stages.models.protocols import Floats

RANKING = Ranking(n_first=10, n_second=5, n_at_once=32)
Scores = dict[int, dict[str, Any]]
SCORED = ("first_score_cos", "first_rank", "second_score_cos", "second_rank", "rotation_mean_cos", "rotation_variance")


@dataclass
class TableScorer:
    """Gives each text a fixed cosine with any image, and a share by which turning the image changes it.

    An image has the feature (cos t, sin t, 0), where t is the brightness of its first pixel, 0 before turning.
    """

    cosines: Mapping[str, float]
    moves: Mapping[str, float] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    dim: int = 3

    def prepare(self, image: Image.Image) -> Image.Image:
        return image

    def image_features(self, images: Sequence[Image.Image]) -> Floats:
        self.asked.append(("images", len(images)))
        angles = np.array([np.asarray(image)[0, 0, 0] / 255 for image in images])
        return np.stack([np.cos(angles), np.sin(angles), np.zeros(len(images))], 1).astype(np.float32)

    def text_features(self, texts: Sequence[str], *, is_normalised: bool = True) -> Floats:
        self.asked.append(("texts", len(texts)))
        rows = [(self.cosines[text], self.moves.get(text, 0.0)) for text in texts]
        return np.array([(c, m, 1 - abs(c) - abs(m)) for c, m in rows], np.float32)


def image() -> Image.Image:
    """Return an image whose first pixel is black, and has many other shades in the turned views."""
    values = np.tile(np.linspace(0, 255, 48).astype(np.uint8)[None, :, None], (48, 1, 3))
    return Image.fromarray(values)


def seen(captions: Sequence[str], first: TableScorer, second: TableScorer, n_views: int = 12) -> Ranked:
    (seen_first,), (seen_second,) = (features(s, [image()]) for s in (first, second))
    return Ranked(dict(enumerate(captions)), seen_first, seen_second, turned_views(image(), n_views))


def rank(captions: Sequence[str], first: TableScorer, second: TableScorer, n_views: int = 12) -> Scores:
    one = seen(captions, first, second, n_views)
    rank_images([one], first, second, RANKING)
    assert not one.fault
    return one.scores


def ranks(ranked: Scores, which: str) -> dict[int, int]:
    return {n: row[f"{which}_rank"] for n, row in ranked.items() if f"{which}_rank" in row}


def numbered(n: int, step: float = 0.01) -> dict[str, float]:
    return {f"text {k}": round(k * step, 6) for k in range(n)}


def test_the_second_scorer_gets_ten_of_twenty_captions_and_five_of_those_are_tested_by_turning() -> None:
    cosines = numbered(20)
    backwards = {text: -cosine for text, cosine in cosines.items()}
    ranked = rank(list(cosines), TableScorer(cosines), TableScorer(backwards))
    assert ranks(ranked, "first") == {n: 20 - n for n in range(20)}
    assert ranks(ranked, "second") == {n: n - 9 for n in range(10, 20)}
    assert [n for n, row in ranked.items() if "rotation_variance" in row] == [10, 11, 12, 13, 14]
    assert ranked[19]["first_score_cos"] == pytest.approx(0.19)
    assert ranked[19]["second_score_cos"] == pytest.approx(-0.19)
    assert ranked[10]["rotation_mean_cos"] != ranked[10]["second_score_cos"]


def test_equal_scores_are_ranked_by_number() -> None:
    captions = [f"text {k}" for k in range(20)]
    flat = dict.fromkeys(captions, 0.5)
    ranked = rank(captions, TableScorer(flat), TableScorer(flat))
    assert ranks(ranked, "first") == {n: n + 1 for n in range(20)}
    assert ranks(ranked, "second") == {n: n + 1 for n in range(10)}
    assert [n for n, row in ranked.items() if "rotation_variance" in row] == [0, 1, 2, 3, 4]


def test_empty_and_repeated_captions_have_no_scores() -> None:
    captions = ["", "text 2", "text 1", "text 2", "", "text 1", "text 3"]
    ranked = rank(captions, TableScorer(numbered(4)), TableScorer(numbered(4)))
    assert list(ranked) == list(range(7))
    assert [n for n in ranked if not ranked[n]] == [0, 3, 4, 5]
    assert ranks(ranked, "first") == ranks(ranked, "second") == {6: 1, 1: 2, 2: 3}
    assert all(set(ranked[n]) == set(SCORED) for n in (1, 2, 6)), "fewer than five captions: all are tested by turning"


def test_without_a_nonempty_caption_no_text_is_scored() -> None:
    first, second = TableScorer({}), TableScorer({})
    assert rank(["", "", ""], first, second) == {0: {}, 1: {}, 2: {}}
    assert first.asked == second.asked == [("images", 1)]


def test_a_caption_whose_cosine_does_not_change_by_turning_has_the_smallest_variance() -> None:
    cosines = {"still": 0.0, "moved": 0.4, "moved more": 0.8}
    second = TableScorer(cosines, {"moved": 0.2})
    ranked = rank(list(cosines), TableScorer(cosines), second)
    variances = [ranked[n]["rotation_variance"] for n in range(3)]
    assert variances[0] == 0 < variances[1] < variances[2]
    assert ranks(ranked, "second") == {0: 3, 1: 2, 2: 1}


def test_mean_and_variance_are_over_the_population_of_views() -> None:
    second = TableScorer({"a": 0.5}, {"a": 0.25})
    ranked = rank(["a"], TableScorer({"a": 0.5}), second, n_views=7)
    views = features(second, turned_views(image(), 7)).astype(float)
    cosines = [float(0.5 * row[0] + 0.25 * row[1]) for row in views]
    mean = sum(cosines) / 7
    assert ranked[0]["rotation_mean_cos"] == pytest.approx(mean)
    assert ranked[0]["rotation_variance"] == pytest.approx(sum((c - mean) ** 2 for c in cosines) / 7)


def test_texts_and_views_of_many_images_share_model_passes_and_keep_their_own_scores() -> None:
    first, second = TableScorer(numbered(20)), TableScorer(numbered(20))
    captions = [[f"text {k}" for k in range(20)], [], ["text 7"], [f"text {k}" for k in range(0, 20, 3)]]
    alone = [rank(texts, first, second) for texts in captions]
    images = [seen(texts, first, second) for texts in captions]
    first.asked.clear(), second.asked.clear()
    rank_images(images, first, second, Ranking(n_first=10, n_second=5, n_at_once=3))
    assert [image.scores for image in images] == alone
    assert first.asked == [("texts", 24), ("texts", 4)]
    assert second.asked == [("texts", 18), *[("images", 3)] * 12]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("which", "said"), [("first", "first scorer: 1 of 2"), ("second", "second scorer: 1 of 2")])
def test_a_nan_score_fails_the_image_and_names_the_scorer(value: float, which: str, said: str) -> None:
    good, bad = TableScorer({"a": 0.1, "b": 0.2}), TableScorer({"a": 0.1, "b": value})
    first, second = (bad, good) if which == "first" else (good, bad)
    images = [seen(texts, first, second) for texts in (["a", "b"], ["a"])]
    rank_images(images, first, second, RANKING)
    assert images[0].fault.startswith(said) and not images[1].fault
    assert set(images[1].scores[0]) == set(SCORED)
