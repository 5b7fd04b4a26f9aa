"""An id is claimed once over all batches."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.readers.formats.seen_ids import SeenIds


@given(st.lists(st.lists(st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 5), max_size=6), max_size=12))
def test_the_first_of_equal_ids_is_claimed(batches: list[list[int]]) -> None:
    seen, known = SeenIds(), set[int]()
    for batch in batches:
        expected = []
        for number in batch:
            expected.append(number not in known)
            known.add(number)
        assert seen.claim(np.array(batch, np.int64)).tolist() == expected
