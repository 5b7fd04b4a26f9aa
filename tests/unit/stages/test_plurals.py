"""A count of one has its noun in the singular, and a long list its length."""

import pytest

from stages.plurals import briefly, counted, in_lines


@pytest.mark.parametrize(
    ("n", "nouns", "said"),
    [
        (0, ("sample",), "0 samples"),
        (1, ("sample",), "1 sample"),
        (2000, ("sample",), "2,000 samples"),
        (1, ("body", "bodies"), "1 body"),
        (2, ("body", "bodies"), "2 bodies"),
    ],
)
def test_one_is_singular(n: int, nouns: tuple[str, ...], said: str) -> None:
    assert counted(n, *nouns) == said


def test_a_long_list_is_cut_and_says_how_many_more_there_are() -> None:
    assert briefly(["a", "b"], 2) == "a, b"
    assert briefly(["a", *"b" * 2000], 2) == "a, b and 1,999 more"
    assert briefly(["a", "b", "c"], 2, "; ") == "a; b and 1 more"
    assert in_lines(["a", "b"], 2) == "  a\n  b"
    assert in_lines(["a", "b", "c"], 2) == "  a\n  b\n  and 1 more"
