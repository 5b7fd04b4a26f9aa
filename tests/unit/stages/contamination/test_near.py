import numpy as np
import pytest

from stages.contamination import near
from stages.contamination.near import nearest_within


def planted(seed: int, n: int, n_queries: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hashes, queries up to 7 bits away from some of them, and the groups of the queries."""
    rng = np.random.default_rng(seed)
    hashes = np.unique(rng.integers(0, 2**64, n, dtype=np.uint64))
    hashes[: n // 10] &= np.uint64(0xFF)  # many hashes near each other
    hashes = np.unique(hashes)
    queries = rng.choice(hashes, n_queries)
    for row, n_bits in enumerate(rng.integers(0, 8, n_queries).tolist()):
        for bit in rng.choice(64, n_bits, replace=False).tolist():
            queries[row] ^= np.uint64(1 << bit)
    return hashes, queries, rng.integers(0, 3, n_queries)


@pytest.mark.parametrize("max_distance", [0, 1, 4, 6])
def test_the_nearest_pictures_of_each_group_equal_brute_force(
    max_distance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near, "PAIRS_AT_ONCE", 500)
    monkeypatch.setattr(near, "HELD", 2_000)
    hashes, queries, groups = planted(max_distance, 1500, 300)
    pictures = groups * 40 + np.arange(300) % 40
    expected = []
    distances = np.bitwise_count(hashes[:, None] ^ queries)
    for row, group in np.ndindex(len(hashes), 3):
        near_ones = np.flatnonzero((groups == group) & (distances[row] <= max_distance)).tolist()
        ranked = sorted(near_ones, key=lambda query: (distances[row, query], query))
        first = {pictures[query]: query for query in reversed(ranked)}  # the nearest query of each picture
        chosen = [query for query in ranked if first[pictures[query]] == query][:2]
        expected += [(row, query, int(distances[row, query])) for query in chosen]
    found = nearest_within(hashes, queries, max_distance, groups, pictures, 2)
    assert len(expected) > 20
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def test_empty_inputs_give_no_pairs() -> None:
    none, groups = np.empty(0, np.uint64), np.empty(0, np.int64)
    some = np.array([1, 2], np.uint64)
    for hashes, queries, of in ((none, none, groups), (some, none, groups), (none, some, np.array([0, 1]))):
        assert [len(found) for found in nearest_within(hashes, queries, 4, of, of)] == [0, 0, 0]
    with pytest.raises(ValueError, match="max_distance"):
        nearest_within(some, some, 61, np.array([0, 0]), np.array([0, 0]))
