"""Meteorological seasons of both hemispheres; none within the tropics."""

import numpy as np
from numpy.typing import NDArray

# Source: NCEI, Meteorological Versus Astronomical Seasons: three full months each; northern spring begins in March.
# The first entry is the season from December to February.
NORTHERN = ("winter", "spring", "summer", "autumn")


def find_seasons(
    month: NDArray[np.int32], latitude_deg: NDArray[np.float64], tropic_latitude_deg: float
) -> NDArray[np.str_]:
    """Return the season of each month and place, "" if it is unknown or the place is within the tropics.

    Args:
        month: 1 to 12, 0 if unknown.
        latitude_deg: NaN if unknown.
        tropic_latitude_deg: latitude of the tropics; they belong to the tropical zone.
    """
    is_temperate = np.abs(latitude_deg) > tropic_latitude_deg  # False for NaN
    quarter = np.where(latitude_deg < 0, month + 6, month) % 12 // 3
    return np.where(is_temperate & (month > 0), np.array(NORTHERN)[quarter], "")
