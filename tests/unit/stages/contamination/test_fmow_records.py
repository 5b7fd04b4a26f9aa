"""Records of FMoW's pictures are found where its archives and the corpus have them."""

import json
from pathlib import Path

import pytest

from stages.contamination.fmow_records import find_record

VIEW = "airport/airport_0/airport_0_1_rgb"


def write(path: Path, text: str = "{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "place",
    [
        f"groundtruth/val/{VIEW}.json",
        f"groundtruth/val_gt/{VIEW}.json",
        f"val_gt/{VIEW}.json",
        "groundtruth/airport_0_1_rgb.json",
    ],
)
def test_a_ground_truth_record_comes_before_the_one_beside_the_picture(place: str, tmp_path: Path) -> None:
    picture = write(tmp_path / f"val/{VIEW}.jpg")
    assert find_record(picture) is None
    beside = write(picture.with_suffix(".json"))
    assert find_record(picture) == beside
    truth = write(tmp_path / place)
    assert find_record(picture) == truth


@pytest.mark.parametrize("folder", ["", "groundtruth"])
def test_the_scene_of_a_numbered_picture_is_in_the_published_list(folder: str, tmp_path: Path) -> None:
    picture = write(tmp_path / "test/0011978/0011978_1_rgb.jpg")
    other = write(tmp_path / "test/0011979/0011979_1_rgb.jpg")
    rows = [{"input": "test_gt/airport/airport_0", "output": "test/0011978"}, "x"]
    write(tmp_path / folder / "test_gt_mapping.json", json.dumps(rows))
    truth = write(tmp_path / folder / f"test_gt/{VIEW}.json")
    assert find_record(picture) == truth and find_record(other) is None


def test_other_pictures_have_only_records_beside_them(tmp_path: Path) -> None:
    picture = write(tmp_path / "val/airport/airport_0/other.jpg")
    write(tmp_path / "groundtruth/other.json")
    assert find_record(picture) is None
    assert find_record(Path("a_0_rgb.jpg")) is None
