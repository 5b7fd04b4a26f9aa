"""Weights of the training images: labels balance, sources count by the root of their size, drawn pictures little."""

from pathlib import Path

import numpy as np
import pytest

from flows.detector.examples import DRAWN, Example
from flows.detector.head import DRAWN_SHARE, fit_head, weigh

RS = [Example(Path(f"{n}"), "rs", "survey", "Field") for n in range(4)]
SMALL = [Example(Path(f"s{n}"), "other", "small", "map") for n in range(4)]
LARGE = [Example(Path(f"l{n}"), "other", "large", "photo") for n in range(16)]
WEATHER = [Example(Path(), "other", DRAWN, "weather")] * 50


def _share(examples: list[Example], source: str) -> float:
    weights = weigh(examples)
    return float(weights[[example.source == source for example in examples]].sum())


def test_labels_balance_and_sources_count_by_their_root() -> None:
    examples = [*RS, *SMALL, *LARGE]
    assert _share(examples, "survey") == pytest.approx(0.5)
    assert _share(examples, "large") == pytest.approx(2 * _share(examples, "small"))


def test_drawn_pictures_count_the_same_however_many() -> None:
    for drawn in (WEATHER, WEATHER[:3]):
        examples = [*RS, *SMALL, *LARGE, *drawn]
        assert _share(examples, DRAWN) == pytest.approx(0.5 * DRAWN_SHARE)
        assert weigh(examples).sum() == pytest.approx(1)


def test_drawn_pictures_can_be_the_only_others() -> None:
    examples = [*RS, *WEATHER[:4]]
    assert weigh(examples).sum() == pytest.approx(1)
    features = np.repeat(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), 4, axis=0)
    probs = fit_head(features, examples).probabilities(features)
    assert probs[:4].min() > 0.9 and probs[4:].max() < 0.1
