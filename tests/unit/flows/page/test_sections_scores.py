import numpy as np
import pytest

from flows.page.sections_scores import round_edges


@pytest.mark.parametrize(
    ("least", "most", "first", "last", "n"),
    [
        (0.0017, 0.998, 0, 1, 20),  # probabilities
        (-0.532, 0.799, -0.55, 0.8, 27),
        (-1, 1, -1, 1, 40),
        (0.21, 0.29, 0.21, 0.29, 8),  # a narrow range has narrow bins
        (0.5, 0.5, 0.5, 0.51, 1),
    ],
)
def test_edges_are_round_and_hold_all_values(least: float, most: float, first: float, last: float, n: int) -> None:
    edges = round_edges(least, most)
    assert (edges[0], edges[-1], len(edges) - 1) == (first, last, n)
    assert (np.diff(edges) > 0).all() and np.histogram([least, most], bins=edges)[0].sum() == 2
