import numpy as np
import pytest

from stages.outliers.cells import TOPS, count_cells, cut_of


def test_cells_count_the_samples_that_reach_both_thresholds() -> None:
    rng = np.random.default_rng(0)
    vlm, detector = rng.normal(size=997), rng.integers(0, 20, 997) / 20.0  # one score has ties
    vlm[:7], detector[5:9] = np.nan, np.nan
    cells = count_cells(vlm, detector)
    for i, of_vlm in enumerate(TOPS):
        for j, of_detector in enumerate(TOPS):
            both = (vlm >= cut_of(vlm, of_vlm)) & (detector >= cut_of(detector, of_detector))
            assert cells[i][j] == both.sum()
    assert cells[0][0] == 997 - 9


@pytest.mark.parametrize("is_vlm", [True, False])
def test_an_unused_score_rejects_nothing(is_vlm: bool) -> None:
    scores = np.arange(100.0)
    cells = np.array(count_cells(scores, None) if is_vlm else count_cells(None, scores))
    assert (cells == np.array(TOPS)[:, None if is_vlm else slice(None)] if is_vlm else cells == np.array(TOPS)).all()
    assert count_cells(None, None) == [[0] * 9] * 9


def test_no_samples_give_empty_cells() -> None:
    assert count_cells(np.zeros(0), np.zeros(0)) == [[0] * 9] * 9
