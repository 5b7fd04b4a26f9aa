import os
from pathlib import Path

import pytest

from schemas.manifest_files import ManifestError
from stages.contamination.sets import evaluation_identity, find_sets, list_images
from stages.contract import InputError

MANIFEST = """
[[set]]
name = "rsicd"
folder = "images"
pattern = "**/*.jpg"
split_pattern = '(^|/)\\w+?_(?P<split>train|valid|test)_'
licence = "research use"
"""


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def listed(evaluation: Path, splits: dict[str, str] | None = None) -> dict[str, str]:
    """Return the split of each image of EVAL's only set, by path."""
    (one,) = find_sets(evaluation).folders
    rows, _ = list_images(one, splits or {})
    return {row["evaluation_path"]: row["evaluation_split"] for row in rows}


def test_folders_name_the_splits(tmp_path: Path) -> None:
    touch(tmp_path, "ucm/Train/a/1.tif", "ucm/validation/2.JPG", "ucm/test/3.png", "ucm/extra/4.png", "ucm/5.webp")
    assert listed(tmp_path) == {
        "Train/a/1.tif": "train", "validation/2.JPG": "val", "test/3.png": "test", "extra/4.png": "all", "5.webp": "all"
    }  # fmt: skip


def test_captions_name_the_splits_by_file_name(tmp_path: Path) -> None:
    touch(tmp_path, "ucm/a/1.tif", "ucm/a/2.tif")
    assert listed(tmp_path, {"1.tif": "test", "a/2.tif": "val"}) == {"a/1.tif": "test", "a/2.tif": "val"}


def test_a_manifest_names_folders_patterns_and_splits(tmp_path: Path) -> None:
    touch(tmp_path, "images/x_train_1.jpg", "images/deep/x_valid_2.jpg", "images/x_3.jpg", "images/x_test_4.png")
    (tmp_path / "sets.toml").write_text(MANIFEST)
    (one,) = find_sets(tmp_path / "sets.toml").folders
    rows, refused = list_images(one, {})
    found = {row["evaluation_path"]: (row["evaluation_split"], row["evaluation_licence"]) for row in rows}
    right = "research use"
    assert found == {"x_train_1.jpg": ("train", right), "deep/x_valid_2.jpg": ("val", right), "x_3.jpg": ("all", right)}
    assert refused == [("rsicd", "x_test_4.png", "not_an_evaluation_image", "pattern **/*.jpg")]


def test_links_to_folders_are_followed_but_not_around(tmp_path: Path) -> None:
    evaluation, elsewhere = tmp_path / "sets", touch(tmp_path / "elsewhere", "1.jpg", "deep/2.jpg")
    touch(evaluation, "aid/train/0.jpg")
    (evaluation / "aid/test").symlink_to(elsewhere)
    (elsewhere / "deep/around").symlink_to(evaluation / "aid")
    (one,) = find_sets(evaluation).folders
    rows, refused = list_images(one, {})
    assert [(row["evaluation_path"], row["evaluation_split"]) for row in rows] == [
        ("test/1.jpg", "test"), ("test/deep/2.jpg", "test"), ("train/0.jpg", "train"),
    ]  # fmt: skip
    assert refused == [("aid", "test/deep/around", "unreadable", "a link to a folder that holds it")]
    before = evaluation_identity(str(evaluation))
    touch(elsewhere, "deep/3.jpg")
    assert evaluation_identity(str(evaluation)) != before


def test_every_other_path_has_a_reason(tmp_path: Path) -> None:
    touch(tmp_path, "aid/1.jpg", "aid/list.txt", "aid/.hidden/2.jpg", "aid/captions.csv", ".git/x", "loose.txt")
    (tmp_path / "aid/broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    touch(tmp_path, os.fsdecode(b"aid/\xff.jpg"))
    sets = find_sets(tmp_path)
    rows, refused = list_images(sets.folders[0], {})
    assert [row["evaluation_path"] for row in rows] == ["1.jpg"]
    assert sorted((path, reason) for _, path, reason, _ in (*refused, *sets.refused)) == [
        (".git", "hidden_file"), (".hidden/2.jpg", "hidden_file"), ("\\udcff.jpg", "unreadable"),
        ("broken.jpg", "unreadable"), ("captions.csv", "caption_list"), ("list.txt", "not_an_evaluation_image"),
        ("loose.txt", "not_an_evaluation_image"),
    ]  # fmt: skip


def test_a_set_without_images_is_a_row_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "aid").mkdir()
    rows, refused = list_images(find_sets(tmp_path).folders[0], {})
    assert not rows and [(name, path, reason) for name, path, reason, _ in refused] == [("aid", "", "empty_set")]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nowhere", None, "is missing"),
        ("x.csv", "", "neither a folder"),
        ("sets.toml", MANIFEST, "folder .* of the evaluation set rsicd is missing"),
    ],
)
def test_an_unusable_eval_is_an_error(tmp_path: Path, name: str, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        find_sets(tmp_path / name)
    assert set(evaluation_identity(str(tmp_path / name))) == {"fault"}


def test_an_empty_folder_and_names_that_become_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no folder"):
        find_sets(tmp_path)
    touch(tmp_path, "a b/1.jpg", "a-b/1.jpg")
    with pytest.raises(InputError, match="rename one"):
        find_sets(tmp_path)


@pytest.mark.parametrize(("old", "new"), [("rsicd", "no such-name"), ("?P<split>", ""), ("(?P<split>", "((?P<split>")])
def test_a_faulty_manifest_is_an_error(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "sets.toml").write_text(MANIFEST.replace(old, new))
    with pytest.raises(ManifestError, match="key set"):
        find_sets(tmp_path / "sets.toml")


def test_an_unknown_split_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "images/x_extra_1.jpg")
    (tmp_path / "sets.toml").write_text(MANIFEST.replace("valid", "extra"))
    with pytest.raises(InputError, match="'extra'"):
        listed(tmp_path / "sets.toml")


def test_the_identity_depends_on_the_files_and_not_on_their_location(tmp_path: Path) -> None:
    one = touch(tmp_path / "one", "aid/1.jpg")
    before = evaluation_identity(str(one))
    assert evaluation_identity(str(one)) == before
    touch(one, "aid/2.jpg")
    assert evaluation_identity(str(one)) != before and evaluation_identity("") == {"files": "none"}
