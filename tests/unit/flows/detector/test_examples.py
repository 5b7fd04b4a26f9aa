"""Examples are found in folders, a table or a manifest of folders; mistakes are named."""

from pathlib import Path

import pytest

from flows.detector.examples import count_passed_over, find_examples, find_short_folders
from stages.contract import InputError


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_folders_give_label_source_and_class(tmp_path: Path) -> None:
    write(tmp_path, "rs/aid/port_001.jpg", "rs/sites/forest/7.tif", "other/photos/cat.png", "other/notes.txt")
    found = [(e.label, e.source, e.kind) for e in find_examples(tmp_path)]
    assert found == [("other", "photos", "cat"), ("rs", "aid", "port"), ("rs", "sites", "forest")]


def test_images_of_one_original_are_of_one_group_unless_a_group_is_stated(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).touch()
    table = "path,label,group,original\na.jpg,rs,,4.jpg\nb.jpg,other,,4.jpg\nc.jpg,other,site 1,4.jpg\n"
    (tmp_path / "labels.csv").write_text(table)
    assert [example.group for example in find_examples(tmp_path)] == ["4.jpg", "4.jpg", "site 1"]


def test_a_table_gives_source_class_and_group(tmp_path: Path) -> None:
    write(tmp_path, "images/a_1.jpg", "images/b_2.jpg")
    table = tmp_path / "images/labels.csv"
    table.write_text("path,label,source,class,group\nimages/a_1.jpg,rs,aid,Port,site 1\nb_2.jpg,other,,,\n")
    found = [(e.label, e.source, e.kind, e.group) for e in find_examples(tmp_path / "images")]
    assert found == [("rs", "aid", "Port", "site 1"), ("other", "images", "b", "")]


def test_a_manifest_can_limit_the_images_of_each_folder(tmp_path: Path) -> None:
    write(tmp_path, *(f"million/{n}.jpg" for n in range(20)), *(f"net/{n}.jpg" for n in range(4)))
    (tmp_path / "data.toml").write_text(
        '[[folder]]\npath = "million"\nlabel = "rs"\nn = 5\n[[folder]]\npath = "net"\nlabel = "other"\nsource = "web"\n'
    )
    found = find_examples(tmp_path / "data.toml")
    assert [e.source for e in found] == ["million"] * 5 + ["web"] * 4
    assert found == find_examples(tmp_path / "data.toml")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("labels.csv", "path\nx.jpg\n", "has no column label"),
        ("labels.csv", "path,label\nx.jpg,yes\n", "line 2: expected label rs or other, found 'yes'"),
        ("labels.csv", "path,label\nx.jpg,rs\n", r"line 2: there is no file x\.jpg"),
        ("labels.csv", "path,label\n", "has no images of label rs"),
        ("data.toml", "folder = 3", "cannot be read"),
        ("data.toml", '[[folder]]\npath = "none"\nlabel = "rs"', "expected a folder and label"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        find_examples(tmp_path / name)


def test_links_to_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/aid/port_1.jpg", "data/other/web/cat.png", "data/other/web/notes.txt", "data/rs/x.HEIC")
    (tmp_path / "data/rs/linked").symlink_to(tmp_path / "elsewhere/aid")
    (tmp_path / "data/rs/loop").symlink_to(tmp_path / "data/rs")
    found = [(e.label, e.source, e.kind) for e in find_examples(tmp_path / "data")]
    assert found == [("other", "web", "cat"), ("rs", "linked", "port")]
    assert count_passed_over(tmp_path / "data") == 2


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*/nosuch: expected"):
        find_examples(tmp_path / "nosuch")
    write(tmp_path, "data/rs/a.jpg")
    with pytest.raises(InputError, match=r"there is no folder .*/data/other: expected"):
        find_examples(tmp_path / "data")


def test_folders_with_fewer_images_than_asked_for_are_named(tmp_path: Path) -> None:
    write(tmp_path, *(f"net/{n}.jpg" for n in range(4)), "net/notes.txt")
    folder = '[[folder]]\npath = "net"\nlabel = "rs"\nn = '
    (tmp_path / "data.toml").write_text(f"{folder}2500\n{folder}4\n")
    assert find_short_folders(tmp_path / "data.toml") == [f"{tmp_path / 'net'} has 4 of 2,500 images"]
    assert find_short_folders(tmp_path) == []
