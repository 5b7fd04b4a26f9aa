"""Components of near hashes, against brute force over all pairs."""

import time
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from stages.dedup import neighbours
from stages.dedup.neighbours import components, distance, estimate_seconds

Hashes = npt.NDArray[np.uint64]


def brute_force(hashes: Hashes, max_distance: int) -> npt.NDArray[np.int64]:
    _, found = connected_components(distance(hashes[:, None], hashes[None, :]) <= max_distance, directed=False)
    smallest = np.full(hashes.size, hashes.size)
    np.minimum.at(smallest, found, np.arange(hashes.size))
    labels: npt.NDArray[np.int64] = smallest[found]
    return labels


def plant(seed: int, n_hashes: int, n_centres: int, n_flips: int) -> Hashes:
    """Return hashes scattered around centres, with up to n_flips bits changed."""
    random = np.random.default_rng(seed)
    hashes = random.choice(random.integers(0, 2**64, max(1, n_centres), dtype=np.uint64), n_hashes)
    for _ in range(n_flips):
        bits = np.uint64(1) << random.integers(0, 64, n_hashes).astype(np.uint64)
        hashes = hashes ^ np.where(random.random(n_hashes) < 0.5, bits, np.uint64(0))
    return hashes


WORLDS = st.builds(plant, st.integers(0, 2**32), st.integers(1, 300), st.integers(1, 40), st.integers(0, 6))


@settings(max_examples=120, deadline=None)
@given(hashes=WORLDS, max_distance=st.integers(0, 8))
def test_components_equal_brute_force(hashes: Hashes, max_distance: int) -> None:
    assert components(hashes, max_distance).tolist() == brute_force(hashes, max_distance).tolist()


@cache
def crowded(seed: int, max_distance: int) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Return 400 crowded hashes and 2,000 scattered ones, and their components; each takes .1 s of CPU."""
    hashes = np.concatenate([plant(seed, 400, 20, 4), plant(seed, 2_000, 1_900, 4)])
    return hashes, brute_force(hashes, max_distance)


@pytest.mark.parametrize("n_equal", [1, 2, 3, 4])
@pytest.mark.parametrize("max_walked", [2, 8])
def test_components_do_not_depend_on_bands_and_bucket_size(
    n_equal: int, max_walked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "_choose_equal", lambda n_hashes, max_distance, n_turned: n_equal)
    monkeypatch.setattr(neighbours, "MAX_WALKED", max_walked)
    for seed in range(3):
        for max_distance in (1, 3, 4):
            hashes, expected = crowded(seed, max_distance)
            assert components(hashes, max_distance).tolist() == expected.tolist()


@settings(max_examples=40, deadline=None)
@given(hashes=WORLDS, max_distance=st.integers(0, 8), seed=st.integers(0, 99))
def test_the_partition_does_not_depend_on_the_order(hashes: Hashes, max_distance: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(hashes.size)
    labels, shuffled = components(hashes, max_distance), components(hashes[order], max_distance)
    smallest = np.full(hashes.size, hashes.size)
    np.minimum.at(smallest, shuffled, order)
    assert labels[order].tolist() == smallest[shuffled].tolist()


def test_a_label_is_the_smallest_row_of_its_component() -> None:
    hashes = np.array([7, 0xFF00, 3, 7, 0xFF01], dtype=np.uint64)
    assert components(hashes, 1).tolist() == [0, 1, 0, 0, 1]
    assert components(hashes, 0).tolist() == [0, 1, 2, 0, 4]


def test_a_chain_is_one_component_though_its_ends_are_far_apart() -> None:
    chain = np.array([(1 << n) - 1 for n in range(64)], dtype=np.uint64)[::-1].copy()
    assert distance(chain[:1], chain[-1:]).tolist() == [63]
    assert set(components(chain, 1).tolist()) == {0}
    assert components(chain[::2], 1).tolist() == list(range(32))


def test_empty_input_and_a_single_hash_work() -> None:
    assert components(np.array([], dtype=np.uint64), 4).tolist() == []
    assert components(np.array([5], dtype=np.uint64), 4).tolist() == [0]
    assert components(np.array([0, 2**64 - 1], dtype=np.uint64), 64).tolist() == [0, 0]


def test_a_negative_distance_is_an_error() -> None:
    with pytest.raises(ValueError, match="max_distance"):
        components(np.array([5], dtype=np.uint64), -1)


def test_large_clusters_among_many_hashes_are_found_completely() -> None:
    random = np.random.default_rng(3)
    lonely = random.integers(0, 2**64, 50_000, dtype=np.uint64)
    centre = np.uint64(0x0F0F_1234_5678_9ABC)
    hot = np.repeat(centre, 5_000)
    for _ in range(2):
        hot = hot ^ (np.uint64(1) << random.integers(0, 64, hot.size).astype(np.uint64))
    hashes = np.concatenate([np.array([centre]), lonely, hot])
    start_s = time.process_time()
    labels = components(hashes, 4)
    assert time.process_time() - start_s < 5
    assert (labels[-hot.size :] == 0).all()
    assert np.count_nonzero(labels == 0) == 1 + hot.size
    assert np.count_nonzero(labels == np.arange(hashes.size)) == 1 + lonely.size


@pytest.mark.parametrize("max_walked", [2, 1024])
@pytest.mark.parametrize("seed", range(4))
def test_components_of_turned_hashes_equal_brute_force(
    seed: int, max_walked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "MAX_WALKED", max_walked)
    for n_centres, max_distance in ((30, 3), (200, 4), (200, 0)):
        ways = np.column_stack([plant(seed + 10 * way, 300, n_centres, 3) for way in range(4)])
        for row in range(0, 300, 7):
            ways[row] = np.roll(ways[(row * 5) % 300], row % 4)
        hashes, turned = ways[:, 0].copy(), ways[:, 1:]
        is_near = (distance(ways[:, :, None], hashes) <= max_distance).any(axis=1)
        _, found = connected_components(is_near, directed=False)
        smallest = np.full(300, 300)
        np.minimum.at(smallest, found, np.arange(300))
        assert components(hashes, max_distance, turned).tolist() == smallest[found].tolist()


def test_hundreds_of_hashes_among_many_equal_bands_equal_brute_force() -> None:
    # All differ in the lowest 22 bits alone, so that most bands put all of them in one group.
    hashes = np.random.default_rng(5).integers(0, 2**22, 3_000, dtype=np.uint64)
    for max_distance in (1, 2, 4):
        assert components(hashes, max_distance).tolist() == brute_force(hashes, max_distance).tolist()


def test_the_estimate_grows_little_for_few_bits_and_fast_for_many() -> None:
    assert estimate_seconds(5_200_000, 4) < 5 < 40 < estimate_seconds(5_200_000, 10)
    assert estimate_seconds(10_400_000, 4) < 2.3 * estimate_seconds(5_200_000, 4)
    assert estimate_seconds(10_400_000, 14) > 2.9 * estimate_seconds(5_200_000, 14)
    assert estimate_seconds(5_200_000, 4, 7) > 4 * estimate_seconds(5_200_000, 4)
