"""Near vectors: exact for few, nearly all for many, in one order."""

from pathlib import Path

import numpy as np
import pytest

from stages.dedup import feature_neighbours
from stages.dedup.feature_neighbours import MAX_DIMENSIONS, find_near, project
from stages.dedup.vectors import Vectors


def draw(n: int, n_copies: int, dimensions: int = 32) -> np.ndarray:
    """Vectors of which the last n_copies are near the first ones."""
    random = np.random.default_rng(4)
    found = random.normal(size=(n, dimensions)).astype(np.float32)
    found[n - n_copies :] = found[:n_copies] + random.normal(size=(n_copies, dimensions)) * 0.05
    return found * random.uniform(0.5, 2, (n, 1)).astype(np.float32)


def held(values: np.ndarray, path: Path | None = None) -> Vectors:
    """Vectors of these values."""
    vectors = Vectors(*values.shape, path)
    vectors.values[:] = values
    return vectors


def test_pairs_are_those_of_all_cosines() -> None:
    values = draw(200, 30)
    low, high, cosines = find_near(held(values), 3, 0.3)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    every = unit @ unit.T
    np.fill_diagonal(every, -2)
    least = np.sort(every, axis=1)[:, -3]
    expected = {(min(i, j), max(i, j)) for i, j in np.argwhere((every >= least[:, None]) & (every >= 0.3)).tolist()}
    assert set(zip(low.tolist(), high.tolist(), strict=True)) == expected and len(low) == len(expected)
    assert {(n, n + 170) for n in range(30)} <= expected
    assert np.allclose(cosines, every[low, high], atol=1e-5) and (low < high).all()
    assert [*zip(low, high, strict=True)] == sorted(zip(low, high, strict=True))


def test_the_nearest_one_has_a_limit_of_its_own() -> None:
    unit = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [-1, 0.1]], np.float32)
    found = {least: find_near(held(unit.copy()), 3, 0.9, least)[:2] for least in (None, 0.7, -1)}
    pairs = {least: {*zip(*(rows.tolist() for rows in both), strict=True)} for least, both in found.items()}
    assert pairs == {None: {(1, 2)}, 0.7: {(0, 1), (1, 2)}, -1: {(0, 1), (1, 2), (2, 3)}}


def test_searching_by_cells_misses_few_near_pairs_in_memory_or_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(feature_neighbours, "EXACT_ROWS", 100)
    values = draw(3000, 200)
    low, high, cosines = find_near(held(values), 5, 0.95)
    pairs = set(zip(low.tolist(), high.tolist(), strict=True))
    assert len(pairs & {(n, n + 2800) for n in range(200)}) >= 196 and len(pairs) == 200
    assert len(pairs) == len(low) and (cosines >= 0.95).all()
    again = find_near(held(draw(3000, 200), tmp_path / "vectors"), 5, 0.95)
    assert np.array_equal(again[0], low) and np.array_equal(again[1], high)


@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_few_rows_and_rows_of_zeros_have_no_pairs(n_rows: int) -> None:
    assert [len(part) for part in find_near(Vectors(n_rows, 8), 5, -1)] == [0, 0, 0]
    values = np.zeros((n_rows + 2, 8), np.float32)
    values[[0, -1], 0] = 1
    low, high, cosines = find_near(held(values), 5, -1)
    assert (low.tolist(), high.tolist(), cosines.tolist()) == ([0], [n_rows + 1], [1])


def test_projected_vectors_keep_their_cosines() -> None:
    values = draw(50, 10, 768)
    assert project(draw(3, 1, 200)).shape == (3, 200)
    short = project(values)
    assert short.shape == (50, MAX_DIMENSIONS)
    unit, reduced = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (values, short))
    assert np.abs(unit @ unit.T - reduced @ reduced.T).max() < 0.3
    assert (np.diag(reduced[40:] @ reduced[:10].T) > 0.95).all()
