"""Patches of BigEarthNet: numbers, labels and positions."""

import json
from math import cos, degrees, sin, sqrt, tan
from typing import Any

import pytest

from flows.demo.world.ben import projection_wkt as projection
from schemas.corpora import load_corpora
from stages.geometa.countries import country_code
from stages.readers.ben import lists as ben_lists
from stages.readers.ben import reader as ben
from stages.readers.labelled_records import File, FileRole, LabelledChoices, Raster, Reading, SampleFault

VERSION_2 = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57"
EARLY = "S2B_MSIL2A_20180525T94031_9_90"  # the hour lacks its leading zero
PATCH = "S2A_MSIL2A_20170617T113321_4_55"
ROLES = ("B02", "B03", "B04", ben.RECORD)
COMMAS = "Land principally occupied by agriculture, with significant areas of natural vegetation"

# Renders the names of bands; every band is in Portugal.
RASTER = Raster(lambda bands: b"".join(bands.values()), lambda band: (32629, 605_400.0, 4_500_600.0))


def files(*roles: str) -> dict[str, File]:
    return {role: File(f"ben/BigEarthNet-v1.0/{PATCH}/{PATCH}_{role}", 1, "sha") for role in roles}


IN_FINLAND = {
    "projection": projection(32635), "coordinates": {"ulx": 4e5, "lrx": 4e5, "uly": 6.7e6, "lry": 6.7e6},
}  # fmt: skip
LISTED = {
    "v1_patch": PATCH, "v2_labels": None, "v2_country": None, "has_seasonal_snow": False, "has_cloud_or_shadow": False,
}  # fmt: skip


def read(
    roles: tuple[str, ...] = ROLES, listed: dict[str, Any] | None = None, is_selecting: bool = False, **changes: Any
) -> Any:
    record = {
        "labels": ["Pastures", COMMAS],
        "coordinates": {"ulx": 604_800, "uly": 5_834_040, "lrx": 606_000, "lry": 5_832_840},
        "projection": projection(32629),
        "acquisition_date": "2017-06-17 11:33:21",
        **changes,
    }
    data = {ben.RECORD: json.dumps(record).encode()}
    found = files(*roles)
    role_of = {file: role for role, file in found.items()}
    reading = Reading(
        lambda file: data.get(role_of[file], role_of[file].encode()),
        RASTER,
        {**LISTED, **(listed or {})},
        LabelledChoices(is_rs5m_selection=is_selecting),
    )
    return ben.read("ben_7", found, reading)


def test_a_patch_is_read_from_its_red_green_and_blue_band() -> None:
    sample = read()
    assert (sample.path, sample.scene_id, sample.image) == (f"ben/BigEarthNet-v1.0/{PATCH}", "ben_7", b"B04B03B02")
    assert sample.labels == ["Pastures", COMMAS]
    assert sample.columns["stated_datetime"] == "2017-06-17T11:33:21Z" and sample.columns["gsd_m"] == 10.0


def inverse_utm(x: float, y: float, zone: int, false_northing: float) -> tuple[float, float]:
    """Return latitude and longitude by Snyder, Map Projections (USGS 1395), equations 8-17 and 8-18."""
    a, e2, k0 = 6_378_137.0, 0.00669437999014, 0.9996
    mu = (y - false_northing) / k0 / (a * (1 - e2 / 4 - 3 * e2**2 / 64 - 5 * e2**3 / 256))
    e1 = (1 - sqrt(1 - e2)) / (1 + sqrt(1 - e2))
    foot = (
        mu
        + (3 * e1 / 2 - 27 * e1**3 / 32) * sin(2 * mu)
        + 21 * e1**2 / 16 * sin(4 * mu)
        + 151 * e1**3 / 96 * sin(6 * mu)
    )
    c, t, n = e2 / (1 - e2) * cos(foot) ** 2, tan(foot) ** 2, a / sqrt(1 - e2 * sin(foot) ** 2)
    r, d = a * (1 - e2) / (1 - e2 * sin(foot) ** 2) ** 1.5, (x - 500_000) / (n * k0)
    lower = d**2 / 2 - (5 + 3 * t + 10 * c - 4 * c**2 - 9 * e2 / (1 - e2)) * d**4 / 24
    turned = d - (1 + 2 * t + c) * d**3 / 6 + (5 - 2 * c + 28 * t) * d**5 / 120
    return degrees(foot - n * tan(foot) / r * lower), 6 * zone - 183 + degrees(turned / cos(foot))


@pytest.mark.parametrize("epsg", [32601, 32629, 32635, 32722, 32733, 32760])
def test_the_centre_agrees_with_the_projection(epsg: int) -> None:
    columns = read(projection=projection(epsg)).columns
    expected = inverse_utm(605_400, 5_833_440, epsg % 100, 10_000_000 if epsg > 32700 else 0)
    assert (columns["stated_latitude_deg"], columns["stated_longitude_deg"]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"coordinates": None}, {"coordinates": {"ulx": 1}}, {"projection": None}, {"projection": "PROJCS[]"},
        {"projection": 'PROJCS["x",AUTHORITY["EPSG","3857"]]'},
        {"coordinates": dict.fromkeys(("ulx", "uly", "lrx", "lry"), 1e12)},
        {"coordinates": dict.fromkeys(("ulx", "uly", "lrx", "lry"), 0)},
        {"coordinates": {"ulx": 5_834_040, "uly": 604_800, "lrx": 5_832_840, "lry": 606_000}},
        {"coordinates": {"ulx": 604_800, "uly": 1200, "lrx": 606_000, "lry": -1200}},
        {"coordinates": {"ulx": 604_800, "uly": 10_001_200, "lrx": 606_000, "lry": 10_000_000}},
    ],
)  # fmt: skip
def test_a_patch_without_a_known_position_is_kept_without_one(changes: dict[str, Any]) -> None:
    assert "stated_latitude_deg" not in read(**changes).columns


@pytest.mark.parametrize("labels", [None, "Pastures", [1], [["Pastures"]], ["\ud800"]])
def test_labels_that_are_not_texts_are_a_bad_record(labels: Any) -> None:
    with pytest.raises(SampleFault, match="expected labels") as caught:
        read(labels=labels)
    assert caught.value.reason == "bad_metadata"


@pytest.mark.parametrize(
    ("roles", "reason", "words"),
    [
        (("B02", "B03", "B04"), "missing_metadata", "has no labels_metadata.json"),
        (("B03", ben.RECORD), "missing_band", "has no B04, B02"),
    ],
)
def test_missing_files_of_a_patch_are_named(roles: tuple[str, ...], reason: str, words: str) -> None:
    with pytest.raises(SampleFault, match=words) as caught:
        read(roles)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (f"BigEarthNet-v1.0/{PATCH}/{PATCH}_B04.tif", FileRole("ben_12345", "ben-00012", "B04", 12345)),
        (f"{PATCH}/{PATCH}_labels_metadata.json", FileRole("ben_12345", "ben-00012", "labels_metadata", 12345)),
        (f"{PATCH}/{PATCH}_B8A.tif", None),
        (f"other/{PATCH}_B04.tif", None),
        (f"x/{VERSION_2}/{VERSION_2}_B04.tif", FileRole("ben_12345", "ben-00012", "B04", 12345)),
        (f"x/{VERSION_2}/{VERSION_2}_labels_metadata.json", None),
        (f"x/{VERSION_2}_B04.tif", None),
        (f"{EARLY}/{EARLY}_B02.tif", FileRole("ben_12345", "ben-00012", "B02", 12345)),
    ],
)  # fmt: skip
def test_files_of_either_version_belong_to_a_patch(path: str, place: FileRole | None) -> None:
    found = load_corpora()["ben"].match_file(path)
    assert (found and ben.place_patch("ben", path, found, 12345)) == place


@pytest.mark.parametrize(
    ("listed", "changes", "reason"),
    [
        ({"has_seasonal_snow": True, "has_cloud_or_shadow": True}, {}, "seasonal_snow"),
        ({"has_cloud_or_shadow": True}, {}, "cloud_or_shadow"),
        ({"v2_country": "Finland"}, {}, "outside_selection"),
        ({}, IN_FINLAND, "outside_selection"),
        ({"v2_country": "Austria"}, IN_FINLAND, ""),
        ({}, {"coordinates": None}, ""),
        ({}, {}, ""),
    ],
)  # fmt: skip
def test_the_selection_of_rs5m_leaves_out_snow_cloud_and_finland(
    listed: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    assert read(listed=listed, **changes).image == b"B04B03B02"
    if not reason:
        assert read(listed=listed, is_selecting=True, **changes).image == b"B04B03B02"
        return
    with pytest.raises(SampleFault) as caught:
        read(listed=listed, is_selecting=True, **changes)
    assert caught.value.reason == reason


def test_a_listed_patch_is_rejected_before_its_record_is_opened() -> None:
    with pytest.raises(SampleFault, match="seasonal snow"):
        read(("B02", "B03", "B04"), {"has_seasonal_snow": True}, is_selecting=True)


def test_the_country_of_version_2_is_given_by_its_code() -> None:
    assert read(listed={"v2_country": "Kosovo"}).columns["stated_country_code"] == "XKX"
    assert read(listed={"v2_country": "Atlantis"}).columns["stated_country_code"] == "Atlantis"
    assert read().columns["stated_country_code"] is None
    assert all(country_code(code) == code for code in ben.COUNTRY_CODES.values()) and len(ben.COUNTRY_CODES) == 10


def read_v2(roles: tuple[str, ...], labels: list[str] | None, raster: Raster = RASTER) -> Any:
    folder = f"ben/BigEarthNet-S2/{VERSION_2.rsplit('_', 2)[0]}/{VERSION_2}"
    found = {role: File(f"{folder}/{VERSION_2}_{role}.tif", 1, "sha") for role in roles}
    listed = {**LISTED, "v2_labels": labels, "v2_country": "Austria"}
    return ben.read("ben_7", found, Reading(lambda file: file.path[-7:-4].encode(), raster, listed))


def test_version_2_takes_labels_from_the_table_position_from_the_band_and_time_from_the_name() -> None:
    sample = read_v2(("B02", "B03", "B04"), ["Arable land", "Pastures"])
    assert (sample.labels, sample.image, sample.scene_id) == (["Arable land", "Pastures"], b"B04B03B02", "ben_7")
    expected = inverse_utm(605_400, 4_500_600, 29, 0)
    place = (sample.columns["stated_latitude_deg"], sample.columns["stated_longitude_deg"])
    assert place == pytest.approx(expected, abs=1e-6)
    assert sample.columns["stated_datetime"] == "2017-06-13T10:10:31Z"
    assert (sample.columns["stated_country_code"], sample.columns["gsd_m"]) == ("AUT", 10.0)
    nowhere = Raster(RASTER.render, lambda band: None)
    assert "stated_latitude_deg" not in read_v2(("B02", "B03", "B04"), ["Pastures"], nowhere).columns


@pytest.mark.parametrize(
    ("roles", "labels", "reason"),
    [(("B02", "B03", "B04"), None, "bad_metadata"), (("B02", "B03", "B04"), [], "bad_metadata"),
     (("B02", "B03"), ["Pastures"], "missing_band")],
)  # fmt: skip
def test_missing_files_of_a_patch_of_version_2_are_named(
    roles: tuple[str, ...], labels: list[str] | None, reason: str
) -> None:
    with pytest.raises(SampleFault) as caught:
        read_v2(roles, labels)
    assert caught.value.reason == reason


def test_each_version_recognises_its_own_names() -> None:
    assert ben_lists.is_v1_name(PATCH) and ben_lists.is_v1_name(EARLY) and not ben_lists.is_v1_name(VERSION_2)
    assert ben_lists.is_v2_name(VERSION_2) and not ben_lists.is_v2_name(PATCH)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (VERSION_2, "2017-06-13T10:10:31Z"), (EARLY, None), ("no patch", None),
        ("S2B_MSIL2A_20180204T094161_57_38", None), ("S2B_MSIL2A_20181304T094100_57_38", None),
    ],
)  # fmt: skip
def test_a_time_is_only_read_from_names_of_version_2(name: str, expected: str | None) -> None:
    assert ben.taken_at(name) == expected
