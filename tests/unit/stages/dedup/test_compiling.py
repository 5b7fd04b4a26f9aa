import numpy as np

from stages.dedup import banding, heads, joining
from stages.dedup.clusters import FEW, label_clusters
from stages.dedup.compiling import compile_loops

_LOOPS = [loop for module in (banding, heads, joining) for loop in vars(module).values() if hasattr(loop, "signatures")]


def _n_compiled() -> int:
    return sum(len(loop.signatures) for loop in _LOOPS)


def test_nothing_is_left_to_compile_for_any_pictures() -> None:
    compile_loops()
    n_compiled = _n_compiled()
    assert banding.join_bands.signatures and heads.take_near.signatures  # others are compiled into these
    for n_ways in (1, 8):
        for n in (5, 3 * FEW):  # arange: one component
            hashes = np.repeat(np.arange(n, dtype=np.uint64), n_ways).reshape(n, n_ways)
            for is_chained in (False, True):
                for dates in (np.zeros(n, np.int64), np.arange(n)):
                    label_clusters(np.arange(n), hashes, np.full(n, 9.0), dates, 4, 1.0, is_chained=is_chained)
    assert _n_compiled() == n_compiled
