import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from stages.geometa.countries import codes_by_alpha_2, country_code, in_reading_order, names_by_code
from stages.geometa.places import (
    EARTH_RADIUS_KM,
    Places,
    name_places,
    open_places,
    places_identity,
    populated_cells,
    short_name,
)


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    with open_places() as opened:
        yield opened


def few(*rows: tuple[float, float, str, str]) -> Places:
    latitudes, longitudes, names, codes = zip(*rows, strict=True)
    return Places(pa.table({"lat": latitudes, "lon": longitudes, "name": names, "cc": codes}))


def haversine_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    (p, q), (r, s) = np.radians(a), np.radians(b)
    inner = np.sin((r - p) / 2) ** 2 + np.cos(p) * np.cos(r) * np.sin((s - q) / 2) ** 2
    return float(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(inner)))


@pytest.mark.parametrize(
    ("position", "city", "code"),
    [
        ((48.8566, 2.3522), "Paris", "FRA"),
        ((-1.286, 36.817), "Nairobi", "KEN"),
        ((78.223, 15.647), "Longyearbyen", "SJM"),
        ((-54.807, -68.307), "Ushuaia", "ARG"),
        ((-22.57, 17.08), "Windhoek", "NAM"),  # NA is a code, not a missing value
        ((42.66, 21.17), "Pristina", "XKX"),
    ],
)
def test_a_citys_position_gives_that_city(places: Places, position: tuple[float, float], city: str, code: str) -> None:
    found = places.nearest(np.array([position[0]]), np.array([position[1]]))
    assert (found.names[0], found.country_codes[0]) == (city, code)
    assert found.distance_km[0] < 5


def test_the_nearest_place_may_be_across_the_date_line_or_the_pole() -> None:
    known = few((0.0, 179.9, "west", "FJ"), (0.0, 170.0, "far", "FJ"), (89.0, 0.0, "beyond the pole", "NO"))
    found = known.nearest(np.array([0.0, 89.5]), np.array([-179.9, 180.0]))
    assert list(found.names) == ["west", "beyond the pole"]
    assert found.distance_km == pytest.approx([22.24, 166.8], abs=0.05)


def test_distances_are_great_circles() -> None:
    rng = np.random.default_rng(5)
    latitude_deg, longitude_deg = rng.uniform(-90, 90, 50), rng.uniform(-180, 180, 50)
    found = few((10.0, 20.0, "only", "TD")).nearest(latitude_deg, longitude_deg)
    expected = [haversine_km((10, 20), at) for at in zip(latitude_deg, longitude_deg, strict=True)]
    assert found.distance_km == pytest.approx(expected, rel=1e-6)


def test_of_two_places_at_one_position_the_first_by_name_is_used() -> None:
    rows = [(1.0, 2.0, "b", "FR"), (1.0, 2.0, "a", "DE"), (5.0, 5.0, "c", "FR")]
    for order in (rows, rows[::-1]):
        assert few(*order).nearest(np.array([1.0]), np.array([2.1])).names[0] == "a"


def test_cities_and_countries_are_named_up_to_their_maximum_distances() -> None:
    known = few((0.0, 0.0, "town", "GA"))
    degrees_of_km = 180 / (np.pi * EARTH_RADIUS_KM)
    longitude_deg = np.array([49.9, 50.1, 99.9, 100.1, np.nan]) * degrees_of_km
    latitude_deg = np.where(np.isnan(longitude_deg), np.nan, 0.0)
    country, city = name_places([None] * 5, latitude_deg, longitude_deg, known, 50, 100)
    assert list(country) == ["GAB", "GAB", "GAB", None, None]
    assert list(city) == ["town", None, None, None, None]


def test_a_stated_country_takes_precedence_and_a_city_outside_it_is_not_named() -> None:
    known = few((47.66, 9.17, "Konstanz", "DE"))
    stated = ["CHE", "deu ", "ZZZ", "CA-", "", None]
    country, city = name_places(stated, np.full(6, 47.65), np.full(6, 9.17), known, 50, 100)
    assert list(country) == ["CHE", "DEU", "DEU", "DEU", "DEU", "DEU"]
    assert list(city) == [None] + ["Konstanz"] * 5


def test_a_stated_country_needs_no_position() -> None:
    country, city = name_places(["KO-", None], np.full(2, np.nan), np.full(2, np.nan), few((0, 0, "x", "GA")), 50, 100)
    assert list(country) == ["XKX", None] and list(city) == [None, None]


def test_unknown_codes_give_no_country() -> None:
    assert [country_code(code) for code in ("CHE", " che", "KO-", "CA-", "ZZZ", "CH", "", None)] == [
        "CHE", "CHE", "XKX", None, None, None, None, None,
    ]  # fmt: skip


def test_country_names_are_readable_and_distinct() -> None:
    names = names_by_code()
    assert len(names) == len(set(names.values())) >= 250
    assert names["VEN"] == "Venezuela" and names["COD"] == "The Democratic Republic of the Congo"
    assert names["VIR"] == "U.S. Virgin Islands" and names["XKX"] == "Kosovo"
    assert not any(name.endswith((" of", " of the")) for name in names.values())
    assert in_reading_order("Bonaire, Sint Eustatius and Saba") == "Bonaire, Sint Eustatius and Saba"
    assert set(codes_by_alpha_2().values()) <= set(names)


def test_quarters_and_names_in_other_languages_are_removed() -> None:
    names = ("Zuerich (Kreis 1) / Lindenhof", "Bleiburg/Pliberk", "(x)", "Osaka-shi")
    assert [short_name(name) for name in names] == ["Zuerich", "Bleiburg", "(x)", "Osaka-shi"]


def test_opening_prints_nothing_and_starts_no_pool() -> None:
    code = (
        "import sys\nfrom stages.geometa.places import open_places\n"
        "with open_places(): pass\nassert 'reverse_geocoder' not in sys.modules\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_identity_covers_the_data_and_code_of_the_places() -> None:
    assert set(places_identity()) == {"places", "countries"}


def test_populated_cells_are_on_land() -> None:
    cells = set(populated_cells(2))
    assert (70, 89) in cells  # London: 51.5 north, 0.1 west
    assert (45, 70) not in cells  # the Atlantic on the equator at 40 west
    assert all(0 <= row < 90 and 0 <= column < 180 for row, column in cells) and 2_000 < len(cells) < 6_000
