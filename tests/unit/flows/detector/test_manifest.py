"""A manifest of folders is checked, and its sources have names that tell folders apart."""

from pathlib import Path

import pytest

from flows.detector.manifest import name_sources, read_folders
from stages.contract import InputError


@pytest.mark.parametrize(
    ("line", "words"),
    [
        *((f"n = {n}", "expected n to be a whole number from 1") for n in ('"many"', "0", "true", "1.5")),
        ("source = 5", "expected source to be a text, found 5"),
        ('source = ""', "expected source to be a text"),
        ("limit = 5", "unknown key 'limit', expected path, label, source, n"),
    ],
)
def test_wrong_values_and_unknown_keys_are_named(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "net").mkdir()
    manifest = tmp_path / "data.toml"
    manifest.write_text(f'[[folder]]\npath = "net"\nlabel = "rs"\n{line}\n')
    with pytest.raises(InputError, match=rf"data\.toml, \[\[folder\]\] with path .net.: {words}"):
        read_folders(manifest)
    manifest.write_text('seed = 3\n[[folder]]\npath = "net"\nlabel = "rs"\n')
    with pytest.raises(InputError, match="unknown key 'seed'"):
        read_folders(manifest)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["millionaid", "web/net"], ["millionaid", "net"]),
        (["millionaid/test", "imagenet/train"], ["millionaid/test", "imagenet/train"]),
        (["/data/a/photos", "/data/b/photos"], ["a/photos", "b/photos"]),
        (["/x/a/photos", "/y/a/photos", "c/photos"], ["x/a/photos", "y/a/photos", "c/photos"]),
        (["aid/test/images", "Images"], ["aid/test/images", "Images"]),
        (["same", "same"], ["same", "same"]),
        (["test"], ["test"]),
        (["photos", "b/photos"], ["photos", "b/photos"]),
    ],
)
def test_sources_are_named_by_as_much_of_the_path_as_tells_them_apart(paths: list[str], names: list[str]) -> None:
    assert name_sources(paths) == names
