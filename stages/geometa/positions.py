"""Which positions are believed, and which of two positions of a sample is used.

Not for where a position is: zones and places have files of their own.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A device without a fix writes 0, 0, and rounding on the way leaves a few millionths. 11 m around that point there is
# nothing but a buoy in the Atlantic.
NULL_ISLAND_DEG = 1e-4


def is_position(latitude_deg: ArrayLike, longitude_deg: ArrayLike) -> NDArray[np.bool_]:
    """Return where a pair is a position: both are numbers, on the globe, and not both are zero.

    Every source of positions is judged by this one rule. A pair of which half is missing (NaN) is none. Nothing is
    repaired: a latitude of 122 may be a swapped longitude, or a mistake of another kind.
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
    """Return latitude, longitude (NaN where unknown) and source ("" where unknown) of each sample.

    The corpus wins over EXIF where both state a position.
    """
    is_stated = is_position(stated_latitude_deg, stated_longitude_deg)
    is_exif = is_position(exif_latitude_deg, exif_longitude_deg) & ~is_stated
    return {
        "latitude_deg": np.select([is_stated, is_exif], [stated_latitude_deg, exif_latitude_deg], np.nan),
        "longitude_deg": np.select([is_stated, is_exif], [stated_longitude_deg, exif_longitude_deg], np.nan),
        "source": np.select([is_stated, is_exif], ["corpus", "exif"], ""),
    }
