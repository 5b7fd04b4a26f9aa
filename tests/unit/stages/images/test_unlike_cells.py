"""The share of cells that two pictures with common keypoints do not share."""

import numpy as np
import pytest

from stages.images.unlike_cells import CELL_PX, LEAST_CELLS, share_unlike_cells

SHAPE = (240, 320)
STAYS = np.array([[1.0, 0, 0], [0, 1, 0]])
MOVES = np.array([[1.0, 0, CELL_PX], [0, 1, 0]])


def keypoints(n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points, four in each cell of some rows of cells, and roots of length 1."""
    rng = np.random.default_rng(seed)
    places = [(x, y) for y in range(n_rows) for x in range(SHAPE[1] // CELL_PX)]
    points = np.array([(CELL_PX * x + dx, CELL_PX * y + dy) for x, y in places for dx in (8, 30) for dy in (9, 31)])
    roots = rng.normal(size=(len(points), 128)).astype(np.float32)
    return points.astype(np.float32), roots / np.linalg.norm(roots, axis=1, keepdims=True)


@pytest.mark.parametrize(("n_other", "share"), [(0, 0.0), (3, 0.5), (6, 1.0)])
def test_cells_without_a_common_keypoint_are_counted(n_other: int, share: float) -> None:
    points, roots = keypoints(6, 1)
    mixed, n_changed = roots.copy(), len(roots) * n_other // 6
    mixed[:n_changed] = keypoints(6, 2)[1][:n_changed]
    assert share_unlike_cells(points, roots, points, mixed, STAYS, SHAPE) == share


def test_points_are_compared_where_the_similarity_puts_them() -> None:
    points, roots = keypoints(6, 1)
    moved = points + np.array([CELL_PX, 0], np.float32)
    assert share_unlike_cells(points, roots, moved, roots, MOVES, SHAPE) == 0
    assert share_unlike_cells(points, roots, moved, roots, STAYS, SHAPE) == 1


def test_few_cells_say_nothing() -> None:
    (points, roots), (_, others) = keypoints(1, 1), keypoints(1, 2)
    assert SHAPE[1] // CELL_PX == LEAST_CELLS
    assert share_unlike_cells(points, roots, points, others, STAYS, SHAPE) == 1
    assert share_unlike_cells(points[:-4], roots[:-4], points, others, STAYS, SHAPE) == 0
