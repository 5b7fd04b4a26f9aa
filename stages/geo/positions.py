"""Which of two stated positions of a sample holds. Not for where that is: zones and places have files of their own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def choose_position(
    stated_latitude_deg: NDArray[np.float64],
    stated_longitude_deg: NDArray[np.float64],
    exif_latitude_deg: NDArray[np.float64],
    exif_longitude_deg: NDArray[np.float64],
) -> dict[str, NDArray[Any]]:
    """Return latitude, longitude (NaN where unknown) and source ("" where unknown) of each sample.

    The corpus wins over EXIF. A pair that lies on no globe is none; neither is 0, 0 by EXIF, which cameras without a
    fix write.
    """
    is_stated = _is_on_globe(stated_latitude_deg, stated_longitude_deg)
    is_nowhere = (exif_latitude_deg == 0) & (exif_longitude_deg == 0)
    is_exif = _is_on_globe(exif_latitude_deg, exif_longitude_deg) & ~is_nowhere & ~is_stated
    return {
        "latitude_deg": np.select([is_stated, is_exif], [stated_latitude_deg, exif_latitude_deg], np.nan),
        "longitude_deg": np.select([is_stated, is_exif], [stated_longitude_deg, exif_longitude_deg], np.nan),
        "source": np.select([is_stated, is_exif], ["corpus", "exif"], ""),
    }


def _is_on_globe(latitude_deg: NDArray[np.float64], longitude_deg: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (np.abs(latitude_deg) <= 90) & (np.abs(longitude_deg) <= 180)  # False for NaN
