"""The perceptual hashes of a picture in the eight ways to turn it by quarters and mirror it, from one block of DCT.

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


def orient_block(low: Block) -> Block:
    """Return float64 [8, 8, 8]: the DCT block of the picture shown by each EXIF orientation, 1 to 8.

    Args:
        low: float64 [8, 8], the lowest frequencies; vertical ones along the first axis.
    """
    signs: Block = np.where(np.arange(SIDE) % 2, -1.0, 1.0)
    blocks = np.empty((N_ORIENTATIONS, SIDE, SIDE))
    for n in range(N_ORIENTATIONS):
        block = low.T if _TRANSPOSED[n] else low
        block = block * signs if _MIRRORED[n] else block
        blocks[n] = block * signs[:, None] if _FLIPPED[n] else block
    return blocks


def hash_orientations(low: Block) -> list[int]:
    """Return eight uint64: the perceptual hash of the picture shown by each EXIF orientation, 1 to 8.

    The first is the picture's own hash. Each is the hash of the turned picture, except for bits whose frequency is
    within a rounding of the median.

    Args:
        low: as for orient_block.
    """
    flat = orient_block(low).reshape(N_ORIENTATIONS, SIDE * SIDE)
    ranked = np.sort(flat, axis=1)
    medians = (ranked[:, SIDE * SIDE // 2 - 1] + ranked[:, SIDE * SIDE // 2]) / 2
    packed = np.packbits(flat > medians[:, None], axis=1)
    hashes: list[int] = packed.view(">u8")[:, 0].tolist()
    return hashes
