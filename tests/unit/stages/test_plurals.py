"""A count of one has its noun in the singular."""

import pytest

from stages.plurals import counted


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
