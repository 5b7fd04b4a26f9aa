"""JSON lists are read and counted in chunks, and a bad element does not hide others."""

import json
import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.readers.batch import SourceFileError
from stages.readers.formats.json_stream import WHOLE, count_lists, read_lists
from stages.readers.formats.json_values import BadElement


def chunks(data: bytes, n_bytes: int) -> Iterator[bytes]:
    return (data[i : i + n_bytes] for i in range(0, len(data), n_bytes))


def read(data: bytes, *names: str, n_bytes: int = 1 << 22, **options: Any) -> tuple[dict[str, list[Any]], str | None]:
    """Return the elements by list and the file's fault; reading and counting must agree."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    fault = None
    try:
        for name, values in read_lists(chunks(data, n_bytes), names, "f", **options):
            found[name] += values
    except SourceFileError as error:
        fault = str(error)
    counts = count_lists(chunks(data, n_bytes), names, "f")
    assert counts.n_elements == {name: len(values) for name, values in found.items()}
    assert (counts.fault is None) == (fault is None)
    return found, fault


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, max_size=6), st.sampled_from([1, 2, 7, 1 << 22]), st.booleans(), st.sampled_from([None, 1]))
def test_intact_files_give_the_same_as_json(
    values: list[Any], n_bytes: int, is_ascii: bool, indent: int | None
) -> None:
    data = json.dumps(values, ensure_ascii=is_ascii, indent=indent).encode(errors="surrogatepass")
    assert read(data, WHOLE, n_bytes=n_bytes) == ({WHOLE: values}, None)
    several = {"info": {"a": values}, "a": values, "other": 3, "b": values[:2]}
    data = json.dumps(several, ensure_ascii=is_ascii, indent=indent).encode(errors="surrogatepass")
    assert read(data, "b", "a", n_bytes=n_bytes) == ({"b": values[:2], "a": values}, None)


PIECES = [
    b"[", b"]", b"{", b"}", b",", b'"', b"\\", b" ", b"\n", b"1", b'"a"', b'"b"', b":", b'"a":[', b"null", b"\xff",
    b"\0", b'{"a":[1,{},"x"]', b"[[1],", b'{"a":[',
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join), st.sampled_from([(WHOLE,), ("a",), ("a", "b")]))
def test_reading_and_counting_agree_for_any_bytes(data: bytes, names: tuple[str, ...]) -> None:
    found = [read(data, *names, n_bytes=n_bytes)[0] for n_bytes in (1, 3, 1 << 22)]
    kept = [[value for value in values if type(value) is not BadElement] for values in found[0].values()]
    assert kept == [[value for value in values if type(value) is not BadElement] for values in found[2].values()]


@pytest.mark.parametrize("n_bytes", [1, 5, 1 << 22])
def test_a_bad_element_does_not_hide_others(n_bytes: int) -> None:
    data = b'[{"a": 1}, {"b" 2}, x, "\xff", "\\ud800", NaN, {"a": "],\\"\\\\"}, "\t", , 1 2, 7]'
    found = read(data, WHOLE, n_bytes=n_bytes)[0][WHOLE]
    assert [type(value) is BadElement for value in found] == [n in (1, 2, 7, 8, 9) for n in range(11)]
    assert [found[n] for n in (0, 3, 4, 5, 6, 10)] == [{"a": 1}, "\udcff", "\ud800", None, {"a": '],"\\'}, 7]
    assert found[1].reason == "damaged_source" and found[1].detail.startswith("no JSON: Expecting ':'")


@pytest.mark.parametrize("n_bytes", [1, 2, 3, 4, 1 << 22])
def test_a_byte_order_mark_is_ignored(n_bytes: int) -> None:
    assert read(b"\xef\xbb\xbf [1, 2]", WHOLE, n_bytes=n_bytes) == ({WHOLE: [1, 2]}, None)


@pytest.mark.parametrize("end", [b"\x1a", b"\r\n\x1a", b"\n\0\0", bytes(5000)])
@pytest.mark.parametrize("n_bytes", [1, 1 << 22])
def test_an_end_mark_and_padding_behind_the_last_bracket_are_no_fault(end: bytes, n_bytes: int) -> None:
    assert read(b"[1, 2]" + end, WHOLE, n_bytes=n_bytes) == ({WHOLE: [1, 2]}, None)


def test_elements_before_a_cut_are_kept() -> None:
    whole = b'{"info": {"annotations": [9]}, "annotations": [{"a": "x"}, {"a": "y"}, {"a": "z"}]}'
    for cut in range(len(whole)):
        found, fault = read(whole[:cut], "annotations", n_bytes=4)
        assert found["annotations"] == [{"a": c} for c in "xyz"][: len(found["annotations"])]
        assert fault is not None and ("found its end before" in fault or "found b''" in fault)
    assert read(whole, "annotations")[1] is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "expected a JSON list or object, found b''"),
        (b"<html>", "expected a JSON list or object, found b'<html>'"),
        (b"[1] [2]", "expected the end after the last bracket"), (b'{"b": [1]}', "expected a list 'annotations'"),
        (b'{"annotations": {"x": 1}}', "expected a list 'annotations'"), (b"[1]", "expected a list 'annotations'"),
        (b'{"x" "annotations": [1]}', "expected a list 'annotations'"), (b"\xff\xfe[\0", "found UTF-16"),
        (b"[\0", "found UTF-16"), (b"\xef\xbb[]", "found b'\\xef"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_json_is_named(data: bytes, words: str) -> None:
    assert words in (read(data, "annotations")[1] or "")


def test_endless_nesting_and_numbers_are_bad_elements() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    found = read(b"[1," + deep + b", " + b"9" * 5_000 + b",2]", WHOLE)[0][WHOLE]
    assert (found[0], found[3]) == (1, 2) and found[1].detail == "JSON nested too deep"
    assert found[1].reason == found[2].reason == "bad_record"


def test_an_endless_element_does_not_fill_the_memory() -> None:
    def endless(n_bytes: int) -> Iterator[bytes]:
        yield b'[{"a": 1}, "'
        for _ in range(n_bytes >> 16):
            yield b"x" * (1 << 16)
        yield b'", 2, 3]'

    tracemalloc.start()
    found = [value for _, some in read_lists(endless(1 << 25), [WHOLE], "f", 1 << 20) for value in some]
    assert count_lists(endless(1 << 25), [WHOLE], "f").n_elements == {WHOLE: 4}
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[0] == {"a": 1} and found[2:] == [2, 3] and found[1].reason == "damaged_source"
    assert peak_bytes < 8 << 20
    assert sys.getrecursionlimit() < 100_000
