import math

import pytest

from flows.intervals import wilson
from flows.rate.statistics import (
    Counted,
    alpha,
    majority,
    mean_and_deviation,
    n_for_margin,
    recall,
    stratified_share,
)


@pytest.mark.parametrize(
    ("n_yes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_wilson_limits_equal_published_values(n_yes: int, n: int, low: float, high: float) -> None:
    found = wilson(n_yes, n)
    assert (found.value, round(found.low, 4), round(found.high, 4)) == (n_yes / n, low, high)


def test_wilson_refuses_an_empty_sample() -> None:
    with pytest.raises(ValueError, match="n > 0"):
        wilson(0, 0)


def test_one_stratum_has_wilsons_limits() -> None:
    found, plain = stratified_share([Counted(1_000_000, 263, 81)]), wilson(81, 263)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_strata_are_weighted_by_size_and_limits_are_combined_by_square_and_add() -> None:
    found = stratified_share([Counted(900, 50, 45), Counted(100, 50, 10)])
    assert found is not None
    assert found.value == pytest.approx(0.9 * 0.9 + 0.1 * 0.2)
    a, b = wilson(45, 50), wilson(10, 50)
    assert found.low == pytest.approx(0.83 - math.hypot(0.9 * (0.9 - a.low), 0.1 * (0.2 - b.low)))
    assert found.high == pytest.approx(0.83 + math.hypot(0.9 * (a.high - 0.9), 0.1 * (b.high - 0.2)))


def test_a_stratum_without_answers_gives_no_share() -> None:
    assert stratified_share([Counted(900, 50, 45), Counted(100, 0, 0)]) is None
    assert stratified_share([Counted(900, 50, 45), Counted(0, 0, 0)]) is not None


def test_recall_counts_the_yes_answers_of_the_other_strata() -> None:
    # 900 x 0.9 = 810 found, 100 x 0.1 = 10 missed.
    found = recall([Counted(900, 100, 90)], [Counted(100, 100, 10)])
    assert found is not None
    assert found.value == pytest.approx(810 / 820)
    assert 0.97 < found.low < found.value < found.high < 0.995
    nothing_missed = recall([Counted(900, 100, 90)], [Counted(100, 100, 0)])
    assert nothing_missed is not None and nothing_missed.value == 1.0 and 0.99 < nothing_missed.low < 1.0
    nothing_else = recall([Counted(900, 100, 90)], [])
    assert nothing_else is not None and (nothing_else.value, nothing_else.low) == (1.0, 1.0)
    assert recall([Counted(900, 100, 0)], [Counted(100, 100, 0)]) is None
    assert recall([Counted(900, 100, 90)], [Counted(100, 0, 0)]) is None
    none_found = recall([Counted(10, 10, 0)], [Counted(90, 10, 9)])
    assert none_found is not None and none_found.value == 0.0 and none_found.high < 0.1


def test_limits_of_recall_contain_the_truth_in_about_95_of_100_samples() -> None:
    import numpy as np

    random = np.random.default_rng(5)
    truth = 900 * 0.85 / (900 * 0.85 + 300 * 0.1)
    hits = 0
    for _ in range(2_000):
        yes = random.binomial(100, 0.85), random.binomial(100, 0.1)
        found = recall([Counted(900, 100, int(yes[0]))], [Counted(300, 100, int(yes[1]))])
        assert found is not None
        hits += found.low <= truth <= found.high
    assert 0.93 <= hits / 2_000 <= 0.975


def test_n_for_margin_is_the_smallest_sufficient_n() -> None:
    # For a share of one half n = 0.25 z2 / d2 - z2, from z / (2 sqrt(n + z2)) = d.
    assert n_for_margin(0.5, 0.05) == math.ceil(0.25 * 1.959964**2 / 0.05**2 - 1.959964**2) == 381
    # For a share of 0 the half-width is z2 / 2 (n + z2).
    assert n_for_margin(0.0, 0.01) == math.ceil(1.959964**2 / 0.02 - 1.959964**2) == 189


def test_a_majority_decides_and_a_tie_does_not() -> None:
    assert majority(["yes", "yes", "no"], "unsure") == "yes"
    assert majority(["yes", "unsure"], "unsure") == "yes"
    assert majority(["yes", "no"], "unsure") is None
    assert majority(["unsure"], "unsure") is None


def test_the_deviation_is_the_sample_standard_deviation() -> None:
    assert mean_and_deviation([2, 4, 4, 4, 5, 5, 7, 9]) == (5.0, pytest.approx(math.sqrt(32 / 7)))
    assert mean_and_deviation([3]) == (3.0, None)
    assert mean_and_deviation([]) == (None, None)


# Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, section C: four observers, twelve units.
def test_alpha_equals_krippendorffs_own_example() -> None:
    a = ["1", "2", "3", "3", "2", "1", "4", "1", "2", "*", "*", "*"]
    b = ["1", "2", "3", "3", "2", "2", "4", "1", "2", "5", "*", "3"]
    c = ["*", "3", "3", "3", "2", "3", "4", "2", "2", "5", "1", "*"]
    d = ["1", "2", "3", "3", "2", "4", "4", "1", "2", "5", "1", "*"]
    answers = {n: {u: float(v) for u, v in enumerate(r) if v != "*"} for n, r in zip("abcd", (a, b, c, d), strict=True)}
    assert alpha(answers, "nominal") == pytest.approx(0.743, abs=5e-4)
    assert alpha(answers, "ordinal") == pytest.approx(0.815, abs=5e-4)


def test_alpha_needs_an_item_with_two_answers_and_two_different_values() -> None:
    assert alpha({}, "nominal") is None
    assert alpha({"a": {1: 1.0, 2: 2.0}, "b": {3: 1.0}}, "nominal") is None
    assert alpha({"a": {1: 1.0}, "b": {1: 1.0}}, "nominal") is None
    assert alpha({"a": {1: 1.0, 2: 2.0}, "b": {1: 1.0, 2: 2.0}}, "nominal") == 1.0
