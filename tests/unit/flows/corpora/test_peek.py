"""A source file of any name is shown as its reader sees it, with its faults."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.cli import main
from tests.labelled_files import write_labelled_files


def sample(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main(["peek", *map(str, arguments), "--build", "/nowhere"])
    return code, capsys.readouterr().out


def tsv(folder: Path, *lines: bytes) -> Path:
    path = folder / "download (1).txt"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def test_rows_are_shown_from_a_given_row_on_with_their_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [b"a %d\thttp://a/%d" % (n, n) for n in range(4)]
    path = tsv(tmp_path, *rows, b"bad \xff\thttp://a/4", b"one field", b"last\thttp://a/6")
    code, said = sample(capsys, "cc3m", path, "--from", 2, "--rows", 4)
    assert code == 0
    heads = re.findall(r"^row .*$", said, re.M)
    assert heads == [
        "row 2  cc3m_0_2", "row 3  cc3m_0_3", "row 4  cc3m_0_4  malformed", "row 5  cc3m_0_5  malformed",
    ]  # fmt: skip
    assert re.search(r"source_caption +a 2$", said, re.M) and re.search(r"url +http://a/3$", said, re.M)
    assert "invalid_utf8" in said and "0xff" in said and "wrong_field_count" in said
    assert "None" not in said and "a 1" not in said
    assert said.splitlines()[-1] == f"rows shown: 4; counted separately: 7 in {path}"


def test_terminal_control_characters_are_made_visible(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, said = sample(capsys, "cc3m", tsv(tmp_path, b"\x1b[31mred [bold]x[/bold]\thttp://a"))
    assert "\x1b" not in said and r"\x1b[31mred [bold]x[/bold]" in said


@pytest.mark.parametrize("captions", [[None, "x", None, "y"], ["x", "y", None, None]])
def test_rows_without_a_caption_are_shown_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], captions: list[str | None]
) -> None:
    path = tmp_path / "any.bin"
    pq.write_table(pa.table({"URL": ["http://a", "http://b", "http://c", "http://d"], "TEXT": captions}), path)
    code, said = sample(capsys, "laion2b", path)
    assert code == 0 and said.count("\nrow ") + said.startswith("row ") == 4
    assert said.count("source_caption") == 2 and said.count("url") == 4


def test_a_file_that_cannot_be_read_says_what_was_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = sample(capsys, "laion2b", tsv(tmp_path, b"caption\thttp://a"))
    assert code == 1 and "cannot be read, from row 0 on: damaged_source" in said and "parquet" in said
    path = tmp_path / "others.parquet"
    pq.write_table(pa.table({"link": ["http://a"], "alt": ["x"]}), path)
    code, said = sample(capsys, "coyo700m", path)
    words = " ".join(said.split())
    assert code == 1 and "expected a column" in words and "link" in words and "manifests/corpora/coyo700m.toml" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cc3n", "HERE"], "no corpus 'cc3n' (did you mean 'cc3m'?); corpora with a reader: "),
        (["zzz", "HERE"], "no corpus 'zzz'; corpora"),
        (["cc3m", "NONE"], "none does not exist: name a file of Conceptual Captions 3M. Download "),
        (["cc3m", "FOLDER"], "is not a file: name one file of Conceptual Captions 3M"),
        (["cc3m", "HERE", "--companion", "NONE"], "none does not exist"),
        (["laion2b", "HERE", "--companion", "HERE"], "laion2b has no companions: leave out --companion"),
        (["cc3m", "HERE", "--rows", "0"], "--rows of at least 1"),
        (["yfcc15m", "HERE"], "expected the one list of its samples"),
        (["ben", "HERE"], "is not a folder: ben is read by folders laid out as SOURCES/<code>"),
        (["ben", "FOLDER"], "has no file named like"),
    ],
)
def test_a_file_that_cannot_be_shown_is_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"HERE": str(tsv(tmp_path, b"x\ty")), "NONE": str(tmp_path / "none"), "FOLDER": str(tmp_path / "empty")}
    code, said = sample(capsys, *(places.get(word, word) for word in arguments))
    assert code == 2 and words in " ".join(said.split())


def test_a_companion_selects_the_shown_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = [b"user", b"nick", b"2005-03-01 12:39:28.0", b"1", b"x", b"USGS", *[b""] * 6, b"page", b"http://a/7"]
    line = lambda photo: b"\t".join([photo, *fields, *[b"x"] * (22 - len(fields))])
    photos = tmp_path / "list"
    photos.write_bytes(b"0\t9\thash\n1\t8\thash\n")
    code, said = sample(capsys, "yfcc15m", tsv(tmp_path, *map(line, (b"7", b"8"))), "--companion", photos)
    assert code == 0 and "row 1  yfcc15m_8" in said and "yfcc15m_7" not in said
    assert "counted, but not shown: no_metadata_row 1" in said


def test_samples_of_a_labelled_corpus_are_read_by_the_stage_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labelled_files(tmp_path)
    (tmp_path / "fmow").rename(tmp_path / "copied here")
    code, said = sample(capsys, "fmow", tmp_path / "copied here", "--rows", 3)
    assert code == 0
    heads = re.findall(r"^fmow_.*$", said, re.M)
    assert heads == ["fmow_dam_103_0_rgb  REJECTED", "fmow_dam_3_0_msrgb", "fmow_dam_3_0_rgb"]
    assert "missing_metadata" in said and re.search(r"labels +\['dam'\]", said) and "stated_latitude_deg" in said
    assert said.splitlines()[-1].startswith("samples shown: 3 of 4 in 10 files of ")
