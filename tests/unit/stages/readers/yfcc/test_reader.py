"""Rows of YFCC100M are read for the listed photos, from compressed and plain files in either layout."""

import bz2
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import numpy as np
import pytest

from schemas.corpora import load_corpora
from stages.readers.batch import SourceFileError, SourceFiles
from stages.readers.single_rows import read_sample
from stages.readers.yfcc.photo_list import PhotoList, read_list
from stages.readers.yfcc.reader import read_batches

YFCC = load_corpora()["yfcc15m"]


def line(photo: int, n_columns: int = 23, **fields: str) -> bytes:
    """Return a line of 23 columns, or of 25 including line number and hash."""
    places = {"taken": 3, "uploaded": 4, "title": 6, "description": 7, "longitude": 10, "latitude": 11, "url": 14}
    found = [str(photo), "12@N00"] + ["-"] * 21
    for name, place in places.items():
        found[place] = fields.get(name, "")
    found[15] = fields.get("licence", "Attribution License")
    if n_columns == 25:
        found = ["12", found[0], "4e2f", *found[1:]]
    return "\t".join(found).encode() + b"\n"


def wanted(*photos: int) -> PhotoList:
    return PhotoList(np.array(photos, np.int64))


def rows(path: Path, photos: PhotoList, block_bytes: int = 1 << 24) -> list[dict[str, Any]]:
    found = []
    for batch in read_batches(path, YFCC, photos, block_bytes):
        found += batch.rows(batch.captions.is_valid()).table.to_pylist()
    return found


LINES = [
    line(6, title="Gnome", description="This+one%21", longitude="-122.288368", latitude="47.622562",
         taken="2005-03-01 12:39:28.0", uploaded="1111467388", url="http://a/6.jpg"),
    line(5, title="", description="only%0Athis", url="http://a/5.jpg", licence=""),
    line(70_000_000_000, title="T", taken="4501-01-01 00:00:00.0", uploaded="1167783247"),
]  # fmt: skip


@pytest.mark.parametrize("n_columns", [23, 25])
@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("block_bytes", [1, 100, 1 << 24])
def test_both_layouts_give_the_same_rows(tmp_path: Path, n_columns: int, is_packed: bool, block_bytes: int) -> None:
    lines = LINES
    if n_columns == 25:
        lines = [b"\t".join([b"0", *one.split(b"\t", 1)[:1], b"ha5h", one.split(b"\t", 1)[1]]) for one in LINES]
    path = tmp_path / ("a.bz2" if is_packed else "a")
    path.write_bytes(bz2.compress(b"".join(lines)) if is_packed else b"".join(lines))
    photos = wanted(5, 6, 70_000_000_000, 1)
    found = rows(path, photos, block_bytes)
    assert photos.n_missing == 1
    assert [(row["source_row"], row["native_id"]) for row in found] == [(0, "6"), (1, "5"), (2, "70000000000")]
    assert found[0] == {
        "source_row": 0, "url": "http://a/6.jpg", "source_caption": "Gnome This+one%21", "native_id": "6",
        "image_licence": "Attribution License", "stated_latitude_deg": 47.622562, "stated_longitude_deg": -122.288368,
        "stated_datetime": "2005-03-01T12:39:28", "owner_id": "12@N00",
        **dict.fromkeys(("published_width_px", "published_height_px", "similarity", "nsfw", "punsafe", "pwatermark",
            "native_hash", "language", "other_texts")),
        "searched_text": "Gnome This one!", "plain_caption": "Gnome This one!",
    }  # fmt: skip
    assert (found[1]["source_caption"], found[1]["image_licence"]) == ("only%0Athis", None)
    assert (found[2]["stated_datetime"], found[2]["stated_latitude_deg"]) == (None, None)


def test_keywords_are_searched_in_decoded_texts(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(line(1, title="b%26w+aerial+view", description="caf%C3%A9+%ff"))
    captions = next(read_batches(path, YFCC, wanted(1))).captions
    assert captions.to_pylist() == ["b&w aerial view café \ufffd"]


@pytest.mark.parametrize(
    ("published", "searched"),
    [
        ('on <a href="http://www.usgs.gov/cats">this page</a>', "on this page"),
        ('<img src="x" alt="modish dog"> nice', "nice"),
        ("<b>Aerial</b> view<br>of a town", "Aerial view of a town"),
        ("satellite&nbsp;image of &lt;b&gt;", "satellite&nbsp;image of &lt;b&gt;"),
        ('<img src="usgs.gif">', ""),
    ],
)
def test_keywords_are_searched_without_tags_and_before_cleaning(tmp_path: Path, published: str, searched: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(line(1, description=quote_plus(published)))
    batch = next(read_batches(path, YFCC, wanted(1)))
    (row,) = batch.rows(batch.captions.is_valid()).table.to_pylist()
    assert row["searched_text"] == row["plain_caption"] == batch.captions[0].as_py()
    assert row["searched_text"].strip() == searched


def test_an_unreadable_line_is_named_by_its_photo(tmp_path: Path) -> None:
    path = tmp_path / "a"
    bad = [
        line(1, title="x").replace(b"x", b"\xff"), line(2, title="x").replace(b"x", b"x\t"), b"3\n", b"\n",
        line(4, 25, title="other layout"), line(5, title="\t").replace(b"\t", b"\xff\t", 1), b"not a photo\tx\n",
    ]  # fmt: skip
    path.write_bytes(line(9) + b"".join(bad) + line(6, title="fine"))
    batch = next(read_batches(path, YFCC, wanted(1, 2, 3, 4, 5, 6)))
    assert [(fault.source_row, fault.reason, fault.native_id) for fault in batch.malformed] == [
        (1, "invalid_utf8", "1"), (2, "wrong_field_count", "2"), (3, "wrong_field_count", "3"),
        (5, "wrong_field_count", "4"),
    ]  # fmt: skip
    assert batch.captions.to_pylist() == [None] * 4 + ["fine"]
    assert batch.malformed[1].detail == "24 fields, expected 23"


def test_the_first_row_of_a_photo_counts_across_blocks_and_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(line(1, title="a") + line(1, title="b") + line(2, title="c"))
    second.write_bytes(line(2, title="d") + line(3, title="e"))
    for block_bytes in (1, 1 << 24):
        photos = wanted(1, 2, 3)
        found = rows(first, photos, block_bytes) + rows(second, photos, block_bytes)
        assert [row["source_caption"] for row in found] == ["a", "c", "e"]


def test_the_list_is_read_compressed_or_plain_and_repeats_are_found(tmp_path: Path) -> None:
    data = b"0\t30\tab\n1\t10\tcd\n2\t30\tef"
    for name, content in (("list.tsv", data), ("list.tsv.bz2", bz2.compress(data))):
        (tmp_path / name).write_bytes(content)
        photos = read_list(tmp_path / name)
        assert (photos.ids.tolist(), photos.n_listed) == ([10, 30], 3)
    (tmp_path / "none").write_bytes(b"")
    nothing = read_list(tmp_path / "none")
    assert (nothing.n_listed, nothing.claim(np.array([1])).tolist(), nothing.n_missing) == (0, [], 0)


@pytest.mark.parametrize(
    "bad", [b"1\t2\n", b"1\t2\tab\tc\n", b"1\tx\tab\n", b"\n", b"1\t-2\tab\n", b"1\t" + b"9" * 19 + b"\ta"]
)
def test_a_line_of_the_list_without_a_photo_is_lost_and_the_others_are_read(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "list.tsv"
    path.write_bytes(b"0\t1\tab\n" + bad.removesuffix(b"\n") + b"\n2\t3\tab\n")
    photos = read_list(path)
    ((first_row, n_rows, detail),) = photos.lost
    assert (photos.ids.tolist(), photos.n_listed, first_row, n_rows) == ([1, 3], 2, 1, 1)
    assert detail.startswith("expected line number, photo id and hash in line 2")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a", b"caption\turl\n", "expected 23 or 25 columns separated by tabs, found 2 in the first line"),
        ("a.bz2", b"no bzip2", "found: Invalid data stream"),
        ("a.bz2", bz2.compress(b"x" * 10_000)[:-9], "found: the packed data end too early"),
    ],
)
def test_a_file_that_is_not_yfccs_is_named(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceFileError, match=words) as caught:
        list(read_batches(path, YFCC, wanted(1)))
    assert str(path) in str(caught.value)


def test_one_photo_can_be_read_again(tmp_path: Path) -> None:
    files, photo_list = [tmp_path / "a", tmp_path / "b"], tmp_path / "list"
    files[0].write_bytes(line(1, title="one"))
    files[1].write_bytes(line(1, title="again") + line(2, title="two") + b"3\n")
    photo_list.write_bytes(b"".join(b"0\t%d\tab\n" % n for n in (1, 2, 3, 4)))
    source = SourceFiles(((files[0], 0), (files[1], 1)), (photo_list,))
    found = [read_sample(source, YFCC, str(n)) or {} for n in (1, 2, 3, 4, 5)]
    assert [row.get("source_caption") for row in found[:2]] == ["one", "two"]
    assert found[2]["reason"] == "wrong_field_count"
    assert found[3:] == [{}, {}]


def test_a_photo_after_an_unreadable_one_is_found_by_its_id(tmp_path: Path) -> None:
    path, photo_list = tmp_path / "a", tmp_path / "list"
    path.write_bytes(line(8) + b"1\n" + line(9) + line(2, title="two"))
    photo_list.write_bytes(b"".join(b"0\t%d\tab\n" % n for n in (1, 2)))
    source = SourceFiles(((path, 0),), (photo_list,))
    assert (read_sample(source, YFCC, "2") or {})["source_caption"] == "two"
    assert (read_sample(source, YFCC, "1") or {})["reason"] == "wrong_field_count"
