from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.ledger import digests
from flows.ledger.digests import combine_each, digest_column, digest_columns, digest_file, strings_json
from schemas.fields import FIELDS
from stages.identity import canonical_json, digest_json

TYPES = sorted({field.type for field in FIELDS}, key=str)
TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
VALUES = {
    pa.string(): TEXT,
    pa.binary(): st.binary(max_size=5),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.list_(pa.string()): st.lists(st.none() | TEXT, max_size=3),
    pa.list_(pa.uint64()): st.lists(st.none() | st.integers(0, 2**64 - 1), max_size=3),
    pa.list_(pa.float16()): st.lists(st.none() | st.floats(allow_nan=False, width=16), max_size=3),
    pa.list_(pa.float32()): st.lists(st.none() | st.floats(allow_nan=False, width=32), max_size=3),
    pa.list_(pa.float64()): st.lists(st.none() | st.floats(allow_nan=False), max_size=3),
}
COLUMNS = st.sampled_from(TYPES).flatmap(
    lambda kind: st.tuples(st.just(kind), st.lists(st.none() | VALUES[kind], max_size=12))
)


def chunked(values: list[Any], kind: pa.DataType, cuts: list[int]) -> pa.ChunkedArray:
    """Return the values in chunks that are slices of a longer array."""
    around = pa.array([*values[:1], *values, *values[-1:]], kind)
    array = around.slice(min(1, len(values)), len(values))
    ends = sorted({min(cut, len(values)) for cut in cuts} | {0, len(values)})
    chunks = [array.slice(a, b - a) for a, b in pairwise(ends)]
    return pa.chunked_array([*chunks, array.slice(0, 0)], kind)


def with_garbage_under_nulls(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Return the values with nonzero bytes under nulls."""
    is_null = np.array([value is None for value in values], bool)
    fills = {"string": "garbage", "binary": b"garbage", "list<item: string>": ["garbage"], "bool": True, "double": 7.5}
    fill: Any = fills.get(str(kind), 7)
    fill = [7.5] if pa.types.is_list(kind) and kind != pa.list_(pa.string()) else fill
    full = pa.array([fill if value is None else value for value in values], kind)
    if not len(values):
        return full
    valid = pa.py_buffer(np.packbits(~is_null, bitorder="little").tobytes())
    children = [full.values] if pa.types.is_list(kind) else None
    buffers = [valid, *full.buffers()[1 : 2 if children else None]]
    return pa.Array.from_buffers(kind, len(values), buffers, children=children)


def test_every_type_of_the_fields_is_tested() -> None:
    assert set(TYPES) == set(VALUES)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(COLUMNS, st.lists(st.integers(0, 12), max_size=4))
def test_equal_values_have_equal_digests_whatever_their_layout(column: tuple[Any, list[Any]], cuts: list[int]) -> None:
    kind, values = column
    expected = digest_column(pa.chunked_array([pa.array(values, kind)], kind))
    assert digest_column(chunked(values, kind, cuts)) == expected
    garbage = with_garbage_under_nulls(values, kind)
    garbage.validate(full=True)
    assert garbage.to_pylist() == values
    assert digest_column(pa.chunked_array([garbage], kind)) == expected


@settings(deadline=None, derandomize=True, max_examples=300)
@given(COLUMNS, COLUMNS)
def test_different_values_or_types_have_different_digests(
    one: tuple[Any, list[Any]], other: tuple[Any, list[Any]]
) -> None:
    first, second = (digest_column(pa.chunked_array([pa.array(v, k)], k)) for k, v in (one, other))
    assert (first == second) == ((one[0], repr(one[1])) == (other[0], repr(other[1])))


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_nulls_order_and_length_change_a_digest(kind: pa.DataType) -> None:
    zero: Any = {"string": "", "binary": b"", "list<item: string>": [], "bool": False}.get(str(kind), 0)
    one: Any = {"string": "x", "binary": b"x", "list<item: string>": ["x"], "bool": True}.get(str(kind), 1)
    if pa.types.is_list(kind) and kind != pa.list_(pa.string()):
        zero, one = [], [np.float16(0)]
    columns = [[None], [zero], [], [zero, one], [one, zero], [None, one], [zero, None], [zero, zero]]
    found = {digest_column(pa.chunked_array([pa.array(c, kind)], kind)) for c in columns}
    assert len(found) == len(columns)


def test_texts_and_lists_with_equal_concatenations_have_different_digests() -> None:
    columns = [
        [["a", "b"]], [["ab"]], [["ab"], []], [[], ["ab"]], [["a"], ["b"]],
        [None, ["ab"]], [["ab", None]], [["ab", ""]],
    ]  # fmt: skip
    kind = pa.list_(pa.string())
    assert len({digest_column(pa.chunked_array([pa.array(c, kind)], kind)) for c in columns}) == len(columns)
    texts = [["a", "bc"], ["ab", "c"], ["abc", ""], ["", "abc"]]
    assert len({digest_column(pa.chunked_array([pa.array(c)])) for c in texts}) == len(texts)


def test_values_after_the_first_block_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "BLOCK_ROWS", 3)
    one = pa.chunked_array([["a", "b", "c", None], ["d", "e", "f"]])
    same = pa.chunked_array([["a"], ["b", "c", None, "d", "e"], ["f"]])
    assert digest_column(one) == digest_column(same)
    assert digest_column(one) != digest_column(pa.chunked_array([["a", "b", "c", None, "d", "e", "g"]]))


def test_a_type_without_a_defined_digest_is_refused() -> None:
    with pytest.raises(TypeError, match="no digest is defined for columns of type struct"):
        digest_column(pa.chunked_array([[{"a": 1}]]))


def test_a_digest_is_one_per_column_and_combines_by_the_names_of_spans() -> None:
    table = pa.table({"a": [1], "b": ["x"]})
    digests_ = digest_columns(table)
    assert set(digests_) == {"a", "b"}
    spans = [("p1", digests_), ("p2", {"a": "0", "b": "1"})]
    of_a, of_b, of_both = combine_each(spans, [("a",), ("b",), ("a", "b")])
    assert of_b == digest_json([["p1", [digests_["b"]]], ["p2", ["1"]]])
    others = (spans[:1], [("q1", digests_), spans[1]], [("p1", {"b": "1"}), spans[1]], [])
    assert len({of_a, of_b, of_both, *(combine_each(other, [("a",)])[0] for other in others)}) == 7
    assert combine_each([("p1", {"b": "1"})], [("a", "b")]) == [digest_json([["p1", ["", "1"]]])]


def test_a_file_digest_is_the_sha256_of_its_bytes(tmp_path: Any) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert digest_file(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.recursive(TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)))
def test_strings_are_written_as_in_canonical_json(value: Any) -> None:
    assert strings_json(value) == canonical_json(value)
