"""Every row of a source file is kept, rejected with a reason or counted."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.corpora import load_corpora
from schemas.manifests import load_keywords
from schemas.reasons import REASON
from schemas.tables import CANDIDATE
from stages.filter.filtering import REASONS, Filtered, Search, filter_source, is_blank
from stages.filter.strict import StrictRules
from stages.readers.batch import SourceFiles

PATTERNS = load_keywords().patterns()
CORPORA = load_corpora()
RULES = StrictRules(load_keywords().strict)


def filter_file(path: Path, code: str, part: int = 0, **options: Any) -> Filtered:
    search = Search(PATTERNS, RULES, **{k: v for k, v in options.items() if k != "on_progress"})
    return filter_source(SourceFiles(((path, part),)), CORPORA[code], search, options.get("on_progress", len_of))


def len_of(n_rows: int) -> None:
    assert n_rows >= 0


def some(counts: dict[str, int]) -> dict[str, int]:
    return {name: n for name, n in counts.items() if n}


def check(found: Filtered) -> None:
    counts = dict(found.counts)
    given = counts.pop("given")
    assert sum(counts.values()) == given
    assert set(counts) == {"kept", *REASONS}
    assert counts["kept"] == found.candidates.num_rows
    assert found.candidates.schema == CANDIDATE.schema
    assert found.malformed.schema == CANDIDATE.reject_schema
    named = sum(n for code, n in counts.items() if code != "kept" and not REASON[code].is_counted_only)
    assert sum(row["n_rows"] or 1 for row in found.malformed.to_pylist()) == named  # a damaged stretch has several rows
    ids = pa.concat_arrays([*found.candidates["sample_id"].chunks, *found.malformed["sample_id"].chunks])
    assert pc.count_distinct(ids).as_py() == len(ids)


def test_each_row_of_a_tsv_has_its_fate(tmp_path: Path) -> None:
    path = tmp_path / "GCC-training.tsv"
    lines = [
        b"an aerial view &amp; a  map\thttp://a/0",
        b"a cat\thttp://a/1",
        b"  \thttp://a/2",
        b"aerial view",
        b"aerial \xff view\thttp://a/4",
        b"from Landsat\t ",
        b"\xff\t\t",
        b"USGS\thttp://a/7\r",
    ]
    path.write_bytes(b"\n".join(lines))
    seen: list[int] = []
    found = filter_file(path, "cc3m", 0, on_progress=seen.append)
    check(found)
    assert sum(seen) == 7  # all but the torn row
    assert some(found.counts) == {
        "given": 8, "kept": 2, "no_caption": 1, "no_keyword": 1, "no_url": 1, "invalid_utf8": 1, "damaged_source": 1,
        "wrong_field_count": 1,
    }  # fmt: skip
    assert found.candidates["sample_id"].to_pylist() == ["cc3m_0_0", "cc3m_0_7"]
    first = found.candidates.to_pylist()[0]
    assert first["source_caption"] == "an aerial view &amp; a  map"
    assert first["caption"] == "an aerial view & a map"
    assert first["keywords"] == ["aerial view"]
    assert first["annotation_licence"] == CORPORA["cc3m"].annotation_licence
    assert found.candidates["url"].to_pylist()[1] == "http://a/7"
    fates = dict(zip(found.malformed["sample_id"].to_pylist(), found.malformed["reason"].to_pylist(), strict=True))
    assert fates == {
        "cc3m_0_3": "wrong_field_count", "cc3m_0_4": "invalid_utf8", "cc3m_0_5": "no_url", "cc3m_0_6": "damaged_source",
    }  # fmt: skip


def test_each_row_of_a_parquet_file_has_its_fate(tmp_path: Path) -> None:
    path = tmp_path / "part-00003-x.parquet"
    columns: dict[str, Any] = {
        "URL": [b"http://a/0", None, b"http://a/2", b"http://a/3", b"http://a/\xff", b"http://a/5"],
        "TEXT": [b"Google EARTH", b"MODIS", None, b"dog", b"satellite map", b"\xff Landsat"],
        "WIDTH": [1, 2, 3, 4, 5, 6],
        "HEIGHT": [10, 20, 30, 40, 50, 60],
    }
    pq.write_table(pa.table(columns), path, row_group_size=4)
    found = filter_file(path, "laion2b", 3)
    check(found)
    assert found.candidates["sample_id"].to_pylist() == ["laion2b_3_0"]
    assert found.candidates["published_width_px"].to_pylist() == [10]
    assert found.malformed["sample_id"].to_pylist() == ["laion2b_3_1", "laion2b_3_4", "laion2b_3_5"]
    assert found.malformed["reason"].to_pylist() == ["no_url", "invalid_utf8", "invalid_utf8"]
    assert (found.counts["no_caption"], found.counts["no_keyword"]) == (1, 1)


@pytest.mark.parametrize("n_rows", [0, 1])
def test_a_file_without_matches_gives_empty_tables(tmp_path: Path, n_rows: int) -> None:
    path = tmp_path / "part-00000-x.parquet"
    columns = {"url": pa.array(["u"] * n_rows, pa.string()), "text": pa.array(["dog"] * n_rows, pa.string())}
    pq.write_table(pa.table(columns), path)
    found = filter_file(path, "coyo700m", 0)
    check(found)
    assert found.counts["given"] == found.counts["no_keyword"] == n_rows


def test_a_damaged_file_is_one_stretch_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "part-00000-x.parquet"
    path.write_bytes(b"PAR1")
    found = filter_file(path, "coyo700m")
    check(found)
    assert some(found.counts) == {"given": 1, "damaged_source": 1}
    assert found.malformed.to_pylist()[0]["sample_id"] == "coyo700m_0_0"


def test_a_slice_has_the_same_urls_in_all_files_and_grows_with_its_share(tmp_path: Path) -> None:
    path = tmp_path / "GCC-training.tsv"
    path.write_bytes(b"".join(b"Landsat %d\thttp://a/%d\n" % (n, n) for n in range(400)))
    found = [filter_file(path, "cc3m", pilot_share=share) for share in (0.05, 0.2, 1.0)]
    for part in found:
        check(part)
    small, large, all_rows = (set(part.candidates["url"].to_pylist()) for part in found)
    assert small < large < all_rows and len(all_rows) == 400 and 40 < len(large) < 120
    assert found[1].counts["outside_pilot"] == 400 - len(large)
    n_characters = [sum(map(len, part.candidates["source_caption"].to_pylist())) for part in found]
    assert n_characters[1] + found[1].n_characters_left == n_characters[2] and found[2].n_characters_left == 0


def test_captions_that_occur_inside_a_slice_are_not_counted_outside_it(tmp_path: Path) -> None:
    path = tmp_path / "GCC-training.tsv"
    path.write_bytes(b"".join(b"Landsat %d\thttp://a/%d\n" % (10 + n % 40, n) for n in range(400)))
    found = filter_file(path, "cc3m", pilot_share=0.05)
    inside = set(found.candidates["source_caption"].to_pylist())
    assert 5 < len(inside) < 35 and found.n_characters_left == (40 - len(inside)) * len("Landsat 10")


STRICT = {
    "a modish armchair": [], "first editions by V. S. Naipaul": [], "MODIS tile": ["MODIS"],
    "Landsat8 scene": ["Landsat"],
    "my worldview changed": [], "a WorldView-2 scene": ["WorldView"], "worldview-3 mosaic": ["WorldView"],
    "workspace photo": [], "space view of a car park": [], "space photo of the delta": ["space photo"],
    "space image, Hubble": [], "aerial view of a modish house": ["aerial view"], "freesound.org rain": [],
}  # fmt: skip


def test_strict_rules_mark_false_keywords_and_reject_them_if_set(tmp_path: Path) -> None:
    path = tmp_path / "GCC-training.tsv"
    path.write_text("".join(f"{text}\thttp://a/{n}\n" for n, text in enumerate(STRICT)))
    marked, strict = filter_file(path, "cc3m"), filter_file(path, "cc3m", is_strict=True)
    check(marked)
    check(strict)
    found = dict(zip(*(marked.candidates[name].to_pylist() for name in ("caption", "strict_keywords")), strict=True))
    assert found == STRICT
    assert strict.candidates["caption"].to_pylist() == [text for text, left in STRICT.items() if left]
    assert strict.counts["false_keyword"] == sum(not left for left in STRICT.values())
    assert "MODIS: a modish armchair" in strict.malformed["detail"].to_pylist()


def photo_line(photo: int, title: str, description: str = "", url: str = "http://a/x.jpg", marker: str = "0") -> bytes:
    """Return a line with YFCC100M's 23 columns."""
    fields = [""] * 23
    fields[0], fields[3], fields[4] = str(photo), "2005-03-01 12:39:28.0", "1111467388"
    fields[6], fields[7], fields[14], fields[15], fields[22] = title, description, url, "Attribution License", marker
    return "\t".join(fields).encode() + b"\n"


def write_photos(folder: Path, listed: list[int], *files: bytes) -> tuple[list[tuple[Path, int]], Path]:
    photo_list = folder / "yfcc100m_subset_data.tsv"
    photo_list.write_bytes(b"".join(b"%d\t%d\tab12\n" % (n, photo) for n, photo in enumerate(listed)))
    paths = [(folder / f"yfcc100m_dataset-{part}", part) for part in range(len(files))]
    for (path, _), data in zip(paths, files, strict=True):
        path.write_bytes(data)
    return paths, photo_list


def test_each_photo_of_the_list_has_its_fate_and_no_other(tmp_path: Path) -> None:
    first = b"".join(
        [
            photo_line(7, "AERIAL+VIEW", "of+a+%3Cb%3Eriver%3C%2Fb%3E%0A%26amp%3B+more"),
            photo_line(8, "not+on+the+list%3A+Landsat"),
            photo_line(9, "a+cat"),
            photo_line(10, "aerial", "view+from+a+kite", marker="1"),
            photo_line(11, "+", "%20"),
            photo_line(7, "Landsat, the same photo again"),
        ]
    )
    second = b"".join(
        [
            photo_line(12, "satellite%20imagery", url=""),
            photo_line(13, "Landsat").replace(b"Landsat", b"\xff Landsat"),
            photo_line(14, "Landsat").replace(b"\t\t", b"\t", 1),
            photo_line(15, "aerial%2Bview"),
        ]
    )
    files, photo_list = write_photos(tmp_path, [15, 14, 13, 12, 11, 10, 9, 7, 7, 99], first, second)
    seen: list[int] = []
    found = filter_source(
        SourceFiles(tuple(files), (photo_list,)), CORPORA["yfcc15m"], Search(PATTERNS, RULES), seen.append
    )
    check(found)
    assert seen == [4, 4]
    assert some(found.counts) == {
        "given": 10, "kept": 2, "no_caption": 1, "no_keyword": 2, "no_url": 1, "invalid_utf8": 1,
        "wrong_field_count": 1, "no_metadata_row": 1, "listed_again": 1,
    }  # fmt: skip
    rows = found.candidates.to_pylist()
    assert [(row["sample_id"], row["part"], row["source_row"]) for row in rows] == [
        ("yfcc15m_7", 0, 0), ("yfcc15m_10", 0, 3),
    ]  # fmt: skip
    assert rows[0]["source_caption"] == "AERIAL+VIEW of+a+%3Cb%3Eriver%3C%2Fb%3E%0A%26amp%3B+more"
    assert rows[0]["caption"] == "AERIAL VIEW of a river & more"
    assert rows[0]["keywords"] == ["aerial view"]
    fates = dict(zip(found.malformed["sample_id"].to_pylist(), found.malformed["reason"].to_pylist(), strict=True))
    assert fates == {"yfcc15m_12": "no_url", "yfcc15m_13": "invalid_utf8", "yfcc15m_14": "wrong_field_count"}


PHOTOS = st.lists(st.integers(1, 6), max_size=8)
TITLES = st.sampled_from([b"USGS", b"dog", b"", b"%zz", b"%ff", b"\xff", b"\t", b"\n", b"a+Landsat"])


@settings(max_examples=80, deadline=None)
@given(PHOTOS, st.lists(st.tuples(st.integers(1, 8), TITLES), max_size=12), st.integers(0, 12))
def test_all_photos_are_accounted_for_with_any_lines(
    tmp_path_factory: pytest.TempPathFactory, listed: list[int], lines: list[tuple[int, bytes]], cut: int
) -> None:
    data = [photo_line(photo, "TITLE").replace(b"TITLE", title) for photo, title in lines]
    data.insert(0, photo_line(100, "x"))
    files, photo_list = write_photos(
        tmp_path_factory.getbasetemp(), listed, b"".join(data[:cut]), b"".join([data[0], *data[cut:]])
    )
    found = filter_source(SourceFiles(tuple(files), (photo_list,)), CORPORA["yfcc15m"], Search(PATTERNS, RULES))
    check(found)
    assert found.counts["given"] == len(listed)
    assert found.counts["listed_again"] == len(listed) - len(set(listed))


PIECES = st.sampled_from([b"USGS", b"dog ", b"\t", b"\n", b" ", b"\xff", "é".encode(), b"http://a/", b"\r"])


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_all_rows_are_accounted_for_with_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "GCC-training.tsv"
    path.write_bytes(data)
    check(filter_file(path, "cc3m", 0))


def test_blank_is_unicode_white_space() -> None:
    texts = pa.array(["", " ", "\t\r\n", "\u00a0\u3000\u2028", None, "x", " x ", "\u200b"])
    assert is_blank(texts).to_pylist() == [True] * 5 + [False] * 3
