"""Texts, numbers and lists of every accepted Arrow type are read."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.corpora import load_corpora
from stages.filter.filtering import Search, filter_source
from stages.filter.strict import StrictRules
from stages.readers.batch import SourceFiles
from stages.readers.parquet.plain import as_plain, plain_type
from stages.readers.rs5m_list.rows import count_list, read_list

CORPORA = load_corpora()
TEXTS = ["landsat 7", None, "", "a cat", "landsat ü 8"]
TEXT_TYPES = [
    pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view(),
    pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int8(), pa.large_string()),
    pa.dictionary(pa.int32(), pa.binary()), pa.json_(),
]  # fmt: skip
NUMBER_TYPES = [
    pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(),
    pa.float32(), pa.float64(), pa.dictionary(pa.int32(), pa.int64()), pa.null(),
]  # fmt: skip
LIST_TYPES = [pa.list_, pa.large_list, pa.list_view, pa.large_list_view]


def texts_of(kind: pa.DataType, texts: list[str | None]) -> pa.Array:
    """Return texts in a type, by casts that every type supports."""
    if kind == pa.json_():
        return pa.ExtensionArray.from_storage(kind, pa.array(texts, pa.string()))
    if pa.types.is_dictionary(kind):
        values = pa.array(texts, pa.string()).dictionary_encode()
        return pa.DictionaryArray.from_arrays(
            values.indices.cast(kind.index_type), values.dictionary.cast(kind.value_type)
        )
    return pa.array(texts, kind)


def some_counts(path: Path, columns: dict[str, Any], code: str = "laion2b") -> tuple[dict[str, int], list[Any]]:
    pq.write_table(pa.table(columns), path, row_group_size=3)
    found = filter_source(SourceFiles(((path, 0),)), CORPORA[code], Search(("landsat",), StrictRules(())))
    counts = {name: n for name, n in found.counts.items() if n}
    assert counts.pop("given") == sum(counts.values())
    return counts, found.candidates.to_pylist()


def laion(**others: Any) -> dict[str, Any]:
    n = len(TEXTS)
    return {"URL": [f"http://a.example/{i}" for i in range(n)], "TEXT": TEXTS, **others}


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
@pytest.mark.parametrize("column", ["URL", "TEXT", "LICENSE", "NSFW", "SAMPLE_ID", "hash", "LANGUAGE"])
def test_a_text_column_of_any_type_is_read(tmp_path: Path, column: str, kind: pa.DataType) -> None:
    texts = TEXTS if column == "TEXT" else [f"http://a.example/{i}" for i in range(len(TEXTS))]
    counts, rows = some_counts(tmp_path / "a.parquet", laion(**{column: texts_of(kind, texts)}))
    assert counts == {"kept": 2, "no_caption": 2, "no_keyword": 1}
    assert [row["source_caption"] for row in rows] == ["landsat 7", "landsat ü 8"]
    assert [row["url"] for row in rows] == ["http://a.example/0", "http://a.example/4"]
    ours = {"LICENSE": "image_licence", "NSFW": "nsfw", "SAMPLE_ID": "native_id", "hash": "native_hash"}
    if column in ours:
        assert [row[ours[column]] for row in rows] == ["http://a.example/0", "http://a.example/4"]


@pytest.mark.parametrize("kind", NUMBER_TYPES, ids=str)
@pytest.mark.parametrize("column", ["WIDTH", "similarity", "punsafe"])
def test_a_number_column_of_any_type_is_read(tmp_path: Path, column: str, kind: pa.DataType) -> None:
    values = [None] * 5 if kind == pa.null() else [1, None, 0, 0, 1]
    numbers = (
        pa.array(values, pa.int64()).dictionary_encode()
        if pa.types.is_dictionary(kind)
        else pa.array(values).cast(kind)
    )
    counts, rows = some_counts(tmp_path / "a.parquet", laion(**{column: numbers}))
    assert counts == {"kept": 2, "no_caption": 2, "no_keyword": 1}
    # LAION-2B's columns are swapped: WIDTH is the height.
    ours = {"WIDTH": "published_height_px", "similarity": "similarity", "punsafe": "punsafe"}[column]
    assert [row[ours] for row in rows] == ([None, None] if kind == pa.null() else [1, 1])


@pytest.mark.parametrize("kind", [k for k in TEXT_TYPES if not pa.types.is_dictionary(k) and k != pa.json_()], ids=str)
@pytest.mark.parametrize("make", LIST_TYPES, ids=lambda make: str(make.__name__))
def test_a_list_column_of_any_type_is_read(tmp_path: Path, make: Any, kind: pa.DataType) -> None:
    lists = [["landsat 1", "b"], [], None, ["x", None], ["c", "landsat 2"]]
    captions = pa.array(lists, make(kind))
    columns = {
        "URL": [f"http://a.example/{i}" for i in range(5)],
        "TEXT": ["t"] * 5,
        "top_caption": ["u"] * 5,
        "all_captions": captions,
    }
    counts, rows = some_counts(tmp_path / "a.parquet", columns, "laioncoco")
    assert counts["kept"] == 2
    assert [row["source_caption"] for row in rows] == ["landsat 1\nb", "c\nlandsat 2"]


def test_invalid_utf8_is_a_fault_of_its_row_in_views_too(tmp_path: Path) -> None:
    texts = pa.array([b"landsat", b"landsat \xff", b"landsat 3", b"a", b"b"], pa.binary_view())
    counts, rows = some_counts(tmp_path / "a.parquet", laion(TEXT=texts))
    assert counts == {"kept": 2, "invalid_utf8": 1, "no_keyword": 2}
    assert [row["source_caption"] for row in rows] == ["landsat", "landsat 3"]


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_lists_of_samples_with_any_text_type_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "pub11_train.parquet"
    columns = {
        "img_name": texts_of(kind, ["laion2b_0_1", "laion2b_0_2"]),
        "text": texts_of(kind, ["a", "b"]),
        "url": texts_of(kind, ["http://a.example/1", "http://a.example/2"]),
    }
    pq.write_table(pa.table(columns), path)
    assert count_list(path) == 2
    rows = [
        (n, t, u) for found in read_list(path) for n, t, u in zip(found.names, found.texts, found.urls, strict=True)
    ]
    assert [(n.as_py(), t.as_py()) for n, t, _ in rows] == [("laion2b_0_1", "a"), ("laion2b_0_2", "b")]


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_a_plain_array_has_the_plain_type_and_the_same_values(kind: pa.DataType) -> None:
    values = texts_of(kind, TEXTS).slice(1)
    found = as_plain(values)
    assert found.type == plain_type(kind) and len(found) == 4
    assert found.to_pylist() == values.to_pylist()
    for make in LIST_TYPES:
        lists = pa.array([["a"], None, [], ["b", None]], make(pa.string_view())).slice(1)
        assert as_plain(lists).to_pylist() == [None, [], ["b", None]]
