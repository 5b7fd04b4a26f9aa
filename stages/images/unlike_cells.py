"""Find the parts of two pictures that are unlike although others agree: a legend, frame or program window is shared.

Not for finding where they agree: keypoints.py does that.
"""

import numpy as np
import numpy.typing as npt

from stages.images.alignment import Affine

Floats = npt.NDArray[np.float32]

# Measured on 302 copies (32 edits of real pictures) and 91 pairs of unlike pictures with one legend, frame, title,
# slide or program window, all with 24 agreeing places. If pictures that correlate by less than .6 may have a quarter
# of their cells unlike, all copies are left, and none of 38 pairs with a legend, a title or a window's menus; of the 53
# others, where a frame in strong colours correlates too, 41 are. Copies with a text strip have up to .47 unlike, but
# correlate by .63 and more. Of 480 copies with windows, frames, strips and watermarks 4 were lost, all with watermarks.
CELL_PX, LEAST_POINTS = 40, 3  # side of a cell, and keypoints of both pictures that a cell needs
LEAST_CELLS = 8
_NEAR_PX, _ALIKE_COS = 5.0, 0.8


def share_unlike_cells(
    first_points: Floats, first_roots: Floats, points: Floats, roots: Floats, affine: Affine, shape: tuple[int, int]
) -> float:
    """Return the share of cells, among those with keypoints of both pictures, where no keypoint is in both.

    Args:
        first_points: float32 [n, 2], x and y in px of the first picture's keypoints.
        first_roots: float32 [n, 128], their descriptors, of length 1.
        points: the same of the second picture.
        roots: the same of the second picture.
        affine: float64 [2, 3], maps px of the first picture to those of the second.
        shape: height and width of the second picture, px.

    Returns:
        a share in [0, 1]; 0 if fewer than LEAST_CELLS cells have keypoints of both.
    """
    moved = first_points @ affine[:, :2].T + affine[:, 2]
    is_inside = ((moved >= 0) & (moved < shape[::-1])).all(axis=1)
    moved = moved[is_inside]
    is_near = np.linalg.norm(moved[:, None] - points[None], axis=2) < _NEAR_PX
    is_same = is_near & (first_roots[is_inside] @ roots.T > _ALIKE_COS)
    n_columns = shape[1] // CELL_PX + 1
    n_cells = (shape[0] // CELL_PX + 1) * n_columns
    n_first, n_first_same = _count(moved, is_same.any(axis=1), n_columns, n_cells)
    n_second, n_second_same = _count(points, is_same.any(axis=0), n_columns, n_cells)
    has_points = np.minimum(n_first, n_second) >= LEAST_POINTS
    if has_points.sum() < LEAST_CELLS:
        return 0.0
    return float((np.minimum(n_first_same, n_second_same)[has_points] == 0).mean())


def _count(
    points: npt.NDArray[np.floating], is_same: npt.NDArray[np.bool_], n_columns: int, n_cells: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many points each cell has, and how many of them are in both pictures."""
    column, row = (points // CELL_PX).astype(np.int64).T
    cells = np.clip(row * n_columns + column, 0, n_cells - 1)
    return np.bincount(cells, minlength=n_cells), np.bincount(cells[is_same], minlength=n_cells)
