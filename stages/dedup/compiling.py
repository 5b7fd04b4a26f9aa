"""Compiles the loops of the search for near hashes: `python -m stages.dedup.compiling`, at the end of the install.

Otherwise the first `cluster` of a checkout does it, and a forecast from a pilot takes these seconds for the cost of its
rows.
"""

import numpy as np

from stages.dedup.clusters import FEW, label_clusters

_N_PICTURES = 2 * FEW  # all in one component, large enough for each kind of search


def compile_loops() -> None:
    """Compile every loop that label_clusters calls, and store the machine code for later processes."""
    hashes = np.arange(2 * _N_PICTURES, dtype=np.uint64).reshape(2, _N_PICTURES).T  # as shown, and turned
    pixels, details = np.arange(_N_PICTURES, dtype=np.int64), np.full(_N_PICTURES, 1.0)
    for n in (2, _N_PICTURES):
        rows = np.ascontiguousarray(hashes[:n])
        label_clusters(pixels[:n], rows, details[:n], pixels[:n], 2, 0.0, is_chained=False)


if __name__ == "__main__":
    compile_loops()
