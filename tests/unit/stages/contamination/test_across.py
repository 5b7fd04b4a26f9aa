import numpy as np

from stages.contamination import across
from stages.contamination.across import search

RNG = np.random.default_rng(3)
QUERIES = RNG.normal(size=(40, 16)).astype(np.float32)
VECTORS = RNG.normal(size=(900, 16)).astype(np.float32)
KEYS = np.arange(900, dtype=np.uint64)


def brute_force(n_nearest: int, least: float) -> list[tuple[int, int]]:
    one = QUERIES / np.linalg.norm(QUERIES, axis=1, keepdims=True)
    other = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    cosines = one.astype(np.float64) @ other.astype(np.float64).T
    return [
        (n, int(row))
        for n, line in enumerate(cosines)
        for row in np.argsort(-line, kind="stable")[:n_nearest]
        if line[row] >= least
    ]


def blocks(size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(VECTORS[start : start + size], KEYS[start : start + size]) for start in range(0, len(VECTORS), size)]


def test_blocks_and_pruning_do_not_change_the_nearest(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    for n_nearest, least in ((3, -1.0), (10, 0.4), (1, 0.9)):
        expected = brute_force(n_nearest, least)
        for size, held in ((900, across.HELD), (50, 200), (7, 60)):
            monkeypatch.setattr(across, "HELD", held)
            query, row, cosines = search(QUERIES, blocks(size), n_nearest, least)
            assert list(zip(query.tolist(), row.tolist(), strict=True)) == expected
            assert len(cosines) == len(expected) and (cosines >= least).all()


def test_zeros_are_near_nothing_and_smaller_keys_win_ties() -> None:
    zeros = np.zeros((1, 16), np.float32)
    assert not search(zeros, blocks(900), 5, -1)[0].size
    assert not search(QUERIES, [(zeros, KEYS[:1])], 5, -1)[0].size
    assert not search(QUERIES, [], 5, -1)[0].size
    equal = np.repeat(QUERIES[:1], 4, axis=0)
    keys = np.array([5, 2, 9, 3], np.uint64)
    assert search(QUERIES[:1], [(equal[:2], keys[:2]), (equal[2:], keys[2:])], 2, 0.9)[1].tolist() == [1, 3]
