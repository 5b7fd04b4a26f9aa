import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.calibrate.thresholds import Scores, Thresholds, choose, cross_measure, measure
from stages.contract import InputError

NAN = float("nan")


def scores(is_rs: list[bool], vlm: list[float] | None, detector: list[float] | None) -> Scores:
    names = [f"image {n}" for n in range(len(is_rs))]
    vlms, probs = (None if values is None else np.array(values, float) for values in (vlm, detector))
    return Scores(names, np.array(is_rs, bool), vlms, probs)


ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(-3, 3).map(lambda n: n / 4), st.integers(0, 4).map(lambda n: n / 4)),
    min_size=2,
    max_size=14,
)


@given(ROWS, st.sampled_from([0.5, 0.75, 0.9, 1.0]))
def test_no_other_pair_of_thresholds_keeps_more_at_the_precision(
    rows: list[tuple[bool, float, float]], precision: float
) -> None:
    labelled = scores(*map(list, zip(*rows, strict=True)))  # type: ignore[arg-type]
    counts = []
    for vlm, detector in itertools.product(sorted({row[1] for row in rows}), sorted({row[2] for row in rows})):
        kept = [row[0] for row in rows if row[1] >= vlm and row[2] >= detector]
        if kept and sum(kept) / len(kept) >= precision:
            counts.append(sum(kept))
    if not max(counts, default=0):
        with pytest.raises(InputError, match="no thresholds reach a precision"):
            choose(labelled, precision)
        return
    found, recall = measure(labelled, choose(labelled, precision).keeps(labelled))
    assert found.share >= precision and recall.n_right == max(counts)


def test_both_scores_together_reach_a_precision_that_neither_reaches_alone() -> None:
    labelled = scores([True, True, False, False], [0.3, 0.25, 0.1, 0.3], [0.9, 0.8, 0.9, 0.1])
    assert choose(labelled, 1.0) == Thresholds(0.25, 0.8)


def test_an_unused_model_has_no_threshold_and_a_model_that_rejects_nothing_has_no_limit() -> None:
    assert choose(scores([True, False], None, [0.7, 0.2]), 1.0) == Thresholds(None, 0.7)
    assert choose(scores([True, False], [0.3, 0.1], None), 1.0) == Thresholds(0.3, None)
    assert choose(scores([True, False], [0.1, 0.1], [0.7, 0.2]), 1.0) == Thresholds(-1.0, 0.7)


def test_thresholds_are_rounded_down_so_that_their_image_is_kept() -> None:
    labelled = scores([True, False], None, [0.70000049, 0.2])
    found = choose(labelled, 1.0)
    assert found.detector == 0.7 and found.keeps(labelled).tolist() == [True, False]


def test_an_image_without_a_score_is_refused_and_counts_as_lost() -> None:
    labelled = scores([True, True, False], [0.3, NAN, 0.1], [0.9, 0.9, 0.9])
    found = choose(labelled, 1.0)
    assert found.keeps(labelled).tolist() == [True, False, False]
    _, recall = measure(labelled, found.keeps(labelled))
    assert (recall.n_right, recall.n) == (1, 2)


def test_the_best_precision_is_named_where_it_is_too_low() -> None:
    with pytest.raises(InputError, match=r"precision of 90\.0%.*the best reach 50\.0%"):
        choose(scores([True, False], None, [0.5, 0.5]), 0.9)


def test_on_noise_cross_validated_figures_are_lower_than_those_of_the_chosen_thresholds() -> None:
    random = np.random.default_rng(5)
    is_rs = random.random(400) < 0.5
    noise = Scores([str(n) for n in range(400)], is_rs, random.random(400), random.random(400))
    chosen = measure(noise, choose(noise, 0.7).keeps(noise))[0]
    left_out = cross_measure(noise, 0.7)
    assert left_out is not None and chosen.share >= 0.7 > left_out[0].share
    assert left_out[1].n == is_rs.sum()
    assert cross_measure(scores([True, False], None, [0.9, 0.1]), 1.0) is None, "too few images for cross-validation"
