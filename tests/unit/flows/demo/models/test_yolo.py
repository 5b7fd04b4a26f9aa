"""Training the demo detector gives the same weights each time, from balanced examples, with correct measures."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from flows.demo.models.yolo import WIDTH, fit
from flows.demo.models.yolo_data import SIDE_PX, Examples, draw_examples
from flows.demo.models.yolo_quality import Measured, choose_threshold, guess_from_sizes
from flows.detector.yolo import describe
from stages.models.yolo_detector import build_classifier

N_SCENES, N_VIEWS = 32, 2


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def examples() -> Examples:
    return draw_examples(1, N_SCENES, n_views=N_VIEWS)


def test_examples_are_balanced_and_repeatable(examples: Examples) -> None:
    assert examples.squares.shape == (N_SCENES * N_VIEWS, SIDE_PX, SIDE_PX, 3)
    assert examples.is_from_above.mean() == 0.5
    again = draw_examples(1, N_SCENES, n_views=N_VIEWS)
    assert (examples.squares == again.squares).all()
    assert examples.names == again.names


def test_training_twice_gives_the_same_weights(examples: Examples) -> None:
    description = describe(SIDE_PX, WIDTH)
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        model = build_classifier(description)
        before = model.state_dict()["model.0.conv.weight"].clone()
        fit(model, examples, description.positive, n_epochs=1)
        assert (model.state_dict()["model.0.conv.weight"] != before).any()
        found.append(model.state_dict())
    assert all(torch.equal(values, found[1][name]) for name, values in found[0].items())


def test_the_threshold_is_the_middle_of_the_best() -> None:
    probs, is_positive = np.array([0.1, 0.2, 0.6, 0.9]), np.array([False, False, True, True])
    assert choose_threshold(probs, is_positive) == pytest.approx(0.41, abs=0.011)
    assert Measured.of(is_positive, probs, 0.4) == Measured(1.0, 1.0)
    assert Measured.of(is_positive, 1 - probs, 0.5) == Measured(0.0, 0.0)
    assert Measured.of(is_positive, np.full(4, 0.5), 0.5) == Measured(0.5, 0.5)


def test_the_size_baseline_finds_classes_that_differ_in_size() -> None:
    rng = np.random.default_rng(0)
    is_positive = np.arange(200) % 2 == 0
    widths = np.where(is_positive, 300, 100) * rng.uniform(0.9, 1.1, 200)
    sizes = np.c_[widths, np.full(200, 100), widths / 100]
    made = Examples(np.zeros((200, 1, 1, 3), np.uint8), is_positive, sizes, ("",) * 200)
    assert Measured.of(is_positive, guess_from_sizes(made, made.sizes), 0.5).right == 1.0
