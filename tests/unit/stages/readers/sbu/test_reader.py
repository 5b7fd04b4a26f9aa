"""SBU: three parallel lists give rows, and elements without a counterpart are rejected."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.readers.batch import SourceFiles
from stages.readers.single_rows import read_row
from tests.json_corpora import CORPORA, fates, filter_files, some

NAME = "sbu-captions-all.json"
LISTS: dict[str, list[Any]] = {
    "image_urls": [
        "http://static.flickr.com/2723/4385058960_b0f291553e.jpg", "http://a/none.gif", None, 5,
        "http://static.flickr.com/4/12_ab_d.jpg", "http://a/5",
    ],
    "user_ids": ["47889917@N08", "", None, {}, "x", "y"],
    "captions": ["Landsat of a chair", "an aerial view ", "landsat", "landsat", "a cat", None],
}  # fmt: skip


def write(folder: Path, data: bytes | dict[str, Any]) -> Path:
    path = folder / NAME
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


@pytest.mark.parametrize("order", [("image_urls", "user_ids", "captions"), ("captions", "user_ids", "image_urls")])
def test_each_row_has_its_fate_in_any_order_of_the_lists(tmp_path: Path, order: tuple[str, ...]) -> None:
    found = filter_files("sbu", [write(tmp_path, {name: LISTS[name] for name in order})])
    assert some(found) == {"given": 6, "kept": 2, "no_url": 1, "bad_record": 1, "no_keyword": 1, "no_caption": 1}
    rows = found.candidates.to_pylist()
    assert [(row["sample_id"], row["native_id"]) for row in rows] == [("sbu_0_0", "4385058960"), ("sbu_0_1", None)]
    assert rows[1]["source_caption"] == "an aerial view "
    assert fates(found) == {"sbu_0_2": "no_url", "sbu_0_3": "bad_record"}


def test_the_tar_gives_the_same_rows(tmp_path: Path) -> None:
    data = json.dumps(LISTS).encode()
    path = tmp_path / "sbu-captions-all.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(NAME)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    plain, packed = filter_files("sbu", [write(tmp_path, data)]), filter_files("sbu", [path])
    assert plain.candidates == packed.candidates and plain.malformed == packed.malformed


def test_lists_of_different_lengths_give_no_rows(tmp_path: Path) -> None:
    found = filter_files("sbu", [write(tmp_path, {**LISTS, "captions": LISTS["captions"][:2]})])
    assert some(found) == {"given": 6, "damaged_source": 6}
    (row,) = found.malformed.to_pylist()
    assert (row["sample_id"], row["source_row"], row["n_rows"]) == ("sbu_0_0", 0, 6)
    assert row["detail"].endswith("found 6 image_urls, 6 user_ids, 2 captions")
    found = filter_files("sbu", [write(tmp_path, {name: LISTS[name] for name in ("image_urls", "captions")})])
    assert some(found) == {"given": 7, "damaged_source": 7}


def test_rows_before_merged_elements_are_kept(tmp_path: Path) -> None:
    data = json.dumps(LISTS).encode().replace(b'"landsat", "landsat"', b'"landsat"l "landsat"')
    found = filter_files("sbu", [write(tmp_path, data)])
    assert some(found) == {"given": 6, "kept": 2, "damaged_source": 4}
    assert found.malformed["detail"].to_pylist()[-1].find("6 user_ids, 5 captions, captions no JSON at") > 0


def test_an_invalid_element_is_one_lost_row_if_the_lists_have_equal_lengths(tmp_path: Path) -> None:
    data = json.dumps(LISTS).encode().replace(b'["Landsat of a chair"', b"[nul")
    found = filter_files("sbu", [write(tmp_path, data)])
    assert found.counts["damaged_source"] == 1 and found.candidates["source_row"].to_pylist() == [1]


def test_rows_before_a_cut_are_kept(tmp_path: Path) -> None:
    whole = json.dumps(LISTS).encode()
    for cut in range(1, len(whole), 13):
        found = filter_files("sbu", [write(tmp_path, whole[:cut])])
        assert found.counts["damaged_source"] >= 1
    assert filter_files("sbu", [write(tmp_path, whole[:-1])]).counts["kept"] == 2


def test_a_row_is_read_by_its_number(tmp_path: Path) -> None:
    source = SourceFiles(((write(tmp_path, LISTS), 0),))
    rows = [read_row(source, CORPORA["sbu"], row) or {} for row in range(7)]
    assert [row.get("source_caption") for row in rows] == [
        "Landsat of a chair", "an aerial view ", "landsat", None, "a cat", None, None,
    ]  # fmt: skip
    assert rows[4]["native_id"] == "12" and rows[3]["reason"] == "bad_record" and rows[6] == {}


PIECES = [b'"image_urls":[', b'"user_ids":[', b'"captions":[', b"]", b"],", b",", b'"landsat"', b'"http://a"', b"3"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, b"null", b"{", b"}", b'"', b"\xff"]), max_size=14).map(b"".join))
def test_all_rows_are_accounted_for_with_any_bytes(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    found = filter_files("sbu", [write(tmp_path_factory.getbasetemp(), b"{" + body)])
    assert found.counts["kept"] == found.candidates.num_rows <= body.count(b"landsat")


def test_the_older_pair_of_text_files_is_read_line_by_line(tmp_path: Path) -> None:
    urls, captions = (tmp_path / f"SBU_captioned_photo_dataset_{what}.txt" for what in ("urls", "captions"))
    urls.write_text("http://static.flickr.com/2723/4385058960_b0f291553e.jpg\nhttp://a/1\n")
    captions.write_text("Landsat of a chair\na cat\n")
    found = filter_files("sbu", [urls], [captions])
    assert some(found) == {"given": 2, "kept": 1, "no_keyword": 1}
    row = found.candidates.to_pylist()[0]
    assert (row["sample_id"], row["source_caption"]) == ("sbu_0_0", "Landsat of a chair")
    assert row["native_id"] == "4385058960"
