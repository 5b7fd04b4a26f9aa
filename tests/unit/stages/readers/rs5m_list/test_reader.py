"""Every row of RS5M's lists, in any layout, is a candidate, rejected with a reason or counted."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.corpora import load_corpora
from schemas.manifests import load_keywords
from stages.filter.again import files_of, read_again
from stages.filter.filtering import Filtered, Search, filter_source
from stages.filter.strict import StrictRules
from stages.readers.batch import Choices, SourceFileError, SourceFiles
from stages.readers.rs5m_list.rows import count_list, read_list
from tests.unit.stages.filter.test_filtering import check, some

CORPORA = load_corpora()
SEARCH = Search(load_keywords().patterns(), StrictRules(load_keywords().strict))
HEADER = ("img_name", "text", "url", "download_status")
ROWS = [
    ("laion2b_0_0", 'Aerial photography, a "pattern"\nof fields', "http://a/0", "True"),
    ("yfcc14m_0_7.jpg", "a caption without any of the words", "http://a/1", "True"),
    ("coyo_1_2", " &amp;  Landsat ", "http://a/2", "False"),
]


def filter_lists(*paths: Path, **options: Any) -> Filtered:
    search = Search(SEARCH.patterns, SEARCH.rules, **options)
    return filter_source(SourceFiles(tuple((path, 0) for path in paths)), CORPORA["rs5m"], search)


def as_csv(rows: Sequence[Sequence[object]], header: Sequence[str] | None = HEADER, has_index: bool = False) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header is not None:
        writer.writerow(["", *header] if has_index else header)
    writer.writerows([n, *row] if has_index else row for n, row in enumerate(rows))
    return out.getvalue().encode()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def as_parquet(columns: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, row_group_size=2)
    return out.getvalue()


def columns_of(*names: str) -> dict[str, Any]:
    return dict(zip(names, (list(column) for column in zip(*ROWS, strict=True)), strict=False))


LAYOUTS = {
    "header.csv": as_csv(ROWS),
    "index.csv": as_csv(ROWS, has_index=True),
    "bare.csv": as_csv(ROWS, None),
    "bare_index.csv": as_csv(ROWS, None, has_index=True),
    "windows.csv": b"\xef\xbb\xbf" + as_csv(ROWS[1:]).replace(b"\n", b"\r\n"),
    "names.csv": as_csv(ROWS, ("Image_Name", "CAPTION", "URL", "status")),
    "order.csv": as_csv([row[::-1] for row in ROWS], HEADER[::-1]),
    "ours.csv": as_csv([(*row[:3], "laion2b") for row in ROWS], ("img_name", "text", "url", "corpus")),
    "three.csv": as_csv([row[:3] for row in ROWS], None),
    "list.parquet": as_parquet(columns_of(*HEADER)),
    "large.parquet": as_parquet({"key": [""] * 3, **columns_of("IMG_NAME", "Published_Text", "Url")}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_samples(tmp_path: Path, name: str) -> None:
    found = filter_lists(write(tmp_path / name, LAYOUTS[name]))
    check(found)
    expected = ROWS[1:] if name == "windows.csv" else ROWS
    assert some(found.counts) == {"given": len(expected), "kept": len(expected)}
    rows = found.candidates.to_pylist()
    assert [(row["source_caption"], row["url"]) for row in rows] == [row[1:3] for row in expected]
    assert [row["source_row"] for row in rows] == list(range(len(expected)))


def test_samples_are_named_by_the_list_and_kept_without_a_keyword(tmp_path: Path) -> None:
    rows = filter_lists(write(tmp_path / "a.csv", LAYOUTS["header.csv"])).candidates.to_pylist()
    assert [(row["sample_id"], row["corpus"], row["keywords"]) for row in rows] == [
        ("laion2b_0_0", "laion2b", ["aerial photo"]), ("yfcc15m_0_7", "yfcc15m", []),
        ("coyo700m_1_2", "coyo700m", ["Landsat"]),
    ]  # fmt: skip
    assert rows[0]["caption"] == 'Aerial photography, a "pattern" of fields' and rows[2]["caption"] == "& Landsat"
    assert {row["annotation_licence"] for row in rows} == {"CC-BY-NC-4.0"}


def test_each_row_of_two_lists_has_its_fate(tmp_path: Path) -> None:
    first = as_csv([
        *ROWS, ("laion2b_0_1", "", "http://a/3", ""), ("laion2b_0_2", "x", " ", ""), ("datanet_1_1", "x", "u", ""),
        ("laion2b/0", "x", "u", ""), ("laion2b_0_0.jpg", "again", "http://a/9", ""),
    ])  # fmt: skip
    first += b"laion2b_0_3,\xff,u,\nlaion2b_0_4,x\n\n"
    second = as_csv([("coyo700m_1_2", "x", "u", ""), ("cc3m_1_1", "x", "http://a/4", ""), ROWS[0]])
    found = filter_lists(write(tmp_path / "a_train.csv", first), write(tmp_path / "a_val.csv", second))
    check(found)
    assert some(found.counts) == {
        "given": 14, "kept": 4, "no_caption": 1, "no_url": 1, "unknown_corpus": 1, "bad_record": 2, "listed_again": 3,
        "invalid_utf8": 1, "wrong_field_count": 1,
    }  # fmt: skip
    fates = dict(zip(found.malformed["sample_id"].to_pylist(), found.malformed["reason"].to_pylist(), strict=True))
    assert fates == {
        "laion2b_0_2": "no_url", "rs5m_0_5": "unknown_corpus", "rs5m_0_6": "bad_record", "rs5m_0_8": "invalid_utf8",
        "rs5m_0_9": "wrong_field_count", "rs5m_0_10": "bad_record",
    }  # fmt: skip
    last = found.candidates.to_pylist()[-1]
    assert (last["sample_id"], last["part"], last["source_row"]) == ("cc3m_1_1", 1, 1)


def test_strict_rules_reject_false_keywords_but_not_missing_ones(tmp_path: Path) -> None:
    rows = [("laion2b_0_0", "a modish armchair", "u0", ""), ("laion2b_0_1", "a chair", "u1", "")]
    found = filter_lists(write(tmp_path / "a.csv", as_csv(rows)), is_strict=True)
    check(found)
    assert found.candidates["sample_id"].to_pylist() == ["laion2b_0_1"] and found.counts["false_keyword"] == 1


def test_a_slice_of_a_list_is_chosen_by_url(tmp_path: Path) -> None:
    rows = [(f"laion2b_0_{n}", "x", f"http://a/{n}", "") for n in range(200)]
    found = filter_lists(write(tmp_path / "a.csv", as_csv(rows)), pilot_share=0.2)
    check(found)
    assert 0 < found.counts["kept"] < 100 and found.counts["outside_pilot"] == 200 - found.counts["kept"]


def test_invalid_utf8_in_parquet_is_a_fault_of_its_row(tmp_path: Path) -> None:
    columns = {"img_name": [b"sbu_1", b"sbu_\xff", b"sbu_3"], "text": [b"a", b"b", b"\xff"], "url": [b"u"] * 3}
    found = filter_lists(write(tmp_path / "a.parquet", as_parquet(columns)))
    check(found)
    assert dict(zip(*(found.malformed[n].to_pylist() for n in ("sample_id", "reason")), strict=True)) == {
        "rs5m_0_1": "invalid_utf8", "sbu_3": "invalid_utf8",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.csv", b"a,b,c\n1,2,3\n", r"expected columns img_name or .* found \['a', 'b', 'c'\]"),
        ("a.csv", b"img_name,text\nlaion2b_0_0,x\n", "found"),
        ("a.csv", b'"a\x00', "found"),
        ("a.csv", b"img_name;text;url\nlaion2b_0_0;x;http://a\n", "found semicolons; convert it"),
        ("a.csv", b"laion2b_0_0\tx, y\thttp://a\nlaion2b_0_1\tx\thttp://a\n", "found tabs; convert it"),
        ("a.csv", b"img_name,text,url\rlaion2b_0_0,x,http://a\r", "found CR alone; convert the line ends"),
        ("a.parquet", as_parquet({"img_name": ["a"], "url": ["u"]}), "found"),
        ("a.parquet", as_parquet({"img_name": [1], "text": ["x"], "url": ["u"]}), "img_name of the type int64"),
    ],
)  # fmt: skip
def test_a_list_without_the_columns_is_refused_with_what_was_found(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    path = write(tmp_path / name, data)
    with pytest.raises(SourceFileError, match=words):
        list(read_list(path))
    good = write(tmp_path / "b.csv", as_csv(ROWS))
    found = filter_lists(path, good)
    check(found)
    assert some(found.counts) == {"given": 4, "kept": 3, "wrong_columns": 1}


def test_rows_before_the_damage_of_a_parquet_list_are_kept_and_the_others_counted(tmp_path: Path) -> None:
    n_rows = 100_000
    columns = {"img_name": [f"sbu_{n}" for n in range(n_rows)], "text": ["x"] * n_rows, "url": ["u"] * n_rows}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=40_000, write_page_checksum=True, compression="none")
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 0xFF
    found = filter_lists(write(path, bytes(data)))
    assert found.counts["given"] == n_rows == found.counts["kept"] + found.counts["damaged_source"]
    assert found.malformed.num_rows == 1 and found.counts["kept"] == found.candidates.num_rows > 0
    cut = filter_lists(write(tmp_path / "b.parquet", bytes(data[:1000])))
    check(cut)
    assert some(cut.counts) == {"given": 1, "damaged_source": 1}


@pytest.mark.parametrize("data", [b"", as_csv([])])
def test_an_empty_list_has_no_rows(tmp_path: Path, data: bytes) -> None:
    path = write(tmp_path / "a.csv", data)
    found = filter_lists(path)
    check(found)
    assert found.counts["given"] == count_list(path) == 0


NAMES = st.sampled_from(["laion2b_0_0", "laion2b_0_1", "cc3m_1", "nobody_1", "", "a/b", "yfcc14m_1"])
CELLS = st.sampled_from(["", "Landsat", "http://a/1", "a,b", 'a"b', "a\nb", "\r"])
NOISE = st.sampled_from([b"", b'"', b"\n", b",", b"\xff", b"laion2b_0_0,x,u,1\n"])


@settings(max_examples=150)
@given(
    st.lists(st.tuples(NAMES, CELLS, CELLS, CELLS), max_size=8), st.booleans(), st.booleans(),
    st.lists(st.tuples(st.integers(0, 300), NOISE), max_size=4),
)  # fmt: skip
def test_all_rows_are_accounted_for_with_any_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str, str]],
    has_header: bool,
    has_index: bool,
    noise: list[tuple[int, bytes]],
) -> None:
    data = as_csv(rows, HEADER if has_header else None, has_index)
    for place, piece in noise:
        data = data[:place] + piece + data[place:]
    folder = tmp_path_factory.getbasetemp()
    check(filter_lists(write(folder / "a.csv", data), write(folder / "b.csv", as_csv(ROWS))))


def test_a_listed_row_that_is_not_a_candidate_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "rs5m").mkdir()
    rows = [*ROWS, ("laion2b_0_9", "", "http://a/9", "")]
    write(tmp_path / "rs5m/a.csv", as_csv(rows))
    files = files_of("laion2b_0_9", [("rs5m/a.csv", 0)], CORPORA)
    assert files == ("rs5m/a.csv",)
    row = read_again("laion2b_0_9", files, tmp_path, CORPORA["rs5m"], Choices())
    assert row is not None and row["url"] == "http://a/9" and row["source_row"] == 3
    assert read_again("laion2b_0_8", files, tmp_path, CORPORA["rs5m"], Choices()) is None


@pytest.mark.parametrize(
    ("path", "is_read", "is_ignored"),
    [
        ("pub11_train_metadata.csv", True, False), ("pub11_validation_metadata.csv", True, False),
        ("RS5M_pub11_train.csv", True, False), ("deep/mine.parquet", True, False),
        ("pub11_NER_geolocation_info.csv", False, True), ("pub11_val_intermediate.csv", False, True),
        ("rs3_train_val_metadata.csv", False, True), ("RS5M_rs3_val.csv", False, True),
        ("RS5M_pub11_label.pkl", False, False),
    ],
)  # fmt: skip
def test_only_the_published_lists_are_read(path: str, is_read: bool, is_ignored: bool) -> None:
    corpus = CORPORA["rs5m"]
    assert (corpus.part_of(path) == 0, corpus.is_ignored(path)) == (is_read, is_ignored)
    assert bool(corpus.advice_on(path)) == path.endswith(".pkl")


def test_the_advice_on_pickles_fits_in_a_detail() -> None:
    advice = CORPORA["rs5m"].advice_on("RS5M_pub11_label.pkl")
    assert "python -I -c" in advice and len(advice) <= 200
