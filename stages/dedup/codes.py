"""Codes of keypoints: 64 bits each, by which pictures that share no keypoints are distinguished without their pixels.

Not for confirming copies: stages/images/keypoints.py does that, with the keypoints themselves.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.dedup.held_rows import HeldRows
from stages.dedup.joining import compiled, is_near
from stages.dedup.vectors import numbered_blocks
from stages.images.keypoints import Keypoints
from stages.rows import space_of

Codes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]

N_CODES = 300  # of a picture, those of its strongest keypoints
# Measured with N_CODES and two near codes, which all confirmed copies of 100 pictures have: at 4 bits .08 of the pairs
# of different real pictures have them, at 6 bits .35; with 200 codes one copy of a drawing is lost.
MAX_BITS = 5  # in which the codes of one keypoint in two copies differ
_PAIRS_AT_ONCE, _ROWS_AT_ONCE = 1_024, 16_384  # 5 and 40 MB of codes


def encode_keypoints(keypoints: Keypoints) -> Codes:
    """Return uint64 [n], the codes of the strongest keypoints, at most N_CODES, in order.

    Each bit says whether a sum of two values of the descriptor, of cells side by side, is above the median of all 64.

    Source: W. Zhou et al., Scalable Feature Matching by Dual Cascaded Scalar Quantization, 2013, has bits by medians.
    """
    cells = keypoints.descriptors[:N_CODES].reshape(-1, 4, 4, 8).astype(np.int16)
    sums = (cells[:, 0::2] + cells[:, 1::2]).reshape(-1, 64)
    medians = np.partition(sums, 31, axis=1)[:, 31:32]
    packed = np.ascontiguousarray(np.packbits(sums > medians, axis=1))
    return np.asarray(packed.view("<u8")[:, 0])


def mirror_codes(codes: Codes) -> Codes:
    """Return the codes of the pictures mirrored left to right, of the same shape."""
    cells = codes.view(np.uint8).reshape(*codes.shape, 2, 4)
    mirrored = _mirrored_cells()[np.ascontiguousarray(cells[..., ::-1, :])].reshape(*codes.shape, 8)
    return np.asarray(mirrored.view("<u8")[..., 0])


@cache
def _mirrored_cells() -> npt.NDArray[np.uint8]:
    """Return for each byte, a cell's eight directions, the byte of the mirrored cell: directions turn the other way."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    return np.packbits(bits[:, -np.arange(8) % 8], axis=1)[:, 0]


class HeldCodes:
    """The codes of numbered pictures, in memory or in a file: 2.4 kB a picture."""

    def __init__(self, rows: Any, numbers: Rows, n_pictures: int) -> None:
        """Read the codes of a table.

        Args:
            rows: the table keypoint_summary.
            numbers: int64, the number of each row's picture, -1 for rows to leave out.
            n_pictures: number of pictures; those without a row have no codes.
        """
        space = space_of({"rows": rows})
        self._held = HeldRows((n_pictures, N_CODES), np.uint64, space.new_path() if space else None)
        self._sizes = np.zeros(n_pictures, np.int64)
        for block, known, places in numbered_blocks(rows, numbers, ["keypoint_codes"], _ROWS_AT_ONCE):
            column = block["keypoint_codes"].combine_chunks()
            sizes = column.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
            values = column.flatten().to_numpy(zero_copy_only=False)
            starts = np.cumsum(sizes) - sizes
            for place, start, size in zip(places, starts[known], sizes[known], strict=True):
                self._held.values[place, :size] = values[start : start + size]
            self._sizes[places] = sizes[known]
            self._held.forget()

    def have_near(self, rows: Rows, others: Rows, least: int) -> npt.NDArray[np.bool_]:
        """Return, for each pair of pictures, whether at least `least` codes are near, as shown or mirrored."""
        found = np.ones(rows.size, bool)
        for start in range(0, rows.size if least else 0, _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            first, second = self._held.values[rows[some]], self._held.values[others[some]]
            sizes = self._sizes[rows[some]], self._sizes[others[some]]
            found[some] = have_near(first, second, *sizes, least)
            self._held.forget()
        return found


def have_near(first: Codes, second: Codes, n_first: Rows, n_second: Rows, least: int) -> npt.NDArray[np.bool_]:
    """Return, for each pair of pictures, whether at least `least` codes are near, as shown or mirrored.

    Arguments are as for share_codes.
    """
    found = share_codes(first, second, n_first, n_second, least)
    left = np.flatnonzero(~found)
    found[left] = share_codes(mirror_codes(first[left]), second[left], n_first[left], n_second[left], least)
    return found


@compiled
def share_codes(first: Codes, second: Codes, n_first: Rows, n_second: Rows, least: int) -> npt.NDArray[np.bool_]:
    """Return, for each pair, whether at least `least` codes of the first are near as many codes of the second.

    Args:
        first: uint64 [pairs, N_CODES].
        second: the same.
        n_first: int64 [pairs], the number of codes of the first picture.
        n_second: the same of the second.
        least: at least 1.
    """
    found = np.zeros(len(first), np.bool_)
    for pair in range(len(first)):
        is_taken = np.zeros(second.shape[1], np.bool_)
        n_taken = 0
        for one in range(n_first[pair]):
            is_any = False
            for other in range(n_second[pair]):  # without a jump, which is several times as fast
                is_any |= bool(is_near(first[pair, one], second[pair, other], MAX_BITS))
            for other in range(n_second[pair] if is_any else 0):
                if is_near(first[pair, one], second[pair, other], MAX_BITS) and not is_taken[other]:
                    is_taken[other] = True
                    n_taken += 1
                    break
            if n_taken >= least:
                found[pair] = True
                break
    return found
