"""Names of captions files and lists stand for images by path, by its end, or without an ending."""

import pytest

from stages.contamination.named_splits import assign_splits


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"images/a/1.jpg": "test"}, {"images/a/1.jpg": "test"}),
        ({"a/1.jpg": "train", "b/1.jpg": "test"}, {"images/a/1.jpg": "train", "images/b/1.jpg": "test"}),
        ({"a/1.tif": "train", "b/1": "val"}, {"images/a/1.jpg": "train", "images/b/1.jpg": "val"}),
        ({"1.jpg": "test"}, {"images/a/1.jpg": "test", "images/b/1.jpg": "test"}),
        ({"1.jpg": "test", "a/1.jpg": "val"}, {"images/a/1.jpg": "val", "images/b/1.jpg": "test"}),
        ({"a/1.jpg": "val", "1.jpg": "test"}, {"images/a/1.jpg": "val", "images/b/1.jpg": "test"}),
        ({"1": "test"}, {"images/a/1.jpg": "test", "images/b/1.jpg": "test"}),  # a list of names without endings
        ({"1.tif": "test"}, {}),  # of two images
        ({"2.tif": "test"}, {"images/2.PNG": "test"}),
        ({"2.jpg": "test"}, {"images/2.PNG": "test"}),
        ({"ages/2.PNG": "test", "c/1.jpg": "test", "": "test"}, {}),
    ],
)
def test_names_stand_for_images(named: dict[str, str], expected: dict[str, str]) -> None:
    images = ("images/a/1.jpg", "images/b/1.jpg", "images/2.PNG")
    found = assign_splits(dict.fromkeys(images, "all"), named, "all")
    assert tuple(found) == images and {path: split for path, split in found.items() if split != "all"} == expected


def test_an_image_with_the_name_hides_those_with_another_ending() -> None:
    found = assign_splits({"1.tif": "all", "copies/1.jpg": "all"}, {"1.tif": "test"}, "all")
    assert found == {"1.tif": "test", "copies/1.jpg": "all"}


def test_the_folder_of_a_split_counts_where_a_name_stands_for_several_images() -> None:
    by_folder = {"train/1.jpg": "train", "test/1.jpg": "test", "more/1.jpg": "all", "test/2.jpg": "test"}
    found = assign_splits(by_folder, {"1.jpg": "val", "2.jpg": "val"}, "all")
    assert found == {**by_folder, "more/1.jpg": "val", "test/2.jpg": "val"}
