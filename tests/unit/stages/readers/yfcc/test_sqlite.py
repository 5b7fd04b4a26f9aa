"""The SQLite form of YFCC100M gives the same rows as the text files."""

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import numpy as np
import pytest

from schemas.corpora import load_corpora
from stages.contract import InputError
from stages.filter.filtering import Filtered, Search, filter_source
from stages.filter.strict import StrictRules
from stages.readers.batch import SourceFileError, SourceFiles
from stages.readers.yfcc.photo_list import PhotoList
from stages.readers.yfcc.sqlite import read_database

YFCC = load_corpora()["yfcc15m"]
NAMES = [
    "photoid", "uid", "unickname", "datetaken", "dateuploaded", "capturedevice", "title", "description", "usertags",
    "machinetags", "longitude", "latitude", "accuracy", "pageurl", "downloadurl", "licensename", "licenseurl",
    "serverid", "farmid", "secret", "secretoriginal", "ext", "marker",
]  # fmt: skip


def row(photo: Any, title: str, **fields: Any) -> dict[str, Any]:
    found = dict.fromkeys(NAMES, "") | {"photoid": photo, "title": quote_plus(title), "marker": 0}
    found |= {"downloadurl": f"http://a/{photo}.jpg", "dateuploaded": 1111467388, "accuracy": None}
    return found | {"licensename": "Attribution License", "datetaken": "2005-03-01 12:39:28.0"} | fields


ROWS = [
    row(9, "not listed: landsat"), row(7, "Landsat & more", longitude=-122.288368, latitude=47.622562),
    row(5, "a cat"), row(7, "landsat again"), row(6, "landsat", downloadurl=None), row(8, "", description=None),
    row(12345678901, "aerial", description="view+from%0Aa+kite", licensename=""),
]  # fmt: skip
LISTED = (5, 6, 7, 7, 8, 12345678901, 77)


def write_database(path: Path, rows: list[dict[str, Any]], names: list[str] = NAMES) -> Path:
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE yfcc100m_dataset ({', '.join(names)})")
    marks = ", ".join("?" * len(names))
    connection.executemany(f"INSERT INTO yfcc100m_dataset VALUES ({marks})", [[r[n] for n in names] for r in rows])
    connection.commit()
    connection.close()
    return path


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join("\t".join("" if r[n] is None else str(r[n]) for n in NAMES) + "\n" for r in rows))
    return path


def filtered(folder: Path, *files: Path) -> Filtered:
    photo_list = folder / "yfcc100m_subset_data.tsv"
    photo_list.write_bytes(b"".join(b"%d\t%d\tab12\n" % (n, photo) for n, photo in enumerate(LISTED)))
    source = SourceFiles(tuple((path, part) for part, path in enumerate(files)), (photo_list,))
    found = filter_source(source, YFCC, Search(("landsat", "aerial view"), StrictRules(())))
    assert sum(found.counts.values()) == 2 * found.counts["given"] == 2 * len(LISTED)
    return found


@pytest.mark.parametrize("is_text", [False, True])
def test_rows_equal_those_of_the_text_files(tmp_path: Path, is_text: bool) -> None:
    rows = [{n: str(v) if is_text and v is not None else v for n, v in found.items()} for found in ROWS]
    lines = filtered(tmp_path, write_lines(tmp_path / "yfcc100m_dataset-0", ROWS))
    found = filtered(tmp_path, write_database(tmp_path / "yfcc100m_dataset.sql", rows))
    assert found.candidates == lines.candidates and found.malformed == lines.malformed
    assert found.counts == lines.counts and found.counts["kept"] == 2 and found.counts["no_metadata_row"] == 1
    assert found.candidates["source_row"].to_pylist() == [1, 6]


@pytest.mark.parametrize("chunk_rows", [1, 3, 50_000])
def test_rows_do_not_depend_on_the_chunk_size(tmp_path: Path, chunk_rows: int) -> None:
    path = write_database(tmp_path / "a.sql", ROWS)
    photos = PhotoList(np.array(LISTED, np.int64))
    found = []
    for batch in read_database(path, YFCC, photos, chunk_rows):
        found += batch.rows(batch.captions.is_valid()).table.to_pylist()
    assert [(one["source_row"], one["native_id"]) for one in found] == [
        (1, "7"), (2, "5"), (4, "6"), (5, "8"), (6, "12345678901"),
    ]  # fmt: skip


def test_an_invalid_field_rejects_its_photo(tmp_path: Path) -> None:
    rows = [row(photo, "") | {"title": title} for photo, title in ((1, "a\tb"), (2, "a\nb\tc"), (3, "x"))]
    path = write_database(tmp_path / "a.sql", rows)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE yfcc100m_dataset SET title = CAST(x'ff41' AS TEXT) WHERE photoid = 3")
    connection.commit()
    connection.close()
    (batch,) = read_database(path, YFCC, PhotoList(np.array([1, 2, 3], np.int64)))
    assert [(fault.native_id, fault.reason) for fault in batch.malformed] == [("3", "invalid_utf8")]
    assert batch.captions.to_pylist() == ["a\tb", "a\nb\tc", None]


def test_a_table_without_row_numbers_is_refused_as_such(tmp_path: Path) -> None:
    path = tmp_path / "a.sql"
    connection = sqlite3.connect(path)
    columns = ", ".join(["photoid INTEGER PRIMARY KEY", *NAMES[1:]])
    connection.execute(f"CREATE TABLE yfcc100m_dataset ({columns}) WITHOUT ROWID")
    connection.commit()
    connection.close()
    with pytest.raises(SourceFileError, match="found one WITHOUT ROWID; copy its rows") as caught:
        list(read_database(path, YFCC, PhotoList(np.array([1], np.int64))))
    assert caught.value.reason == "wrong_columns"


def test_an_unreadable_database_is_damaged_and_no_file_is_written_beside_it(tmp_path: Path) -> None:
    photos = PhotoList(np.array(LISTED, np.int64))
    whole = write_database(tmp_path / "a.sql", ROWS * 300).read_bytes()
    path = tmp_path / "b.sql"
    for data, words in (
        (b"no database" * 99, "found: file is not a database"),
        (whole[:5000], "found: database disk image is malformed"),
        (b"", "found no such table"),
    ):  # fmt: skip
        path.write_bytes(data)
        with pytest.raises(SourceFileError, match=words):
            list(read_database(path, YFCC, photos))
        assert path.read_bytes() == data
    write_database(path, ROWS, NAMES[:-2])
    with pytest.raises(SourceFileError, match=r"columns \['ext', 'marker'\] missing") as caught:
        list(read_database(path, YFCC, photos))
    assert caught.value.reason == "wrong_columns"
    with pytest.raises(SourceFileError, match="unable to open"):
        list(read_database(tmp_path / "none.sql", YFCC, photos))
    assert {one.name for one in tmp_path.iterdir()} == {"a.sql", "b.sql"}


def test_a_damaged_file_counts_for_the_photos_that_no_other_file_has(tmp_path: Path) -> None:
    bad = tmp_path / "yfcc100m_dataset.sql"
    bad.write_bytes(b"no database" * 99)
    whole = write_lines(tmp_path / "yfcc100m_dataset-1", ROWS)
    found = filtered(tmp_path, bad, whole)
    assert (found.counts["kept"], found.counts["damaged_source"], found.counts["no_metadata_row"]) == (2, 1, 0)
    assert found.malformed["sample_id"].to_pylist() == ["yfcc15m_6", "yfcc15m_0_0"]
    everything = [*ROWS, row(77, "a dog")]
    found = filtered(tmp_path, bad, write_lines(whole, everything))
    assert (found.counts["kept"], found.counts["damaged_source"], found.counts["no_metadata_row"]) == (2, 0, 0)
    found = filtered(tmp_path, bad, bad)
    assert (found.counts["kept"], found.counts["damaged_source"], found.counts["listed_again"]) == (0, 6, 1)
    (reject,) = found.malformed.to_pylist()
    assert (reject["source_row"], reject["n_rows"]) == (0, 6) and reject["path"].endswith("yfcc100m_dataset.sql")


def test_rows_after_a_damaged_page_are_read_and_the_lost_photos_are_one_stretch(tmp_path: Path) -> None:
    rows = [row(n, f"landsat {n}", description="a+field" * 20) for n in range(1, 401)]
    path = write_database(tmp_path / "yfcc100m_dataset.sql", rows)
    data = bytearray(path.read_bytes())
    leaf = 4096 * 20
    assert data[leaf] == 13  # a leaf page of a table
    data[leaf] = 12
    path.write_bytes(data)
    photo_list = tmp_path / "yfcc100m_subset_data.tsv"
    photo_list.write_bytes(b"".join(b"%d\t%d\tab12\n" % (n, n) for n in range(1, 401)))
    found = filter_source(SourceFiles(((path, 0),), (photo_list,)), YFCC, Search(("landsat",), StrictRules(())))
    n_lost = found.counts["damaged_source"]
    assert 0 < n_lost < 20 and found.counts["kept"] == 400 - n_lost
    (reject,) = found.malformed.to_pylist()
    assert reject["n_rows"] == n_lost and "database disk image is malformed" in reject["detail"]


@pytest.mark.parametrize("n_bytes", [50, 300, 2000, 4096, 5000, 30_000, 60_000])
def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path, n_bytes: int) -> None:
    rows = [row(n, f"landsat {n}", pageurl=f"http://b/{n}", licenseurl="http://c/" * 20) for n in range(1, 401)]
    path = write_database(tmp_path / "yfcc100m_dataset.sql", rows)
    data = path.read_bytes()
    path.write_bytes(data[:-n_bytes])
    photo_list = tmp_path / "yfcc100m_subset_data.tsv"
    photo_list.write_bytes(b"".join(b"%d\t%d\tab12\n" % (n, n) for n in range(1, 401)))
    found = filter_source(SourceFiles(((path, 0),), (photo_list,)), YFCC, Search(("landsat",), StrictRules(())))
    n_lost = found.counts["damaged_source"]
    assert found.counts["kept"] == 400 - n_lost
    assert n_lost <= n_bytes / len(data) * 400 + 25
    assert found.malformed["n_rows"].to_pylist() == [n_lost] * bool(n_lost)
    whole = {str(one["photoid"]): one for one in rows}
    for kept in found.candidates.to_pylist():
        published = whole[kept["native_id"]]
        assert (kept["url"], kept["source_caption"], kept["image_licence"]) == (
            published["downloadurl"], published["title"], published["licensename"],
        )  # fmt: skip


def test_a_row_without_a_photo_id_is_only_damage_if_a_photo_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "yfcc100m_dataset.sql"
    found = filtered(tmp_path, write_database(path, [*ROWS, row("7a", "landsat")]))
    assert (found.counts["damaged_source"], found.counts["no_metadata_row"]) == (1, 0)
    found = filtered(tmp_path, write_database(path, [*ROWS, row("7a", "landsat"), row(77, "a dog")]))
    assert (found.counts["damaged_source"], found.counts["no_metadata_row"]) == (0, 0)


def test_a_damaged_list_counts_its_own_lost_lines(tmp_path: Path) -> None:
    photo_list = tmp_path / "yfcc100m_subset_data.tsv"
    photo_list.write_bytes(b"0\t7\tab\n1\tx\tab\n2\t6\tab\n")
    source = SourceFiles(((write_lines(tmp_path / "yfcc100m_dataset", ROWS), 0),), (photo_list,))
    found = filter_source(source, YFCC, Search(("landsat",), StrictRules(())))
    assert {name: n for name, n in found.counts.items() if n} == {
        "given": 3, "kept": 1, "no_url": 1, "damaged_source": 1,
    }  # fmt: skip
    (reject,) = (one for one in found.malformed.to_pylist() if one["reason"] == "damaged_source")
    assert (reject["path"], reject["source_row"], reject["n_rows"]) == (photo_list.as_posix(), 1, 1)


def test_a_missing_list_is_an_input_error(tmp_path: Path) -> None:
    source = SourceFiles(((write_lines(tmp_path / "yfcc100m_dataset", ROWS), 0),))
    with pytest.raises(InputError, match="expected the one list of its samples"):
        filter_source(source, YFCC, Search(("landsat",), StrictRules(())))
