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
def test_the_nearest_query_of_each_group_equals_brute_force(max_distance: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "PAIRS_AT_ONCE", 500)
    hashes, queries, groups = planted(max_distance, 1500, 300)
    expected = {}
    for group in range(3):
        of_group = np.flatnonzero(groups == group)
        distances = np.bitwise_count(hashes[:, None] ^ queries[of_group])
        for row in np.flatnonzero(distances.min(1) <= max_distance).tolist():
            best = int(distances[row].argmin())  # the first of equally near ones
            expected[row, group] = int(of_group[best]), int(distances[row, best])
    rows, found, distance = nearest_within(hashes, queries, max_distance, groups)
    assert len(expected) > 20
    assert list(zip(rows.tolist(), groups[found].tolist(), strict=True)) == sorted(expected)
    assert list(zip(found.tolist(), distance.tolist(), strict=True)) == [expected[key] for key in sorted(expected)]


def test_empty_inputs_give_no_pairs() -> None:
    none, groups = np.empty(0, np.uint64), np.empty(0, np.int64)
    some = np.array([1, 2], np.uint64)
    for hashes, queries, of in ((none, none, groups), (some, none, groups), (none, some, np.array([0, 1]))):
        assert [len(found) for found in nearest_within(hashes, queries, 4, of)] == [0, 0, 0]
    with pytest.raises(ValueError, match="max_distance"):
        nearest_within(some, some, 61, np.array([0, 0]))
