"""Each published set of columns is read, and damage only loses the affected rows, which are counted."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.corpora import load_corpora
from stages.filter.filtering import Filtered, Search, filter_source
from stages.filter.strict import StrictRules
from stages.readers.batch import Choices, SourceBatch, SourceFiles
from stages.readers.parquet.caption_stream import has_checksum
from stages.readers.readers import count_source, read_source

CORPORA = load_corpora()
RULES = StrictRules(())


def filtered(path: Path, code: str, **choices: Any) -> Filtered:
    """Filter a file and check that every row has a fate."""
    search = Search(("landsat", "aerial view"), RULES, choices=Choices(**choices))
    found = filter_source(SourceFiles(((path, 0),)), CORPORA[code], search)
    counts = dict(found.counts)
    assert counts.pop("given") == sum(counts.values())
    return found


def some(found: Filtered) -> dict[str, int]:
    return {name: n for name, n in found.counts.items() if n}


def kept(path: Path, code: str, **choices: Any) -> list[dict[str, Any]]:
    found = filtered(path, code, **choices)
    assert found.malformed.num_rows == 0
    return [{k: v for k, v in row.items() if v is not None} for row in found.candidates.to_pylist()]


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def laion(n_rows: int, caption: str = "landsat") -> dict[str, Any]:
    return {
        "URL": [f"http://a/{i}" for i in range(n_rows)],
        "TEXT": [f"{caption} {i}" for i in range(n_rows)],
        "HEIGHT": pa.array([300] * n_rows, pa.int32()),
        "WIDTH": pa.array([400] * n_rows, pa.int32()),
        "similarity": [0.3] * n_rows,
    }


def sizes(row: dict[str, Any]) -> tuple[int, int]:
    return row["published_width_px"], row["published_height_px"]


def test_laion_2b_high_resolution_has_language_hash_and_unswapped_sizes(tmp_path: Path) -> None:
    joined = laion(1) | {"hash": [-(2**62)], "pwatermark": [0.5], "punsafe": [0.25], "LANGUAGE": ["en"]}
    (row,) = kept(write(tmp_path / "a.parquet", joined), "laion2b")
    assert (sizes(row), row["native_hash"], row["language"]) == ((400, 300), str(-(2**62)), "en")
    assert (row["pwatermark"], row["punsafe"]) == (0.5, 0.25)


def test_re_laion_has_lower_case_columns(tmp_path: Path) -> None:
    columns = {
        "url": ["http://a"], "caption": ["Landsat"], "width": [400.0], "height": [300.0], "key": [7],
        "similarity": pa.array([0.3], pa.float32()), "hash": [9], "punsafe": [0.1], "pwatermark": [0.2],
    }  # fmt: skip
    (row,) = kept(write(tmp_path / "a.parquet", columns), "laion2b")
    assert (sizes(row), row["native_id"], row["native_hash"]) == ((400, 300), "7", "9")


def test_a_sample_id_stored_as_a_float_is_read_and_a_missing_one_is_null(tmp_path: Path) -> None:
    rows = kept(write(tmp_path / "a.parquet", laion(2) | {"SAMPLE_ID": [10787043769.0, None]}), "laion2b")
    assert [row.get("native_id") for row in rows] == ["10787043769", None]
    assert [row["sample_id"] for row in rows] == ["laion2b_0_0", "laion2b_0_1"]


def test_laion_400m_sizes_are_swapped_in_the_release_and_correct_in_the_later_upload(tmp_path: Path) -> None:
    release = laion(1) | {"SAMPLE_ID": [5], "LICENSE": ["?"], "NSFW": ["UNLIKELY"]}
    (row,) = kept(write(tmp_path / "a.parquet", release), "laion400m")
    assert (row["sample_id"], row["native_id"], sizes(row)) == ("laion400m_0_0", "5", (300, 400))
    assert (row["nsfw"], "image_licence" in row) == ("UNLIKELY", False)
    upload = {
        "url": ["http://a"], "caption": ["landsat"], "NSFW": ["NSFW"], "similarity": [0.3], "LICENSE": ["CC"],
        "key": [6], "original_width": [400], "original_height": [300],
    }  # fmt: skip
    (row,) = kept(write(tmp_path / "b.parquet", upload), "laion400m")
    assert (row["native_id"], sizes(row), row["image_licence"]) == ("6", (400, 300), "CC")


def test_only_in_laion_400m_a_row_with_a_similarity_outside_the_range_is_shifted(tmp_path: Path) -> None:
    values = [0.3, 6016.0, -1.0, 1.0, -1.5, None, float("nan"), float("inf")]
    path = write(tmp_path / "a.parquet", laion(8) | {"similarity": values})
    found = filtered(path, "laion400m")
    assert found.candidates["source_row"].to_pylist() == [0, 2, 3, 5, 6]
    assert found.malformed.select(["sample_id", "reason"]).to_pylist() == [
        {"sample_id": f"laion400m_0_{row}", "reason": "shifted_row"} for row in (1, 4, 7)
    ]
    assert "6016" in found.malformed["detail"][0].as_py()
    assert some(filtered(path, "laion2b"))["kept"] == 8


def coco(all_captions: Any, top: list[str | None], text: list[str | None]) -> dict[str, Any]:
    n = len(top)
    return {
        "URL": [f"http://a/{i}" for i in range(n)], "TEXT": text, "top_caption": top, "all_captions": all_captions,
        "all_similarities": pa.array([[0.1]] * n), "WIDTH": [400] * n, "HEIGHT": [300] * n, "hash": [1] * n,
    }  # fmt: skip


@pytest.mark.parametrize("ours", [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.binary())])
def test_laion_coco_is_searched_in_the_generated_captions(tmp_path: Path, ours: pa.DataType) -> None:
    lists = pa.array([["a dog", "a Landsat scene"], ["an aerial", "view"], None, [], [None, "Landsat", ""], ["x"]])
    top = ["a dog", "an aerial", "landsat!", None, "b", "y"]
    text = ["alt", "alt", "alt 2", "landsat", None, "Landsat"]
    path = write(tmp_path / "a.parquet", coco(lists.cast(ours), top, text))
    rows = kept(path, "laioncoco")
    assert [row["source_row"] for row in rows] == [0, 2, 4]
    assert [row["source_caption"] for row in rows] == ["a dog\na Landsat scene", "landsat!\n", "Landsat\n"]
    assert [row["caption"] for row in rows] == ["a dog a Landsat scene", "landsat!", "Landsat"]
    assert [row["other_texts"] for row in rows] == [["a dog", "alt"], ["landsat!", "alt 2"], ["b"]]
    assert (sizes(rows[0]), rows[0]["native_hash"]) == ((400, 300), "1")


def test_laion_coco_is_searched_and_captioned_as_set(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", coco([["a landsat"], ["b"]], ["t", "u"], ["x", "landsat"]))
    rows = kept(path, "laioncoco", coco_searched=("TEXT",), coco_caption="TEXT")
    assert [(row["source_caption"], row["other_texts"]) for row in rows] == [("landsat", ["u", "b"])]
    rows = kept(path, "laioncoco", coco_searched=("all_captions",), coco_caption="top_caption")
    assert [(row["source_caption"], row["other_texts"]) for row in rows] == [("t", ["a landsat", "x"])]
    assert rows[0]["keywords"] == ["landsat"]


def test_invalid_utf8_in_a_list_is_a_fault_of_its_row(tmp_path: Path) -> None:
    lists = pa.array([[b"landsat"], [b"a", b"\xff landsat"], None, [b"landsat", b"b"]])
    path = write(tmp_path / "a.parquet", coco(lists, ["a"] * 4, ["b"] * 4))
    found = filtered(path, "laioncoco")
    assert found.candidates["source_row"].to_pylist() == [0, 3]
    assert found.malformed["sample_id"].to_pylist() == ["laioncoco_0_1"]


def test_a_missing_text_column_of_laion_coco_is_refused_if_it_is_needed(tmp_path: Path) -> None:
    columns = coco([["landsat"]], ["t"], ["x"])
    del columns["TEXT"]
    path = write(tmp_path / "a.parquet", columns)
    assert some(filtered(path, "laioncoco"))["kept"] == 1
    assert some(filtered(path, "laioncoco", coco_caption="TEXT")) == {"given": 1, "wrong_columns": 1}


@pytest.mark.parametrize(
    ("name", "values", "column", "expected"),
    [
        ("WIDTH", pa.array([400, None], pa.decimal128(10, 0)), "published_height_px", [400, None]),
        ("WIDTH", pa.array(["400", "x"]), "published_height_px", [400, None]),
        ("WIDTH", pa.array([True, False]), "published_height_px", [None, None]),
        ("WIDTH", pa.array([[400], [1]]), "published_height_px", [None, None]),
        ("punsafe", pa.array(["0.25", None]), "punsafe", [0.25, None]),
        ("punsafe", pa.array([b"1e-1", b"\xff"]), "punsafe", [0.1, None]),
        ("punsafe", pa.array(["0.25", "no"]).dictionary_encode(), "punsafe", [0.25, None]),
        ("punsafe", pa.array([1, None], pa.decimal128(5, 2)), "punsafe", [1.0, None]),
        ("hash", pa.array([True, None]), "native_hash", ["true", None]),
        ("LANGUAGE", pa.array([["en"], []]), "language", [None, None]),
        ("SAMPLE_ID", pa.array([7, None], pa.decimal128(20, 0)), "native_id", ["7", None]),
        ("SAMPLE_ID", pa.array([b"a" * 16, None], pa.binary(16)), "native_id", [None, None]),
        ("similarity", pa.array([{"a": 1}, None]), "similarity", [None, None]),
        ("WIDTH", pa.array([2**64 - 1, 400], pa.uint64()), "published_height_px", [None, 400]),
        ("similarity", pa.array([float("inf"), 0.5]), "similarity", [None, 0.5]),
        ("punsafe", pa.array([float("-inf"), float("nan")], pa.float32()), "punsafe", [None, None]),
        ("LANGUAGE", pa.array([0, None], pa.timestamp("ns", "Nowhere/Land")), "language", [None, None]),
        ("LANGUAGE", pa.array([0, None], pa.timestamp("s", "UTC")), "language", ["1970-01-01 00:00:00.000Z", None]),
    ],
)  # fmt: skip
def test_an_optional_column_of_another_type_is_converted_or_null(
    tmp_path: Path, name: str, values: pa.Array, column: str, expected: list[Any]
) -> None:
    rows = kept(write(tmp_path / "a.parquet", laion(2) | {name: values}), "laion2b")
    assert [row.get(column) for row in rows] == expected


ZONED = pa.timestamp("s", "Nowhere/Land")


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0, 1], ZONED),
        pa.array([{"a": [0]}, None], pa.struct([("a", pa.list_(ZONED))])),
        pa.array([[("a", 0)], None], pa.map_(pa.string(), ZONED)),
    ],
)
def test_a_column_of_an_unknown_time_zone_costs_no_row_and_prints_nothing(
    tmp_path: Path, values: pa.Array, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.parquet", laion(2) | {"seen": values})
    assert len(kept(path, "laion2b")) == 2
    assert capfd.readouterr() == ("", "")


def test_a_column_of_intervals_costs_no_row_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.parquet"
    texts = "'http://a' as URL, 'landsat' as TEXT, 3 as WIDTH, 4 as HEIGHT"
    duckdb.sql(f"copy (select {texts}, interval 1 day as LICENSE) to '{path}' (format parquet)")
    (row,) = kept(path, "laion2b")
    assert "image_licence" not in row
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "values"), [("NSFW", [True, None]), ("LICENSE", [1, None]), ("NSFW", [1, 0])])
def test_tags_and_licences_of_another_type_are_kept_as_texts(tmp_path: Path, name: str, values: list[Any]) -> None:
    column = {"NSFW": "nsfw", "LICENSE": "image_licence"}[name]
    rows = kept(write(tmp_path / "a.parquet", laion(2) | {name: values}), "laion400m")
    assert [row.get(column) for row in rows] == [None if value is None else str(value).lower() for value in values]


def test_lists_of_dictionaries_are_searched_and_another_type_of_an_unsearched_column_is_passed_over(
    tmp_path: Path,
) -> None:
    lists = pa.array([["a", "aerial view"], None], pa.list_(pa.dictionary(pa.int32(), pa.string())))
    columns = coco(lists, ["landsat", "x"], ["a", "b"]) | {"TEXT": [1, 2]}
    (row,) = kept(write(tmp_path / "a.parquet", columns), "laioncoco")
    assert (row["caption"], row["other_texts"]) == ("a aerial view", ["landsat"])


def test_coyo_is_read_by_its_published_column_names(tmp_path: Path) -> None:
    columns = {
        "id": [3221225511175], "url": ["http://a"], "text": ["Landsat"], "width": [800], "height": [499],
        "clip_similarity_vitb32": pa.array([0.25], pa.float32()), "clip_similarity_vitl14": [0.5],
        "nsfw_score_opennsfw2": [0.125], "watermark_score": [0.5],
    }  # fmt: skip
    (row,) = kept(write(tmp_path / "a.parquet", columns), "coyo700m")
    assert (row["native_id"], row["similarity"], sizes(row)) == ("3221225511175", 0.25, (800, 499))
    assert (row["punsafe"], row["pwatermark"]) == (0.125, 0.5)


def chunk(path: Path, group: int, column: str) -> tuple[int, int]:
    """Return offset and length in bytes of a column of a row group."""
    metadata = pq.read_metadata(path)
    found = metadata.row_group(group).column(metadata.schema.names.index(column))
    begin = found.dictionary_page_offset if found.has_dictionary_page else found.data_page_offset
    return begin, found.total_compressed_size


def overwrite(path: Path, begin: int, data: bytes) -> None:
    whole = bytearray(path.read_bytes())
    whole[begin : begin + len(data)] = data
    path.write_bytes(whole)


def test_a_row_group_with_unreadable_captions_is_one_damaged_stretch_and_the_others_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", laion(300), row_group_size=100)
    begin, length = chunk(path, 1, "TEXT")
    overwrite(path, begin, b"\xff" * length)
    found = filtered(path, "laion2b")
    assert some(found) == {"given": 300, "kept": 200, "damaged_source": 100}
    (reject,) = found.malformed.to_pylist()
    assert reject["sample_id"] == "laion2b_0_100"
    assert (reject["source_row"], reject["n_rows"]) == (100, 100) and "row group 1" in reject["detail"]
    assert reject["path"].endswith("a.parquet") and "a.parquet" not in reject["detail"]


def test_if_another_column_is_unreadable_rows_with_a_keyword_are_rejected_one_by_one(tmp_path: Path) -> None:
    columns = laion(300) | {"TEXT": ["landsat" if i % 50 == 0 else "dog" for i in range(300)]}
    path = write(tmp_path / "a.parquet", columns, row_group_size=100)
    begin, length = chunk(path, 1, "URL")
    overwrite(path, begin, b"\xff" * length)
    found = filtered(path, "laion2b")
    assert some(found) == {"given": 300, "kept": 4, "no_keyword": 294, "damaged_source": 2}
    assert found.malformed["sample_id"].to_pylist() == ["laion2b_0_100", "laion2b_0_150"]


def test_a_flipped_bit_is_found_if_pages_have_checksums(tmp_path: Path) -> None:
    options = {"compression": "zstd", "row_group_size": 100, "use_dictionary": False, "write_statistics": False}
    for is_checked in (True, False):
        path = write(tmp_path / "a.parquet", laion(200), write_page_checksum=is_checked, **options)
        with pq.ParquetFile(path) as file:
            assert has_checksum(path, file, 0, "TEXT") == is_checked
    path = write(tmp_path / "a.parquet", laion(200), write_page_checksum=True, **options)
    begin, length = chunk(path, 0, "TEXT")
    overwrite(path, begin + length - 40, bytes([path.read_bytes()[begin + length - 40] ^ 1]))
    found = filtered(path, "laion2b")
    assert some(found) == {"given": 200, "kept": 100, "damaged_source": 100}


def test_fast_and_plain_reading_agree_for_slices_and_batches(tmp_path: Path) -> None:
    texts = [None if i % 7 == 0 else "" if i % 11 == 0 else f"{'é' * (i % 5)} landsat {i}" for i in range(70_000)]
    columns = {"URL": ["http://a"] * 70_000, "TEXT": texts}
    seen = []
    for name, is_checked, first_rows in (("a", False, [0, 40_000]), ("b", True, [0, 32_768, 40_000])):
        path = write(tmp_path / name, columns, row_group_size=40_000, write_page_checksum=is_checked)
        batches = [b for b in read_source(SourceFiles(((path, 0),)), CORPORA["laion2b"]) if isinstance(b, SourceBatch)]
        assert [b.first_row for b in batches] == first_rows
        seen.append([text for batch in batches for text in batch.captions.to_pylist()])
    assert seen == [texts, texts]


def test_rows_of_other_files_are_kept_when_one_is_damaged(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, laion(10)) for name in ("a", "b")]
    paths[0].write_bytes(b"no parquet")
    source = SourceFiles(((paths[0], 0), (paths[1], 1)))
    found = filter_source(source, CORPORA["laion2b"], Search(("landsat",), RULES))
    assert some(found) == {"given": 11, "kept": 10, "damaged_source": 1}
    assert found.candidates["part"].to_pylist() == [1] * 10


def test_a_wrong_file_without_rows_loses_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"x": pa.array([], pa.int64())})
    assert some(filtered(path, "laion2b")) == {}


WHOLE: dict[str, bytes] = {}


def whole_file(folder: Path, code: str) -> bytes:
    if code not in WHOLE:
        columns = laion(60) if code == "laion2b" else coco([["landsat", None]] * 60, ["t"] * 60, ["x"] * 60)
        write(folder / "whole", columns, row_group_size=25, compression="snappy")
        WHOLE[code] = (folder / "whole").read_bytes()
    return WHOLE[code]


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["laion2b", "laioncoco"]), CHANGES, st.floats(0, 0.999) | st.just(1.0))
def test_every_row_has_a_fate_after_any_damage(
    tmp_path_factory: pytest.TempPathFactory, code: str, changes: list[tuple[float, int]], cut: float
) -> None:
    folder = tmp_path_factory.getbasetemp()
    data = bytearray(whole_file(folder, code))
    for place, value in changes:
        data[min(len(data) - 1, int(place * len(data)))] = value
    path = folder / "changed.parquet"
    path.write_bytes(data[: int(cut * len(data))])
    found = filtered(path, code)
    assert found.counts["given"] == count_source(SourceFiles(((path, 0),)), CORPORA[code])
