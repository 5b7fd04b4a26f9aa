"""Clusters of near pictures: a component is divided so that each member is near the survivor."""

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stages.dedup import clusters
from stages.dedup.clusters import label_clusters
from stages.dedup.neighbours import distance

Hashes = npt.NDArray[np.uint64]


def label_dated(hashes: Hashes, dates: list[int], max_distance: int = 4, *, is_chained: bool = False) -> Any:
    """Return labels and places as lists."""
    n = hashes.shape[0]
    found = label_clusters(np.arange(n), hashes, np.ones(n), np.array(dates), max_distance, 0.05, is_chained=is_chained)
    return tuple(one.tolist() for one in found)


def label(hashes: Hashes, max_distance: int = 4, *, is_chained: bool = False) -> npt.NDArray[np.int64]:
    n = hashes.shape[0]
    none = np.zeros(n, np.int64)
    return label_clusters(np.arange(n), hashes, np.ones(n), none, max_distance, 0.05, is_chained=is_chained)[0]


def near(hashes: Hashes, a: int, b: int, max_distance: int) -> bool:
    there = distance(hashes[a], hashes[b, 0]).min()
    back = distance(hashes[b], hashes[a, 0]).min()
    return bool(min(there, back) <= max_distance)


def cut_slowly(hashes: Hashes, max_distance: int) -> list[int]:
    """Return for each row the first near head, or the row itself: the definition in pure Python."""
    heads: list[int] = []
    found = []
    for row in range(hashes.shape[0]):
        head = next((head for head in heads if near(hashes, row, head, max_distance)), row)
        heads += [row] * (head == row)
        found.append(head)
    return found


def cut_dated_slowly(hashes: Hashes, dates: list[int], max_distance: int) -> tuple[list[int], list[int]]:
    """Return labels and places by their definition: as cut_slowly, but a head takes members of one date alone."""
    date_of: dict[int, int] = {}  # by head
    labels, links = [], []
    for row, date in enumerate(dates):
        taker = row
        for head in date_of:
            if near(hashes, row, head, max_distance):
                links.append((row, head))
                if 0 in (date, date_of[head]) or date == date_of[head]:
                    taker = head
                    break
        date_of[taker] = date_of.get(taker, 0) or date
        labels.append(taker)
    place = list(range(len(dates)))
    for row, head in links:
        low, high = sorted((place[row], place[head]))
        place = [low if one == high else one for one in place]
    several = {one for one in place if len({labels[row] for row in range(len(dates)) if place[row] == one}) > 1}
    return labels, [one if one in several else -1 for one in place]


def walk(seed: int, n_rows: int, n_ways: int) -> Hashes:
    """Return hashes that differ from an earlier one in one or two bits, also in their turned hashes."""
    random = np.random.default_rng(seed)
    rows = [random.integers(0, 2**64, n_ways, dtype=np.uint64)]
    for _ in range(n_rows - 1):
        flips = np.uint64(1) << random.integers(0, 64, n_ways).astype(np.uint64)
        row = rows[random.integers(max(0, len(rows) - 9), len(rows))] ^ flips
        # Some pictures are turned: their own hash is one of the turned hashes.
        rows.append(np.roll(row, random.integers(0, n_ways)) if random.random() < 0.3 else row)
    return np.array(rows)[random.permutation(n_rows)]


@pytest.mark.parametrize("n_ways", [1, 8])
@pytest.mark.parametrize("few", [1, 10_000])
@pytest.mark.parametrize("seed", range(3))
def test_each_picture_joins_the_first_near_head(
    seed: int, few: int, n_ways: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "FEW", few)  # search by the index of heads, or compare with all
    hashes = walk(seed, 150, n_ways)
    for max_distance in (1, 2, 4, 9):
        assert label(hashes, max_distance).tolist() == cut_slowly(hashes, max_distance)


@pytest.mark.parametrize("n_ways", [1, 8])
@pytest.mark.parametrize("few", [1, 10_000])
@pytest.mark.parametrize("seed", range(3))
def test_a_cluster_has_one_stated_date_and_others_near_it_have_its_place(
    seed: int, few: int, n_ways: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "FEW", few)
    hashes = walk(seed, 150, n_ways)
    dates = np.random.default_rng(seed).choice([0, 0, 20150601, 20190912, 20190913], 150).tolist()
    for max_distance in (1, 2, 4, 9):
        found = label_dated(hashes, dates, max_distance)
        assert found == cut_dated_slowly(hashes, dates, max_distance)
        assert max(found[1]) >= 0  # places were found


def test_a_chain_is_divided_by_stated_dates_and_keeps_its_place() -> None:
    hashes = np.array([[0], [1], [3], [7], [15], [7 << 40]], np.uint64)
    dates = [0, 20190912, 20150601, 20190912, 20150601, 20150601]
    labels, places = label_dated(hashes, dates, max_distance=1, is_chained=True)
    assert labels == [0, 0, 2, 0, 2, 5]
    assert places == [0, 0, 0, 0, 0, -1]


def test_a_long_chain_costs_far_less_than_its_square() -> None:
    random = np.random.default_rng(1)
    steps = np.uint64(1) << random.integers(0, 64, 30_000).astype(np.uint64)
    hashes = np.bitwise_xor.accumulate(np.concatenate([np.array([0], np.uint64), steps]))[:, None]
    label(hashes[:300])  # compile first
    costs_s = []
    for n in (7_500, 30_000):
        start_s = time.process_time()
        found = label(hashes[:n], 4)
        costs_s.append(time.process_time() - start_s)
        assert np.unique(found).size > n // 20
        assert (distance(hashes[:n, 0], hashes[found, 0]) <= 4).all()
    assert costs_s[1] < 12 * max(costs_s[0], 0.05)


def test_a_turned_picture_joins_the_cluster_unless_the_search_is_upright() -> None:
    random = np.random.default_rng(2)
    one = random.integers(0, 2**64, 8, dtype=np.uint64)
    turned = one[[4, 5, 6, 7, 0, 1, 2, 3]]
    other = random.integers(0, 2**64, 8, dtype=np.uint64)
    hashes = np.array([one, other, turned])
    for is_chained in (False, True):
        assert label(hashes, is_chained=is_chained).tolist() == [0, 1, 0]
        assert label(hashes[:, :1], is_chained=is_chained).tolist() == [0, 1, 2]


def test_a_picture_without_detail_only_joins_equal_pixels() -> None:
    hashes = np.zeros((4, 8), np.uint64)
    details = np.array([1.0, 0.0, 1.0, 0.0])
    none = np.zeros(4, np.int64)
    found, _ = label_clusters(np.array([0, 1, 2, 1]), hashes, details, none, 4, 0.05, is_chained=False)
    assert found.tolist() == [0, 1, 0, 1]


def test_no_pictures_give_no_clusters() -> None:
    assert label(np.empty((0, 8), np.uint64)).tolist() == []
