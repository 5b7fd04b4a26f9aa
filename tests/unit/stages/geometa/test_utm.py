import warnings

import numpy as np
import pytest
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info

from stages.geometa.utm import BANDS, find_zones


def zone_of(latitude_deg: float, longitude_deg: float) -> tuple[int, str, str, int]:
    found = find_zones(np.array([latitude_deg]), np.array([longitude_deg]))
    return int(found.zone[0]), str(found.band[0]), str(found.hemisphere[0]), int(found.epsg[0])


def is_widened(latitude_deg: float, longitude_deg: float) -> bool:
    # EPSG's areas of use only have the regular zones.
    return (56 <= latitude_deg < 64 and 3 <= longitude_deg < 6) or (latitude_deg >= 72 and 0 <= longitude_deg < 42)


def test_epsg_codes_at_random_points_equal_pyprojs() -> None:
    rng = np.random.default_rng(20)
    latitude_deg, longitude_deg = rng.uniform(-80, 84, 1500), rng.uniform(-180, 180, 1500)
    found = find_zones(latitude_deg, longitude_deg)
    # All areas of use are queried at once, since pyproj takes 0.2 s per query.
    areas = {int(crs.code): crs.area_of_use for crs in query_utm_crs_info(datum_name="WGS 84")}
    n_checked = 0
    for latitude, longitude, epsg in zip(latitude_deg, longitude_deg, found.epsg, strict=True):
        area = areas[int(epsg)]
        assert area is not None
        if not is_widened(latitude, longitude):
            assert area.west <= longitude <= area.east and area.south <= latitude <= area.north
            n_checked += 1
    assert n_checked > 1400


@pytest.mark.parametrize("position", [(47.4, 8.5), (-36.8, 174.8), (64.2, -21.9)])
def test_epsg_codes_equal_those_that_pyproj_finds_for_a_point(position: tuple[float, float]) -> None:
    latitude, longitude = position
    area = AreaOfInterest(longitude, latitude, longitude, latitude)
    codes = {int(crs.code) for crs in query_utm_crs_info(datum_name="WGS 84", area_of_interest=area, contains=True)}
    assert zone_of(latitude, longitude)[3] in codes


@pytest.mark.parametrize(
    ("latitude_deg", "longitude_deg", "expected"),
    [
        (47.377, 8.542, (32, "T", "N", 32632)),  # Zurich
        (-36.848, 174.763, (60, "H", "S", 32760)),  # Auckland
        (-18.141, 178.442, (60, "K", "S", 32760)),  # Suva, west of the date line
        (-16.8, -179.97, (1, "K", "S", 32701)),  # Taveuni, east of it
        (0.0, -78.467, (17, "N", "N", 32617)),  # the equator counts as northern
        (-0.0001, -78.467, (17, "M", "S", 32717)),
        (90 - 6.0, 20.0, (33, "X", "N", 32633)),
        (-80.0, 0.0, (31, "C", "S", 32731)),
    ],
)
def test_known_places_are_in_their_zones(
    latitude_deg: float, longitude_deg: float, expected: tuple[int, str, str, int]
) -> None:
    assert zone_of(latitude_deg, longitude_deg) == expected


@pytest.mark.parametrize(
    ("latitude_deg", "longitude_deg", "zone"),
    [
        (60.392, 5.324, 32), (56.0, 3.0, 32), (55.999, 5.0, 31), (64.0, 5.0, 31), (60.0, 2.999, 31),  # Norway
        (78.223, 15.647, 33), (72.0, 8.999, 31), (72.0, 9.0, 33), (75.0, 20.999, 33), (75.0, 21.0, 35),  # Svalbard
        (80.0, 33.0, 37), (84.0, 41.999, 37), (80.0, 42.0, 38), (71.999, 7.0, 32), (80.0, -0.001, 30),
    ],
)  # fmt: skip
def test_the_zones_off_norway_and_svalbard_are_widened(latitude_deg: float, longitude_deg: float, zone: int) -> None:
    assert zone_of(latitude_deg, longitude_deg)[0] == zone


def test_the_antimeridian_belongs_to_zone_1() -> None:
    assert zone_of(10, -180)[0] == zone_of(10, 180)[0] == 1
    assert zone_of(10, 179.999)[0] == 60
    assert zone_of(10, -174)[0] == 2


@pytest.mark.parametrize(
    "position", [(84.001, 0), (90, 0), (-80.001, 0), (-90, 0), (np.nan, 0), (0, np.nan), (0, 180.1)]
)
def test_there_is_no_zone_at_the_poles_or_off_the_globe(position: tuple[float, float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert zone_of(*position) == (0, "", "", 0)


def test_bands_are_8_degrees_from_80_south_and_the_last_has_12() -> None:
    south_ends_deg = np.arange(-80.0, 80.0, 8)
    found = find_zones(south_ends_deg, np.full(20, 100.0))
    assert "".join(found.band) == BANDS and "I" not in BANDS and "O" not in BANDS
    assert [zone_of(latitude, 100)[1] for latitude in (71.999, 72, 80, 84)] == ["W", "X", "X", "X"]


def test_no_position_gives_no_zone() -> None:
    assert len(find_zones(np.array([]), np.array([])).epsg) == 0
