"""The nearest evaluation pictures of each split are found, each by its nearest variant."""

from typing import Any

import pyarrow as pa

from schemas.fields import FIELD
from stages.contamination.hash_pairs import HASHED, find_near
from stages.contamination.settings import NearParams

VARIED = 0x9D3A61C75E08B4F2  # no simple layout


def flip(n_bits: int) -> int:
    return VARIED ^ ((1 << n_bits) - 1)


def near(hashes: list[int], pictures: dict[str, list[tuple[str, int]]], **changes: Any) -> list[tuple[Any, ...]]:
    """Return hash, path, variant and distance of each pair; paths name the split before a slash."""
    rows = [
        {
            "evaluation_set": "aid",
            "evaluation_path": path,
            "evaluation_split": path.split("/")[0],
            "variant_names": [name for name, _ in variants],
            "variant_hashes": [value for _, value in variants],
            "variant_details": [changes.get("detail", 1.0)] * len(variants),
        }
        for path, variants in pictures.items()
    ]
    table = pa.Table.from_pylist(rows, pa.schema([(name, FIELD[name].type) for name in HASHED]))
    params = NearParams(max_distance=8, max_window_distance=4, **changes.get("limits", {}))
    found = find_near(pa.chunked_array([pa.array(hashes, pa.uint64())]), table, params).to_pylist()
    names = ("phash", "evaluation_path", "match_variant", "match_distance")
    return sorted(tuple(row[name] for name in names) for row in found)


def test_three_pictures_of_each_split_are_found_nearest_first() -> None:
    pictures = {f"test/{n}": [("upright", flip(n))] for n in range(5)} | {"train/8": [("upright", flip(8))]}
    expected = [(VARIED, f"test/{n}", "upright", float(n)) for n in range(3)]
    assert near([VARIED], pictures) == [*expected, (VARIED, "train/8", "upright", 8.0)]


def test_each_picture_has_its_nearest_variant_a_turn_before_a_window() -> None:
    pictures = {
        "all/a": [("mirrored", flip(3)), ("window 2 0 0 0", flip(2)), ("window 5 0 0 0", flip(1))],
        "all/b": [("mirrored", flip(2)), ("window 2 0 0 0", flip(2))],
        "all/c": [("mirrored", flip(9)), ("window 2 0 0 0", flip(5))],  # beyond both limits
    }
    assert near([VARIED], pictures) == [
        (VARIED, "all/a", "window 5 0 0 0", 1.0),
        (VARIED, "all/b", "mirrored", 2.0),
    ]


def test_simple_layouts_and_pictures_without_detail_match_nothing() -> None:
    corner = 0xF0F0F0F00F0F0F0F
    pictures = {"all/a": [("upright", corner)], "all/b": [("upright", VARIED)]}
    assert near([corner, VARIED], pictures) == [(VARIED, "all/b", "upright", 0.0)]
    assert len(near([corner, VARIED], pictures, limits={"max_layout_share": 1.0})) == 2
    assert near([corner, VARIED], pictures, detail=0.01) == []
    assert near([], pictures) == [] == near([VARIED], {})
