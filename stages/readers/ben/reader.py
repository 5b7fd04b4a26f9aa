"""BigEarthNet: a folder of single-band GeoTIFFs makes one sample, rendered to a JPEG.

Version 1 has a label record beside the bands; version 2 has its labels in a table, and its position in the bands.
rendering.py renders the bands.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from schemas.corpus import Corpus
from stages.readers.ben.lists import is_v1_name, is_v2_name
from stages.readers.ben.numbers import number_patches, patch_of
from stages.readers.labelled_records import (
    CorpusFiles,
    FileRole,
    Files,
    Placer,
    Reading,
    Sample,
    SampleFault,
    Unplaced,
    number,
    parse_record,
    position,
    text,
    utc,
)

PATCHES_PER_PARTITION = 1000
RGB_BANDS = ("B04", "B03", "B02")
RECORD = "labels_metadata"
# BigEarthNet covers ten countries. Only Finland is north of 59.8 degrees, and the next one, Lithuania, ends at 56.5, so
# borders are not needed.
FINLAND, FINLAND_FROM_DEG = "Finland", 58.0
COUNTRY_CODES = {
    "Austria": "AUT", "Belgium": "BEL", FINLAND: "FIN", "Ireland": "IRL", "Kosovo": "XKX", "Lithuania": "LTU",
    "Luxembourg": "LUX", "Portugal": "PRT", "Serbia": "SRB", "Switzerland": "CHE",
}  # fmt: skip
_EASTING_M, _NORTHING_END_M = (100_000, 900_000), 10_000_000  # beyond, a place is in another zone
_TIME = re.compile(r"_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)_")
_LAST_AUTHORITY = re.compile(r'AUTHORITY\["EPSG",\s*"(\d+)"\]\s*\]\s*$')


def placer(corpus: Corpus, holding: CorpusFiles) -> Placer:
    """Return a function that places files of patches, by the patch's number.

    Raises:
        ListFault: a list is damaged.
        InputError: a list is missing, or there are patches of both versions, or of version 2 without its table.
    """
    numbers = number_patches(corpus, holding)

    def place(path: str, found: re.Match[str]) -> FileRole | Unplaced:
        number = numbers.get(patch_of(found))
        if number is None:
            return Unplaced("unexpected_file", "the patch is in no table of version 2, so it has no number")
        return place_patch(corpus.code, path, found, number)

    return place


def place_patch(code: str, path: str, found: re.Match[str], number: int) -> FileRole:
    """Return the place of a file of the patch with this number."""
    return FileRole(f"{code}_{number}", partition_of(code, number), role_of(path, found), number)


def partition_of(code: str, number: int) -> str:
    """Return the partition of the patch with this number."""
    return f"{code}-{number // PATCHES_PER_PARTITION:05d}"


def role_of(path: str, found: re.Match[str]) -> str:
    """Return the role of a file: the name of a band, or record."""
    return path.removesuffix(".tif").removesuffix(".json").rpartition(patch_of(found) + "_")[2]


def scene_of(sample_id: str) -> str:
    """Return the sample, as each patch is its own scene."""
    return sample_id


def is_sample_folder(name: str) -> bool:
    """Return whether a folder is named like a patch of either version."""
    return is_v1_name(name) or is_v2_name(name)


def check_selected(patch: Mapping[str, Any], latitude_deg: float | None) -> None:
    """Check that a patch belongs to RS5M's selection.

    A patch with unknown country and unknown position counts as outside Finland and is selected.

    Args:
        patch: its row of the table `patch`.
        latitude_deg: latitude of its centre, None if unknown.

    Raises:
        SampleFault: it is on the snow or cloud list, or in Finland.

    Source: the released captions of RS5M's validation set, decoded: of 1,724 patches none is on a list or in Finland.
    """
    if patch["has_seasonal_snow"]:
        raise SampleFault("seasonal_snow", f"{patch['v1_patch']} is on the list of patches with seasonal snow")
    if patch["has_cloud_or_shadow"]:
        raise SampleFault("cloud_or_shadow", f"{patch['v1_patch']} is on the list of patches with cloud and shadow")
    if patch["v2_country"] == FINLAND:
        raise SampleFault("outside_selection", f"version 2 states that {patch['v1_patch']} is in {FINLAND}")
    if patch["v2_country"] is None and latitude_deg is not None and latitude_deg > FINLAND_FROM_DEG:
        raise SampleFault("outside_selection", f"{latitude_deg:.2f} degrees north is in {FINLAND}")


def read(sample_id: str, files: Files, reading: Reading) -> Sample:
    """Return a patch as a picture of its red, green and blue bands, with its labels, position and time.

    Args:
        sample_id: the id from `placer`.
        files: files by role.
        reading: reads and renders files, and has the patch's row of the table `patch`.

    Raises:
        SampleFault: the record or a band is missing or unreadable, or the patch is not selected.
    """
    folder = next(iter(files.values())).path.rpartition("/")[0]
    patch, is_selecting = reading.listed, reading.choices.is_rs5m_selection
    if is_selecting:
        check_selected(patch, None)  # before any file is opened
    describe = _describe_v2 if is_v2_name(folder.rpartition("/")[2]) else _describe_v1
    labels, columns = describe(folder, files, reading)
    if is_selecting:
        check_selected(patch, columns.get("stated_latitude_deg"))
    _check_bands(folder, files)
    jpeg = reading.raster.render({band: reading.read_file(files[band]) for band in RGB_BANDS})
    country = patch["v2_country"]
    columns |= {"gsd_m": 10.0, "stated_country_code": COUNTRY_CODES.get(country, country)}
    return Sample(folder, jpeg, sample_id, labels, columns)


def _describe_v1(folder: str, files: Files, reading: Reading) -> tuple[list[str], dict[str, Any]]:
    file = files.get(RECORD)
    if file is None:
        raise SampleFault("missing_metadata", f"{folder} has no {RECORD}.json")
    record = parse_record(reading.read_file(file), file)
    labels = record.get("labels")
    if not isinstance(labels, list) or None in map(text, labels):
        raise SampleFault("bad_metadata", f"{file.path}: expected labels, a list of texts, found {str(labels)[:60]}")
    return labels, {**_position(record), "stated_datetime": utc(record.get("acquisition_date"))}


def _describe_v2(folder: str, files: Files, reading: Reading) -> tuple[list[str], dict[str, Any]]:
    labels = reading.listed["v2_labels"]
    if not labels or None in map(text, labels):
        raise SampleFault("bad_metadata", f"the table of version 2 has no labels for {folder}")
    _check_bands(folder, files)
    found = reading.raster.locate(reading.read_file(files[RGB_BANDS[0]]))
    columns: dict[str, Any] = dict(_to_position(*found)) if found else {}
    return labels, columns | {"stated_datetime": taken_at(folder.rpartition("/")[2])}


def taken_at(name: str) -> str | None:
    """Return when a patch of version 2 was taken, by its name, as ISO 8601 in UTC; None if it is not a time.

    Names of version 1 are not reliable: leading zeros are lost, and 13,599 have 60 or 61 seconds.
    """
    time = _TIME.search(name)
    return utc("{}-{}-{}T{}:{}:{}Z".format(*time.groups())) if time else None


def _check_bands(folder: str, files: Files) -> None:
    if missing := [band for band in RGB_BANDS if band not in files]:
        raise SampleFault("missing_band", f"{folder} has no {', '.join(missing)}")


def _position(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the centre of a patch; empty if its corners or their UTM zone are not stated."""
    corners = record.get("coordinates")
    edges = [number(corners.get(name)) for name in ("ulx", "lrx", "uly", "lry")] if isinstance(corners, dict) else []
    projection = record.get("projection")
    found = _LAST_AUTHORITY.search(projection) if isinstance(projection, str) else None
    if not edges or None in edges or found is None:
        return {}
    left, right, top, bottom = (float(edge or 0) for edge in edges)
    return _to_position(int(found[1]), (left + right) / 2, (top + bottom) / 2)


def _to_position(epsg: int, x_m: float, y_m: float) -> dict[str, float]:
    """Return the two columns of a position in a UTM zone, empty if it is in no zone."""
    if not (32601 <= epsg <= 32660 or 32701 <= epsg <= 32760):
        return {}
    if not (_EASTING_M[0] <= x_m <= _EASTING_M[1] and 0 < y_m <= _NORTHING_END_M):
        return {}  # corners of zero, or in the wrong order, are projected to a place all the same
    longitude_deg, latitude_deg = _to_degrees(epsg)(x_m, y_m)
    return position(latitude_deg, longitude_deg)


@lru_cache
def _to_degrees(epsg: int) -> Callable[[float, float], tuple[float, float]]:
    from pyproj import Transformer

    transform: Callable[[float, float], tuple[float, float]] = Transformer.from_crs(
        epsg, 4326, always_xy=True
    ).transform
    return transform
