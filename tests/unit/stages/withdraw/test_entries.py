from pathlib import Path

import pytest

from stages.contract import InputError
from stages.withdraw.entries import read_entries, read_entry


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("laion2b_0_12", ("sample_id", "laion2b_0_12")),
        ("fmow_airport_1_2_rgb", ("sample_id", "fmow_airport_1_2_rgb")),
        ("sample_id: other_1", ("sample_id", "other_1")),
        ("HTTP://Example.org:80/a b#c", ("url", "http://example.org/a%20b")),
        ("url: https://example.org/", ("url", "https://example.org/")),
        ("Straße.example.org.", ("host", "xn--strae-oqa.example.org")),
        ("host: example.org", ("host", "example.org")),
        ("host: localhost", ("host", "localhost")),
        ("host: [2001:db8::1]", ("host", "[2001:db8::1]")),
        ("A" * 64, ("sha256", "a" * 64)),
        ("sha256:" + "0" * 64, ("sha256", "0" * 64)),
        ("00FF00ff00ff00ff", ("phash", "00ff00ff00ff00ff")),
    ],
)
def test_an_entry_is_recognised_by_its_form(line: str, entry: tuple[str, str]) -> None:
    assert read_entry(line) == entry


@pytest.mark.parametrize(
    "line", ["garbage", "two words.org", "sha256: 12", "phash: xyz", "a@b.org", "http://", "host: a b"]
)
def test_an_entry_of_unknown_form_is_a_fault(line: str) -> None:
    with pytest.raises(ValueError):
        read_entry(line)


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("example.org:8080", "with all its ports"),
        ("host: localhost:8080", "with all its ports"),
        ("12052489896465169964", "in hex digits: a7430bb439ca7e2c"),
    ],
)
def test_an_entry_that_is_nearly_right_is_told_what_to_write(line: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        read_entry(line)


def test_one_wrong_line_withdraws_nothing_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\ufeff# a comment\n\nexample.org\nexample.org\n", encoding="utf-8")
    assert read_entries(path) == [("host", "example.org")]
    path.write_text("example.org\nwhat is this\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"1 of 2 entries(.|\n)*line 2: 'what is this'"):
        read_entries(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "has no entry"), (b"\xff\xfe", "not UTF-8 text"), (None, "cannot be read: No such file")],
)
def test_an_unreadable_list_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_entries(path)
