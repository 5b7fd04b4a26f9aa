"""Decide which positions are valid, and which of a sample's two positions is used.

Zones and places of positions are in utm.py and places.py.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Devices without a fix write 0, 0, and rounding may leave a few millionths. Within 11 m of that point there is only a
# buoy in the Atlantic.
NULL_ISLAND_DEG = 1e-4


def is_position(latitude_deg: ArrayLike, longitude_deg: ArrayLike) -> NDArray[np.bool_]:
    """Return where a pair is a valid position: both are numbers, in range, and not both are zero.

    This rule applies to all sources of positions. A pair with a missing value (NaN) is invalid. Nothing is repaired: a
    latitude of 122 may be a swapped longitude, or another mistake.
    """
    north, east = np.abs(np.asarray(latitude_deg, np.float64)), np.abs(np.asarray(longitude_deg, np.float64))
    is_on_globe = (north <= 90) & (east <= 180)  # False for NaN
    return np.asarray(is_on_globe & ~((north < NULL_ISLAND_DEG) & (east < NULL_ISLAND_DEG)))


def choose_position(
    stated_latitude_deg: NDArray[np.float64],
    stated_longitude_deg: NDArray[np.float64],
    exif_latitude_deg: NDArray[np.float64],
    exif_longitude_deg: NDArray[np.float64],
) -> dict[str, NDArray[Any]]:
    """Return latitude, longitude (NaN if unknown) and source ("" if unknown) of each sample.

    The corpus takes precedence over EXIF.
    """
    is_stated = is_position(stated_latitude_deg, stated_longitude_deg)
    is_exif = is_position(exif_latitude_deg, exif_longitude_deg) & ~is_stated
    return {
        "latitude_deg": np.select([is_stated, is_exif], [stated_latitude_deg, exif_latitude_deg], np.nan),
        "longitude_deg": np.select([is_stated, is_exif], [stated_longitude_deg, exif_longitude_deg], np.nan),
        "source": np.select([is_stated, is_exif], ["corpus", "exif"], ""),
    }
