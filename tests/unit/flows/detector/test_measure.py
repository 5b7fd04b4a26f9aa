"""Figures of a detector, against values computed by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.detector.examples import Example
from flows.detector.head import fit_head
from flows.detector.measure import Share, area_under_curve, choose_threshold, measure


def test_wilson_intervals_equal_published_values() -> None:
    assert Share("x", 8, 10).interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert Share("x", 0, 10).interval == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert Share("x", 0, 0).interval == (0.0, 1.0)


def test_the_area_is_the_share_of_pairs_in_the_right_order() -> None:
    is_rs = np.array([True, False, True, False])
    assert area_under_curve(is_rs, np.array([0.9, 0.1, 0.8, 0.2])) == 1
    assert area_under_curve(is_rs, np.array([0.9, 0.1, 0.2, 0.8])) == 0.75
    assert area_under_curve(is_rs, np.full(4, 0.5)) == 0.5


def test_the_threshold_maximises_the_smaller_share() -> None:
    is_rs = np.array([True] * 4 + [False] * 4)
    threshold = choose_threshold(is_rs, np.array([0.9, 0.8, 0.7, 0.65, 0.6, 0.2, 0.1, 0.1]))
    assert 0.6 < threshold <= 0.65


def test_figures_are_given_by_source_and_class() -> None:
    names = [("rs", "a", "x"), ("rs", "a", "y"), ("other", "b", "z")]
    examples = [Example(Path(f"{n}"), label, source, kind) for n, (label, source, kind) in enumerate(names)]  # type: ignore[arg-type]
    found = measure(examples, np.array([0.9, 0.2, 0.1]), 0.5)
    assert (found["kept_rs"]["n_right"], found["refused_other"]["n_right"], found["accuracy"]["n"]) == (1, 1, 3)
    assert [(row["name"], row["n_right"], row["n"]) for row in found["sources"]] == [
        ("other: b", 1, 1),
        ("rs: a", 1, 2),
    ]
    assert [row["name"] for row in found["classes_rs"]] == ["a/x", "a/y"]
    assert [(row["name"], row["n_right"], row["n"]) for row in found["classes_other"]] == [("b/z", 1, 1)]
    assert sum(row["n"] for row in found["calibration"]) == 3


def test_a_head_separates_separable_data_and_is_deterministic() -> None:
    rng = np.random.default_rng(0)
    examples = [Example(Path(str(n)), "rs" if n % 2 else "other", "s", "k") for n in range(200)]
    is_rs = np.array([example.is_rs for example in examples])
    features = rng.normal(size=(200, 20)).astype(np.float32)
    features[:, 3] += 5 * is_rs
    heads = [fit_head(features, examples) for _ in range(2)]
    assert (heads[0].weight == heads[1].weight).all()
    assert ((heads[0].probabilities(features) > 0.5) == is_rs).mean() > 0.95


def test_a_figure_without_examples_is_null_in_json() -> None:
    found = measure([Example(Path("a.jpg"), "rs", "s", "k")], np.array([0.2]), 0.5)
    assert found["auc"] is None and found["refused_other"]["share"] is None and found["precision"]["share"] is None
    assert "NaN" not in json.dumps(found, allow_nan=False)
