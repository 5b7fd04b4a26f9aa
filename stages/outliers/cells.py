"""Count the samples kept by pairs of quantile thresholds, as in RS5M's figure 13: top 100 % to 60 % per score."""

import numpy as np
import numpy.typing as npt

from stages.outliers.stage import quantile_threshold

TOPS = tuple(range(100, 55, -5))  # percent; RS5M, figure 13


def cut_of(scores: npt.NDArray[np.float64], top: int) -> float:
    """Return the threshold that keeps the top percent of the scores other than NaN."""
    return quantile_threshold(scores[~np.isnan(scores)], top / 100)


def count_cells(vlm: npt.NDArray[np.float64] | None, detector: npt.NDArray[np.float64] | None) -> list[list[int]]:
    """Return the number of samples that reach both thresholds, int [9][9]: rows by `TOPS` of vlm, columns of detector.

    Args:
        vlm: float64 [n], NaN for a missing score; None if the model is not in use, which rejects nothing, so that
            all rows are equal.
        detector: like `vlm`.
    """
    of_vlm, of_detector = _levels(vlm), _levels(detector)
    if of_vlm is None and of_detector is None:
        return [[0] * len(TOPS) for _ in TOPS]
    n = len(of_vlm if of_vlm is not None else of_detector)  # type: ignore[arg-type]
    all_levels = np.full(n, len(TOPS))
    rows = all_levels if of_vlm is None else of_vlm
    columns = all_levels if of_detector is None else of_detector
    side = len(TOPS) + 1
    counts = np.bincount(rows * side + columns, minlength=side * side).reshape(side, side)
    reached = counts[::-1, ::-1].cumsum(0).cumsum(1)[::-1, ::-1]  # [i, j]: at least i and j thresholds are reached
    return [[int(value) for value in row] for row in reached[1:, 1:]]


def _levels(scores: npt.NDArray[np.float64] | None) -> npt.NDArray[np.int64] | None:
    """Return how many of the ascending thresholds each score reaches; 0 for NaN."""
    if scores is None:
        return None
    cuts = np.array([cut_of(scores, top) for top in TOPS])
    return np.where(np.isnan(scores), 0, np.searchsorted(cuts, scores, side="right"))
