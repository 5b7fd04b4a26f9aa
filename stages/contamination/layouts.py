"""Measure how simple the layout is that a perceptual hash describes.

Many unlike pictures share a simple layout, such as a bright corner or one dark spot on even ground; then a near hash
says little. Not for pictures without any detail: their hashes are left out by `min_detail`.
"""

import numpy as np
import numpy.typing as npt

SIDE = 8  # of the square of bits
_HASHES_AT_ONCE = 1 << 16  # their squares take 34 MB


def layout_shares(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Return the share of each hash that one product of a column and a row of signs explains, in [1/8, 1].

    It is the largest squared singular value of the square of bits, taken as 1 and -1, over the sum of all; 1 for a
    picture that is a product of a function of x and one of y. Turning or mirroring a picture hardly changes it.
    Rounded, since the last digits depend on the machine. Takes some 10 us a hash.
    """
    found = [np.empty(0)]
    for start in range(0, len(hashes), _HASHES_AT_ONCE):
        some = hashes[start : start + _HASHES_AT_ONCE].astype(">u8")
        signs = np.unpackbits(some.view(np.uint8)).reshape(-1, SIDE, SIDE) * 2.0 - 1
        found.append(np.linalg.svd(signs, compute_uv=False)[:, 0] ** 2 / SIDE**2)
    return np.concatenate(found).round(4)
