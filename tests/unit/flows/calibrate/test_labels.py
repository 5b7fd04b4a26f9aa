from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from flows.calibrate.labels import read_labels
from flows.detector.examples import find_examples
from stages.contract import InputError


def table(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("column", ["sample_id", "image_id", "id", "image", "path"])
def test_names_are_read_from_csv_and_parquet(tmp_path: Path, column: str) -> None:
    expected = {"cc3m_0_1": True, "cc3m_0_2": False}
    assert read_labels(table(tmp_path, f"{column},label\ncc3m_0_1,rs\ncc3m_0_2,other\n")).is_rs == expected
    pq.write_table(pa.table({"label": ["rs", "other"], column: list(expected)}), tmp_path / "labels.parquet")
    assert read_labels(tmp_path / "labels.parquet").is_rs == expected


def test_a_name_of_a_file_is_an_example_in_that_file(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    found = read_labels(table(tmp_path, "image,label\na.png,rs\ncc3m_0_2,other\n"))
    assert [(e.path, e.label) for e in found.examples] == [(tmp_path / "a.png", "rs")]
    assert found.is_rs == {"cc3m_0_2": False}


def test_files_are_found_as_for_training_in_the_folder_above_the_table(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"images/{name}.png")
    path = table(tmp_path / "images", "path,label\nimages/a.png,rs\nb.png,other\n")
    found = read_labels(path)
    assert [e.path for e in found.examples] == [e.path for e in find_examples(path)] and not found.is_rs
    assert [e.path.name for e in found.examples] == ["a.png", "b.png"]


def test_names_that_look_like_files_are_told_from_names_of_a_build(tmp_path: Path) -> None:
    assert read_labels(table(tmp_path, "image,label\nx/a.JPG,rs\ncc3m_0_2,other\n")).missing == ["x/a.JPG"]


def test_a_folder_of_both_kinds_is_read_as_for_training(tmp_path: Path) -> None:
    for label in ("rs", "other"):
        (tmp_path / label).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / label / "a.png")
    assert sorted(e.label for e in read_labels(tmp_path).examples) == ["other", "rs"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sample_id,label\na,rs\na,other\n", "row 2: a has both labels"),
        ("sample_id,label\na,rs\nb,aerial\n", "row 2: expected the label rs or other, found 'aerial'"),
        ("sample_id,label\na,rs\nb,rs\n", "does not label images of both kinds"),
        ("name,label\na,rs\n", "has the columns name, label: expected"),
        ("", "has the columns none"),
    ],
)
def test_unusable_labels_are_refused_with_the_reason(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_labels(table(tmp_path, text))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "nowhere.csv")
