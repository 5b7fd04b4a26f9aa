"""UTM zones, latitude bands and EPSG codes of positions. Positions are not projected."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BANDS = "CDEFGHJKLMNPQRSTUVWX"
SOUTH_END_DEG, NORTH_END_DEG = -80.0, 84.0

# Source: NGA.STND.0037_2.0.0_GRIDS (2014), Universal Grids and Grid Reference Systems: 60 zones of 6 degrees from
# 180 W, 20 bands of 8 degrees from 80 S (X has 12), and the zones widened off Norway and Svalbard.
# Latitude from, to, longitude from, to, zone.
_WIDENED = (
    (56.0, 64.0, 3.0, 12.0, 32),
    (72.0, 84.0, 0.0, 9.0, 31),
    (72.0, 84.0, 9.0, 21.0, 33),
    (72.0, 84.0, 21.0, 33.0, 35),
    (72.0, 84.0, 33.0, 42.0, 37),
)


@dataclass(frozen=True)
class Zones:
    """The zones of some positions; a position outside all zones has zone and EPSG code 0 and empty letters.

    Attributes:
        zone: 1 to 60.
        band: C to X without I and O.
        hemisphere: N or S; the equator is northern.
        epsg: of WGS84: 32601 to 32660 north, 32701 to 32760 south.
    """

    zone: NDArray[np.int32]
    band: NDArray[np.str_]
    hemisphere: NDArray[np.str_]
    epsg: NDArray[np.int32]


def find_zones(latitude_deg: NDArray[np.float64], longitude_deg: NDArray[np.float64]) -> Zones:
    """Return the zones of positions; a zone includes its western and southern edge, and band X its northern edge.

    Args:
        latitude_deg: NaN if unknown.
        longitude_deg: in [-180, 180]; 180 is the western edge of zone 1. NaN if unknown.
    """
    # Comparisons with NaN are False.
    is_inside = (latitude_deg >= SOUTH_END_DEG) & (latitude_deg <= NORTH_END_DEG) & (np.abs(longitude_deg) <= 180)
    latitude = np.where(is_inside, latitude_deg, 0.0)
    longitude = np.where(is_inside, longitude_deg, 0.0)
    zone = (np.floor((longitude + 180) / 6).astype(np.int32) % 60) + 1
    for south, north, west, east, widened in _WIDENED:
        is_northern_end = (north == NORTH_END_DEG) & (latitude == north)
        is_high = (latitude >= south) & ((latitude < north) | is_northern_end)
        zone[is_high & (longitude >= west) & (longitude < east)] = widened
    row = np.minimum(np.floor((latitude - SOUTH_END_DEG) / 8).astype(np.int32), len(BANDS) - 1)
    is_north = latitude >= 0
    return Zones(
        np.where(is_inside, zone, 0).astype(np.int32),
        np.where(is_inside, np.array(list(BANDS))[row], ""),
        np.where(is_inside, np.where(is_north, "N", "S"), ""),
        np.where(is_inside, np.where(is_north, 32600, 32700) + zone, 0).astype(np.int32),
    )
