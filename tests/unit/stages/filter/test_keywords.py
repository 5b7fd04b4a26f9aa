"""Keywords are found like by a plain search."""

import string

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.manifests import load_keywords
from stages.filter.keywords import match_any, matched_keywords

PATTERNS = load_keywords().patterns(has_spaced_sentinel=True)
FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def found_by_loop(caption: str | None, patterns: tuple[str, ...]) -> list[str]:
    return [p for p in patterns if caption is not None and p.translate(FOLD) in caption.translate(FOLD)]


def test_every_pattern_is_found_in_any_case() -> None:
    for pattern in PATTERNS:
        captions = pa.array([pattern, pattern.upper(), f"a {pattern.lower()}es", pattern[:-1], pattern[1:]])
        expected = [bool(found_by_loop(c, PATTERNS)) for c in captions.to_pylist()]
        assert match_any(captions, PATTERNS).to_pylist() == expected
        assert expected[:3] == [True] * 3


def test_only_ascii_letters_match_in_the_other_case() -> None:
    captions = pa.array(["uſgs", "\u212aey usgs", "mar\u212aer", "ſatellite image", "space", None, ""])
    assert match_any(captions, PATTERNS).to_pylist() == [False, True, False, False, False, False, False]
    assert match_any(captions, ("marker", "satellite imag")).to_pylist() == [False] * 7
    assert matched_keywords(captions, ("satellite imag", "usgs")).to_pylist()[3] == []


def test_a_keyword_does_not_match_across_two_captions() -> None:
    captions = pa.array(["an aerial", " satellite image", "aerial ", "view", "space vie", "w", "", "usg", "s"])
    assert match_any(captions, PATTERNS).to_pylist() == [False, True] + [False] * 7


def test_a_match_across_two_captions_hides_no_match_inside_one() -> None:
    # "ab|cde" is searched as abcde: the match abcd begins in the first caption and hides cde, or b|c hides c.
    assert match_any(pa.array(["ab", "cde"]), ("abcd", "cde")).to_pylist() == [False, True]
    assert match_any(pa.array(["ab", "c", "d", "e"]), ("abcde", "c", "e")).to_pylist() == [False, True, False, True]


def test_pieces_of_keywords_in_neighbouring_captions_match_like_a_loop() -> None:
    pieces = sorted(
        {piece for p in PATTERNS for piece in (p, *p.split(" "), p[:-1], p[1:])} | {"", " ", "a", "dish", "é"}
    )
    picks = np.random.default_rng(3).integers(0, len(pieces), (300, 3))
    texts = ["".join(pieces[i] for i in row[: 1 + row[0] % 3]) for row in picks]
    expected = [bool(found_by_loop(text, PATTERNS)) for text in texts]
    assert 0.1 < np.mean(expected) < 0.9
    assert match_any(pa.array(texts), PATTERNS).to_pylist() == expected
    assert matched_keywords(pa.array(texts), PATTERNS).to_pylist() == [found_by_loop(text, PATTERNS) for text in texts]


def test_patterns_that_differ_in_case_alone_are_both_named() -> None:
    assert matched_keywords(pa.array(["a NAIP b", None]), ("naip", "x", "NAIP")).to_pylist() == [["naip", "NAIP"], []]
    assert matched_keywords(pa.chunked_array([["x"], ["naip"]]), ("naip", "x")).to_pylist() == [["x"], ["naip"]]


def test_slices_chunks_nulls_and_large_strings_give_the_same_result() -> None:
    texts = ["usgs", None, "x", "MODIS", "", "a Landsat b"] * 3
    whole = pa.array(texts)
    expected = match_any(whole, PATTERNS).to_pylist()
    assert expected == [bool(found_by_loop(t, PATTERNS)) for t in texts]
    assert match_any(whole.slice(1, 4), PATTERNS).to_pylist() == expected[1:5]
    assert match_any(pa.chunked_array([whole[:5], whole[5:]]), PATTERNS).to_pylist() == expected
    assert match_any(whole.cast(pa.large_string()), PATTERNS).to_pylist() == expected
    assert match_any(pa.array([], pa.string()), PATTERNS).to_pylist() == []
    assert match_any(whole, ()).to_pylist() == [False] * len(texts)
    assert match_any(pa.chunked_array([], pa.string()), PATTERNS).to_pylist() == []


def test_characters_under_a_null_do_not_match() -> None:
    array = pa.StringArray.from_buffers(2, pa.py_buffer(np.array([0, 4, 8], np.int32)), pa.py_buffer(b"usgsusgs"),
                                        pa.py_buffer(b"\x02"))  # fmt: skip
    assert match_any(array, PATTERNS).to_pylist() == [False, True]


def test_a_long_text_under_a_null_does_not_match() -> None:
    text = b"usgs" + b"x" * 96
    array = pa.StringArray.from_buffers(2, pa.py_buffer(np.array([0, 100, 200], np.int32)), pa.py_buffer(text * 2),
                                        pa.py_buffer(b"\x02"))  # fmt: skip
    assert match_any(array, PATTERNS).to_pylist() == [False, True]


def test_few_and_many_suspects_give_the_same_result() -> None:
    texts = ["a lands", "at of usgs", "x MOD", "IS aerial vie", "w usgs", None, "", "\u212aey usg"] * 300
    found = match_any(pa.array(texts), PATTERNS).to_pylist()
    assert found == [bool(found_by_loop(text, PATTERNS)) for text in texts]
    assert match_any(pa.array(texts[:80]), PATTERNS).to_pylist() == found[:80]


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="empty pattern"):
        match_any(pa.array(["a"]), ("a", ""))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.none() | st.text("abABſ\u212ak é", max_size=8), max_size=12),
    st.lists(st.text("abAB kK", min_size=1, max_size=4), min_size=1, max_size=5, unique=True),
)
def test_search_equals_a_loop(captions: list[str | None], patterns: list[str]) -> None:
    array = pa.array(captions, pa.string())
    expected = [found_by_loop(caption, tuple(patterns)) for caption in captions]
    assert match_any(array, patterns).to_pylist() == [bool(found) for found in expected]
    assert matched_keywords(array, patterns).to_pylist() == expected


def test_all_keywords_of_a_caption_are_named_in_manifest_order() -> None:
    captions = pa.array(["USGS aerial satellite view from Landsat", "nothing"])
    expected = ["aerial satellite", "satellite view", "USGS", "Landsat"]
    assert matched_keywords(captions, PATTERNS).to_pylist() == [expected, []]


@pytest.mark.parametrize("narrow", [pa.string(), pa.large_string()])
def test_a_cast_slice_is_searched_correctly(narrow: pa.DataType) -> None:
    wide = pa.array(["a long text before", "another", "USGS", "x", "A MODIS tile"], pa.large_string())
    assert match_any(wide.slice(2).cast(narrow), PATTERNS).to_pylist() == [True, False, True]
