"""The pairs by hashes of insides are those that comparing every window of every pair gives."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.fields import FIELD
from stages.contamination.insides import near_insides, nearest_insides, read_insides
from stages.contamination.settings import SearchParams

SIMPLE = 0xF0F0F0F0F0F0F0F0  # left and right half: a product of a row and a column
RNG = np.random.default_rng(4)


def _table(keys: dict[str, list[str]], hashes: Any, details: Any) -> pa.Table:
    columns = {"window_hashes": hashes.tolist(), "window_details": details.tolist()}
    return pa.table({**keys, **{name: pa.array(values, FIELD[name].type) for name, values in columns.items()}})


def _evaluated(hashes: Any, details: Any) -> pa.Table:
    names = [f"{n}.png" for n in range(len(hashes))]
    return _table({"evaluation_set": ["aid"] * len(names), "evaluation_path": names}, hashes, details)


def _gallery(hashes: Any, details: Any) -> pa.Table:
    return _table({"pixel_sha256": [f"p{n:03d}" for n in range(len(hashes))]}, hashes, details)


def _pairs(evaluated: pa.Table, gallery: pa.Table, **params: Any) -> list[tuple[str, str]]:
    found = near_insides(evaluated, gallery, SearchParams(**params))
    assert set(found["evaluation_set"].to_pylist()) <= {"aid"}
    return list(zip(found["evaluation_path"].to_pylist(), found["pixel_sha256"].to_pylist(), strict=True))


@pytest.mark.parametrize(("n_candidates", "max_bits"), [(100, 8), (100, 0), (2, 8)])
def test_pairs_are_those_of_brute_force(n_candidates: int, max_bits: int) -> None:
    asked = RNG.integers(0, 2**64, (6, 3), np.uint64)
    shown = RNG.integers(0, 2**64, (200, 3), np.uint64)
    for n in range(0, 200, 5):  # near one of an evaluation picture's windows, in up to 11 bits
        flipped = np.bitwise_or.reduce(np.uint64(1) << RNG.integers(0, 64, n % 12).astype(np.uint64), initial=0)
        shown[n, n % 3] = asked[n % 6, n % 3] ^ np.uint64(flipped)
    details = [RNG.choice([0.0, 2.0], size=(len(some), 3), p=[0.1, 0.9]) for some in (asked, shown)]
    bits = np.bitwise_count(asked[:, None] ^ shown[None]).astype(int)
    bits[(details[0] == 0)[:, None] | (details[1] == 0)[None]] = 99
    least = bits.min(axis=2)
    order = [np.lexsort((np.arange(200), row)) for row in least]
    expected = [
        (f"{n}.png", f"p{m:03d}")
        for n, row in enumerate(order)
        for m in sorted(m for m in row[:n_candidates] if least[n, m] <= max_bits)
    ]
    found = _pairs(
        _evaluated(asked, details[0]),
        _gallery(shown, details[1]),
        n_candidates=n_candidates,
        max_inside_distance=max_bits,
    )
    assert found == expected and (len(found) >= 5 or max_bits == 0)


def test_each_group_has_its_own_nearest() -> None:
    hashes = RNG.integers(0, 2**64, (1, 3), np.uint64) ^ np.arange(24, dtype=np.uint64).reshape(8, 3)
    insides = read_insides(_gallery(hashes, np.full((8, 3), 2.0)), ("pixel_sha256",), 0.05)
    groups = np.arange(8) % 2
    found = nearest_insides(insides, insides, groups, SearchParams(n_candidates=2))
    least = np.bitwise_count(hashes[:, None] ^ hashes[None]).min(axis=2)
    of_group = [[m for m in range(8) if groups[m] == group] for group in (0, 1)]
    expected = [
        (n, m)
        for n in range(8)
        for m in sorted(m for every in of_group for m in sorted(every, key=lambda m: (least[n, m], m))[:2])
    ]
    assert list(zip(found["asked"].to_pylist(), found["shown"].to_pylist(), strict=True)) == expected


def test_simple_layouts_and_empty_tables_give_no_pairs() -> None:
    hashes, details = np.full((2, 3), SIMPLE, np.uint64), np.full((2, 3), 2.0)
    evaluated, gallery = _evaluated(hashes, details), _gallery(hashes, details)
    assert _pairs(evaluated, gallery) == []
    assert len(_pairs(evaluated, gallery, max_layout_share=1.0)) == 4
    assert _pairs(evaluated, gallery.slice(0, 0)) == [] == _pairs(evaluated.slice(0, 0), gallery)
