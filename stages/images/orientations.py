"""The perceptual hashes of a picture in the eight ways to turn it by quarters and mirror it, from a block of DCT.

Not for decoding or reducing pictures; imports numpy alone, because the decoding child imports it.
"""

from typing import Any

import numpy as np

N_ORIENTATIONS = 8  # of EXIF: four quarter turns, each plain or mirrored
SIDE = 8  # frequencies a side

Block = np.ndarray[Any, np.dtype[np.float64]]

# A picture that is mirrored along an axis has the frequencies of odd order along that axis with the other sign, and a
# transposed one has them transposed. By EXIF orientation: 1 as it is, 2 mirrored, 3 by half a turn, 4 flipped,
# 5 transposed, 6 turned clockwise by 90 degrees, 7 transversed, 8 turned clockwise by 270 degrees.
_MIRRORED = (False, True, True, False, False, True, True, False)
_FLIPPED = (False, False, True, True, False, False, True, True)
_TRANSPOSED = (False, False, False, False, True, True, True, True)

_ODD = np.where(np.arange(SIDE) % 2, -1.0, 1.0)
_PLACES = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
# int64 and float64 [8, 64]: where each frequency is taken from, and its sign.
_ORDERS = np.array([(_PLACES.T if is_transposed else _PLACES).ravel() for is_transposed in _TRANSPOSED])
_SIGNS = np.array(
    [
        np.outer(_ODD if is_flipped else np.ones(SIDE), _ODD if is_mirrored else np.ones(SIDE)).ravel()
        for is_mirrored, is_flipped in zip(_MIRRORED, _FLIPPED, strict=True)
    ]
)


def orient_block(low: Block) -> Block:
    """Return float64 [..., 8, 8, 8]: the DCT block of a picture shown by each EXIF orientation, 1 to 8.

    Args:
        low: float64 [..., 8, 8], the lowest frequencies; vertical ones along the first axis of a picture.
    """
    flat = low.reshape(*low.shape[:-2], SIDE * SIDE)
    return np.asarray((flat[..., _ORDERS] * _SIGNS).reshape(*low.shape[:-2], N_ORIENTATIONS, SIDE, SIDE))


def hash_orientations(low: Block) -> list[list[int]]:
    """Return eight uint64 a picture: the perceptual hash of it shown by each EXIF orientation, 1 to 8.

    The first is the picture's own hash: a bit each for the frequencies above their median, the first one the most
    significant. Each is the hash of the turned picture, except for bits whose frequency is within a rounding of the
    median.

    Args:
        low: float64 [pictures, 8, 8], as for orient_block.
    """
    flat = orient_block(low).reshape(-1, SIDE * SIDE)
    packed = np.packbits(flat > find_medians(flat)[:, None], axis=1)
    hashes: list[list[int]] = packed.view(">u8").reshape(-1, N_ORIENTATIONS).tolist()
    return hashes


def find_medians(flat: Block) -> Block:
    """Return the median of each row of 64, as numpy.median: the mean of the two values in the middle."""
    ranked = np.sort(flat, axis=1)
    return np.asarray((ranked[:, SIDE * SIDE // 2 - 1] + ranked[:, SIDE * SIDE // 2]) / 2)
