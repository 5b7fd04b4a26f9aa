import pyarrow as pa
import pytest

from stages.shard.published_text import TextOrder, caption_sources, published_text

META = pa.array(["Seen in May.", None, "Seen in May.", "", None])
TEXT = pa.array(["a river", "a road", None, "a roof", None])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("meta_first", ["Seen in May. a river", "a road", "Seen in May.", "a roof", ""]),
        ("text_first", ["a river Seen in May.", "a road", "Seen in May.", "a roof", ""]),
        ("text_only", ["a river", "a road", "", "a roof", ""]),
    ],
)
def test_the_separator_is_only_used_between_two_texts(order: TextOrder, expected: list[str]) -> None:
    assert published_text(META, TEXT, order, " ").to_pylist() == expected


def test_chunked_columns_and_other_separators_work() -> None:
    meta, text = pa.chunked_array([META.slice(0, 2), META.slice(2)]), pa.chunked_array([TEXT])
    found = published_text(meta, text, "meta_first", "\n")
    assert found.to_pylist()[0] == "Seen in May.\na river"
    assert found.type == pa.string() and found.null_count == 0


def test_no_samples_give_no_texts() -> None:
    nothing = pa.array([], pa.string())
    assert len(published_text(nothing, nothing, "meta_first", " ")) == 0


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("meta_first", [["meta", "web"], ["generated"], ["meta"], ["web"], []]),
        ("text_first", [["web", "meta"], ["generated"], ["meta"], ["web"], []]),
        ("text_only", [["web"], ["generated"], [], ["web"], []]),
    ],
)
def test_sources_name_the_nonblank_texts_in_order(order: TextOrder, expected: list[list[str]]) -> None:
    halves = ["pub11", "rs3", "rs3", "pub11", "pub11"]
    rows = pa.table({"meta_caption": META, "text": TEXT, "half": halves, "text_source": pa.nulls(5, pa.string())})
    assert caption_sources(rows, order).to_pylist() == expected


def test_a_further_text_is_named_by_its_source() -> None:
    rows = pa.table({"meta_caption": META[:1], "text": TEXT[:1], "half": ["pub11"], "text_source": ["alt-texts"]})
    assert caption_sources(rows, "text_first").to_pylist() == [["alt-texts", "meta"]]
