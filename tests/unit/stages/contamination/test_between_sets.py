from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.demo.world import views
from stages.contamination import between_sets
from stages.contamination.between_sets import FIND_SET_PAIRS
from tests.benchmarks.recall_edits import Rng, frame, text_strip, turn_slightly
from tests.contamination_pictures import describe_sets, find_overlap, run_stage, write_set


def draw(seed: int) -> Image.Image:
    return views.draw_airport(np.random.default_rng([9, seed]), 240, 200)


def test_turned_copies_in_other_sets_and_splits_are_found(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(between_sets, "PAIRS_PER_PARTITION", 1)
    rng = np.random.default_rng(4)
    write_set(
        tmp_path / "aid", {"test/0.png": draw(0), "test/1.png": draw(1), "test/2.png": turn_slightly(draw(1), rng)}
    )
    write_set(
        tmp_path / "ucm", {"train/0.png": turn_slightly(draw(0), rng), "test/0.png": draw(5), "test/3.png": draw(3)}
    )
    rows = find_overlap(describe_sets(tmp_path))
    names = ("evaluation_set", "evaluation_split", "other_set", "other_split", "other_path", "measure")
    # Copies within one split are no overlap.
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("aid", "test", "ucm", "train", "train/0.png", "keypoints"),
        ("ucm", "train", "aid", "test", "test/0.png", "keypoints"),
    ]
    assert not find_overlap(describe_sets(tmp_path), min_inliers=400)


def test_each_picture_is_compared_with_its_nearest_in_all_other_splits(tmp_path: Path) -> None:
    sets = {f"set{n}": {f"{m}.png": draw(m) for m in range(2)} for n in range(5)}
    for name, pictures in sets.items():
        write_set(tmp_path / name, pictures)
    tables = describe_sets(tmp_path)
    run_stage(FIND_SET_PAIRS, tables, n_candidates=3, max_inside_distance=0)
    rows = tables["set_pair"].to_pylist()
    assert rows and all(row["evaluation_path"] == row["other_path"] for row in rows)  # the nearest ones are the copies
    names = [(row["evaluation_set"], row["evaluation_path"], row["other_set"]) for row in rows]
    # The first three others by key, of equally near ones: set0 to set3 of set4, set0, set1 and set3 of set2, …
    pairs = {tuple(sorted((one, other))) for one in range(5) for other in [n for n in range(5) if n != one][:3]}
    assert names == [(f"set{one}", f"{m}.png", f"set{two}") for one in range(5) for m in range(2)
                     for two in range(5) if (one, two) in pairs]  # fmt: skip


@pytest.mark.parametrize("edit", [frame, text_strip])
def test_copies_with_a_frame_or_a_text_in_other_sets_are_found(
    edit: Callable[[Image.Image, Rng], Image.Image], tmp_path: Path
) -> None:
    write_set(tmp_path / "aid", {"0.png": draw(0), "1.png": draw(1)})
    write_set(tmp_path / "ucm", {"0.png": edit(draw(0), np.random.default_rng(1)), "5.png": draw(5)})
    sets = describe_sets(tmp_path)
    rows = find_overlap(sets, min_summary_cos=1.0)  # no two summaries are so near: hashes of insides give candidates
    assert [(row["evaluation_set"], row["other_set"], row["other_path"], row["measure"]) for row in rows] == [
        ("aid", "ucm", "0.png", "keypoints"),
        ("ucm", "aid", "0.png", "keypoints"),
    ]
    assert not find_overlap(sets, min_summary_cos=1.0, min_detail=100.0)  # no inside has so much
