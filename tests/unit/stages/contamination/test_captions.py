import json
from pathlib import Path

import pytest

from schemas.evaluation_manifests import EvaluationSet
from stages.contamination.captions import PLAIN_SQL, plain_caption, read_captions, splits_of
from stages.contamination.sets import SetFolder
from stages.contract import InputError
from stages.rows import run_sql

KARPATHY = {
    "images": [
        {"filename": "1.tif", "split": "test", "sentences": [{"raw": "A lake ."}, {"raw": "Water."}]},
        {"filename": "2.tif", "split": "restval", "sentences": [{"raw": "A port"}]},
    ]
}


def captions(folder: Path, name: str, text: str, **about: str) -> list[tuple[str, str, str]]:
    (folder / name).write_text(text, encoding="utf-8")
    return read_captions(SetFolder(EvaluationSet(name="ucm", folder="", **about), folder))


def test_json_in_rsicds_form_is_read(tmp_path: Path) -> None:
    found = captions(tmp_path, "dataset_rsicd.json", json.dumps(KARPATHY))
    assert found == [("1.tif", "test", "A lake ."), ("1.tif", "test", "Water."), ("2.tif", "train", "A port")]
    assert splits_of(found) == {"1.tif": "test", "2.tif": "train"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("captions.csv", 'name,text\n1.tif,"A lake, and\na port"\n'),
        ("captions.tsv", 'name\ttext\n1.tif\t"A lake, and\na port"\n'),
        ("captions.jsonl", '{"name": "1.tif", "text": "A lake, and\\na port"}\n\n'),
        ("captions.json", '[{"name": "1.tif", "text": "A lake, and\\na port"}]'),
    ],
)
def test_tables_are_read_by_their_columns(tmp_path: Path, name: str, text: str) -> None:
    found = captions(tmp_path, name, text, image_column="name", caption_column="text")
    assert found == [("1.tif", "", "A lake, and\na port")]


@pytest.mark.parametrize(
    ("name", "text", "about", "words"),
    [
        ("captions.csv", "name,text\n1.tif,a\n", {}, r"lack \['filename', 'caption'\]"),
        ("captions.json", "{", {}, "cannot be read"),
        ("captions.csv", "filename,caption,split\n1.tif,a,extra\n", {}, "'extra'"),
        ("other.csv", "", {"captions": "nowhere.csv"}, "cannot be read"),
    ],
)
def test_unusable_captions_are_an_error(
    tmp_path: Path, name: str, text: str, about: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        captions(tmp_path, name, text, **about)


def test_line_separators_within_a_caption_end_no_line_of_json(tmp_path: Path) -> None:
    text = '{"filename": "1.tif", "caption": "A lake\u2028and\x85a port"}\n'
    assert captions(tmp_path, "captions.jsonl", text) == [("1.tif", "", "A lake\u2028and\x85a port")]


def test_a_set_without_captions_has_none(tmp_path: Path) -> None:
    assert captions(tmp_path, "notes.txt", "x") == []


@pytest.mark.parametrize("text", ["A  Lake\t and\nPORT .", "a lake and port!", "  A lake and port. "])
def test_the_plain_form_is_the_same_in_python_and_sql(text: str) -> None:
    query = f"SELECT {PLAIN_SQL.format('t')} AS t FROM (SELECT $text AS t)"
    assert run_sql(query, {}, text=text)["t"][0].as_py() == plain_caption(text) == "a lake and port"
