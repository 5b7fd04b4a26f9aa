import numpy as np
import pytest

from stages.contract import InputError
from stages.dedup.window_pairs import MOST_COMPARED, find_window_pairs, refuse_long_search


def _brute(hashes: np.ndarray, details: np.ndarray, limit: int, least: float) -> set[tuple[int, int]]:
    found = set()
    for window in range(hashes.shape[1]):
        for low in range(len(hashes)):
            for high in range(low + 1, len(hashes)):
                is_known = min(details[low, window], details[high, window]) >= least
                if is_known and int(hashes[low, window] ^ hashes[high, window]).bit_count() <= limit:
                    found.add((low, high))
    return found


def test_all_near_pairs_of_any_window_are_found() -> None:
    rng = np.random.default_rng(4)
    hashes = rng.integers(0, 2**63, (80, 3), dtype=np.uint64)
    for n in range(40, 80):  # near another row in one window, by 0 to 8 bits
        bits = rng.choice(64, rng.integers(0, 9), replace=False)
        hashes[n, n % 3] = hashes[n - 40, n % 3] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    details = rng.uniform(0, 0.5, (80, 3))
    for limit in (0, 4, 6):
        low, high = find_window_pairs(hashes, details >= 0.05, limit)
        found = list(zip(low.tolist(), high.tolist(), strict=True))
        assert found == sorted(_brute(hashes, details, limit, 0.05)) and len(found) > 2 * limit


def test_of_many_equal_windows_each_is_paired_with_the_first() -> None:
    n = MOST_COMPARED + 40
    low, high = find_window_pairs(np.full((n, 1), 7, np.uint64), np.ones((n, 1), bool), 6)
    assert low.tolist() == [0] * (n - 1) and high.tolist() == list(range(1, n))


def test_few_or_plain_rows_have_no_pairs() -> None:
    for n in (0, 1, 3):
        low, high = find_window_pairs(np.zeros((n, 3), np.uint64), np.zeros((n, 3), bool), 6)
        assert low.size == high.size == 0


def test_a_long_search_is_refused_with_the_settings_to_change() -> None:
    refuse_long_search(5_000_000, 3, 6, 60)
    with pytest.raises(InputError, match=r"dedup\.max_window_distance = 8 would take about [0-9.]+ minutes"):
        refuse_long_search(50_000_000, 3, 8, 1)
