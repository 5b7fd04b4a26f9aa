"""Examples are found in folders, a table or a manifest of folders; mistakes are named."""

from pathlib import Path

import pytest

from flows.detector.examples import find_examples
from stages.contract import InputError


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_folders_give_label_source_and_class(tmp_path: Path) -> None:
    write(tmp_path, "rs/aid/port_001.jpg", "rs/sites/forest/7.tif", "other/photos/cat.png", "other/notes.txt")
    found = [(e.label, e.source, e.kind) for e in find_examples(tmp_path)]
    assert found == [("other", "photos", "cat"), ("rs", "aid", "port"), ("rs", "sites", "forest")]


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
