from pathlib import Path

import pytest

from stages.contamination.walking import first_meant, is_hidden, is_meant


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a/b/1.jpg", "**/*.jpg", True), ("1.jpg", "**/*.jpg", True), ("a/1.jpg", "*.jpg", False),
        ("1.JPG", "*.jpg", False), ("x1.jpg", "?1.jpg", True), ("1xjpg", "1.jpg", False),
    ],
)  # fmt: skip
def test_globs_mean_whole_paths(path: str, pattern: str, *, expected: bool) -> None:
    assert is_meant(path, pattern) is expected


def test_the_first_file_is_found_in_any_case_and_not_a_hidden_one(tmp_path: Path) -> None:
    for name in (".old/dataset.json", "b/Dataset.json", "c/dataset.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")
    assert first_meant(tmp_path, "**/dataset*.JSON") == tmp_path / "b/Dataset.json"
    assert first_meant(tmp_path, "dataset*.json") is None and is_hidden("a/.b/c") and not is_hidden("a/b.c")
