"""Patches of BigEarthNet: their numbers, their labels and where they lie."""

import json
from math import cos, degrees, sin, sqrt, tan
from pathlib import Path
from typing import Any

import pytest

from schemas.corpora import load_corpora
from stages.contract import InputError
from stages.labelled_sources import ben
from stages.labelled_sources.sample import File, Place, SampleFault
from tests.world_ben import projection_wkt as projection

VERSION_2 = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57"
EARLY = "S2B_MSIL2A_20180525T94031_9_90"  # the hour has lost its leading zero
PATCH = "S2A_MSIL2A_20170617T113321_4_55"
ROLES = ("B02", "B03", "B04", ben.RECORD)
COMMAS = "Land principally occupied by agriculture, with significant areas of natural vegetation"


def files(*roles: str) -> dict[str, File]:
    return {role: File(f"ben/BigEarthNet-v1.0/{PATCH}/{PATCH}_{role}", 1, "sha") for role in roles}


def read(roles: tuple[str, ...] = ROLES, **changes: Any) -> Any:
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
    return ben.read(
        "ben_7", found, lambda file: data.get(role_of[file], role_of[file].encode()), lambda b: b"".join(b.values())
    )


def test_a_patch_is_read_from_its_red_green_and_blue_band() -> None:
    sample = read()
    assert (sample.path, sample.scene_id, sample.image) == (f"ben/BigEarthNet-v1.0/{PATCH}", "ben_7", b"B04B03B02")
    assert sample.labels == ["Pastures", COMMAS]
    assert sample.columns["stated_datetime"] == "2017-06-17T11:33:21Z" and sample.columns["gsd_m"] == 10.0


def inverse_utm(x: float, y: float, zone: int, false_northing: float) -> tuple[float, float]:
    """Latitude and longitude by Snyder, Map Projections (USGS 1395), equations 8-17 and 8-18."""
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
def test_the_centre_is_where_the_projection_says(epsg: int) -> None:
    columns = read(projection=projection(epsg)).columns
    expected = inverse_utm(605_400, 5_833_440, epsg % 100, 10_000_000 if epsg > 32700 else 0)
    assert (columns["stated_latitude_deg"], columns["stated_longitude_deg"]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"coordinates": None}, {"coordinates": {"ulx": 1}}, {"projection": None}, {"projection": "PROJCS[]"},
        {"projection": 'PROJCS["x",AUTHORITY["EPSG","3857"]]'},
        {"coordinates": dict.fromkeys(("ulx", "uly", "lrx", "lry"), 1e12)},
    ],
)  # fmt: skip
def test_a_patch_without_a_known_place_is_kept_without_one(changes: dict[str, Any]) -> None:
    assert "stated_latitude_deg" not in read(**changes).columns


@pytest.mark.parametrize("labels", [None, "Pastures", [1], [["Pastures"]], ["\ud800"]])
def test_labels_that_are_no_texts_are_a_bad_record(labels: Any) -> None:
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
def test_what_a_patch_lacks_is_named(roles: tuple[str, ...], reason: str, words: str) -> None:
    with pytest.raises(SampleFault, match=words) as caught:
        read(roles)
    assert caught.value.reason == reason


def test_a_number_is_the_position_among_present_and_listed_patches_in_the_plain_sort(tmp_path: Path) -> None:
    names = [f"S2A_MSIL2A_20170617T113321_{n}_55" for n in (4, 36, 100)]
    (tmp_path / "train.csv").write_text(f"{names[2]}\r\n\n{names[0]},S1A_IW_GRDH_1SDV_20170617T064724_29UPU_4_55\n")
    assert ben.patch_indices(names[:2], [tmp_path / "train.csv"]) == {names[2]: 0, names[1]: 1, names[0]: 2}


def test_a_list_with_a_line_that_names_no_patch_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(f"{PATCH}\nname\n")
    with pytest.raises(
        InputError, match=r"other\.csv, line 2: expected the name of a BigEarthNet v1 patch, found 'name'"
    ):
        ben.patch_indices([], [tmp_path / "other.csv"])


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (f"BigEarthNet-v1.0/{PATCH}/{PATCH}_B04.tif", Place("ben_12345", "ben-00012", "B04")),
        (f"{PATCH}/{PATCH}_labels_metadata.json", Place("ben_12345", "ben-00012", "labels_metadata")),
        (f"{PATCH}/{PATCH}_B8A.tif", None),
        (f"other/{PATCH}_B04.tif", None),
        (f"x/{VERSION_2}/{VERSION_2}_B04.tif", None),
        (f"{EARLY}/{EARLY}_B02.tif", Place("ben_12345", "ben-00012", "B02")),
    ],
)  # fmt: skip
def test_files_of_version_1_alone_belong_to_a_patch(path: str, place: Place | None) -> None:
    found = load_corpora()["ben"].match_file(path)
    assert (found and ben.place(path, found, 12345)) == place
