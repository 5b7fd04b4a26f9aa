"""Records of FMoW in all their published forms, and in some invalid ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.corpora import load_corpora
from stages.readers.fmow import reader as fmow
from stages.readers.labelled_records import (
    CorpusFiles,
    File,
    FileRole,
    LabelledChoices,
    Raster,
    Reading,
    SampleFault,
)

NO_RASTER = Raster(lambda bands: b"", lambda band: None)
NOTHING = CorpusFiles(Path(), [], [], [])

NAME = "fmow_single-unit_residential_12_0_rgb"
DATE_LINE = "POLYGON ((179.9 -17, -179.9 -17, -179.9 -16.9, 179.9 -16.9))"
IMAGE, TRUTH, BESIDE = (File(path, 1, "sha") for path in ("image.jpg", "truth.json", "beside.json"))


def square(west: float, south: float, side: float) -> str:
    corners = ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
    return f"POLYGON (({', '.join(f'{west + x * side} {south + y * side}' for x, y in corners)}))"


def record(**changes: Any) -> dict[str, Any]:
    """Return a ground truth record whose box covers the middle and extends to the right."""
    own = {"ID": 7, "box": [100, 100, 150, 100], "category": "dam", "visible": "True"}
    raw = {**own, "ID": -1, "category": "lake_or_pond", "raw_location": square(10, 20, 0.2), "epsg": "4326"}
    return {
        "img_width": 300, "img_height": 300, "gsd": 0.468, "multi_resolution_dbl": 1.87, "cloud_cover": 3,
        "timestamp": "2012-04-02T10:32:22Z", "scan_direction": "Reverse", "target_azimuth_dbl": 31.2,
        "off_nadir_angle_dbl": 21.9, "country_code": "CHE", "raw_location": square(0, 0, 2), "epsg": "4326",
        "bounding_boxes": [raw, own], **changes,
    }  # fmt: skip


def read(content: Any = None, n_cells: int = 2, beside: Any = None) -> Any:
    files = {"image": IMAGE, "ground_truth": TRUTH} if content is not None else {"image": IMAGE, "record": BESIDE}
    data = content if content is not None else beside
    encoded = data if isinstance(data, bytes) else json.dumps(data).encode()
    return fmow.read(NAME, files, Reading(lambda file: encoded, NO_RASTER, choices=LabelledChoices(n_cells)))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (
            "train/single-unit_residential/single-unit_residential_12/single-unit_residential_12_0_rgb.jpg",
            FileRole(NAME, "fmow-single-unit_residential-0000", "image"),
        ),
        (
            "fmow-rgb/train/place_of_worship/place_of_worship_2222/place_of_worship_2222_0_msrgb.json",
            FileRole("fmow_place_of_worship_2222_0_msrgb", "fmow-place_of_worship-0022", "record"),
        ),
        (
            "groundtruth/train/dam/dam_100/dam_100_3_rgb.json",
            FileRole("fmow_dam_100_3_rgb", "fmow-dam-0001", "ground_truth"),
        ),
        ("groundtruth/dam_99_3_rgb.json", FileRole("fmow_dam_99_3_rgb", "fmow-dam-0000", "ground_truth")),
    ],
)  # fmt: skip
def test_a_file_belongs_to_the_sample_in_its_name(path: str, place: FileRole) -> None:
    found = load_corpora()["fmow"].match_file(path)
    assert found is not None and fmow.placer(load_corpora()["fmow"], NOTHING)(path, found) == place


def test_a_complete_record_fills_every_column() -> None:
    sample = read(record())
    assert (sample.scene_id, sample.labels) == ("fmow_single-unit_residential_12", ["dam"])
    assert sample.columns == {
        "stated_latitude_deg": 20.1, "stated_longitude_deg": 10.1, "stated_datetime": "2012-04-02T10:32:22Z",
        "stated_country_code": "CHE", "gsd_m": 0.468, "cloud_cover_percent": 3.0, "scan_direction": "Reverse",
        "target_azimuth_deg": 31.2, "off_nadir_angle_deg": 21.9, "box_cells": ["centre", "centre right"],
    }  # fmt: skip


def test_an_empty_record_is_kept_without_facts_and_with_its_folder_as_label() -> None:
    sample = read({})
    assert sample.labels == ["single-unit_residential"]
    assert {name: value for name, value in sample.columns.items() if value is not None} == {}


def test_the_record_beside_the_image_replaces_a_missing_ground_truth() -> None:
    whole = record()
    beside = {k: v for k, v in whole.items() if k not in ("raw_location", "country_code")}
    sample = read(beside={**beside, "bounding_boxes": whole["bounding_boxes"][1]})
    assert sample.labels == ["dam"] and "stated_latitude_deg" not in sample.columns
    assert sample.columns["stated_country_code"] is None and sample.columns["gsd_m"] == 0.468


@pytest.mark.parametrize(
    ("changes", "position"),
    [
        ({"bounding_boxes": []}, (1.0, 1.0)),
        ({"bounding_boxes": [{"raw_location": square(10, 20, 0.2), "epsg": "32632"}]}, (1.0, 1.0)),
        ({"bounding_boxes": [{"raw_location": square(10, 20, 0.2), "epsg": 4326}]}, (20.1, 10.1)),
        ({"bounding_boxes": [{"raw_location": DATE_LINE}]}, (-16.95, 180.0)),
        ({"bounding_boxes": [{"raw_location": DATE_LINE.replace("-179.9", "-179.7")}]}, (-16.95, -179.9)),
        ({"bounding_boxes": [{"raw_location": "MULTIPOLYGON (((1e1 5, 12 5, 12 6, 1e1 5)))"}]}, (5.5, 11.0)),
        ({"bounding_boxes": [{"raw_location": "POLYGON Z((10 20 5, 12 20 5, 12 21 5, 10 20 5))"}]}, (20.5, 11.0)),
        ({"bounding_boxes": [], "raw_location": "POLYGON EMPTY"}, None),
        ({"bounding_boxes": [], "raw_location": "POLYGON ((8,58 47,44, 8,59 47,44, 8,59 47,45, 8,58 47,44))"}, None),
        ({"bounding_boxes": [], "raw_location": "POLYGON ((8.58 47.44, 8.59 47.44, x 47.45, 8.58 47.44))"}, None),
        ({"bounding_boxes": [], "raw_location": "LINESTRING (1 2, 3 4)"}, None),
        ({"bounding_boxes": [], "raw_location": square(170, 89, 5)}, None),
        ({"bounding_boxes": [], "raw_location": ["POLYGON"]}, None),
        ({"bounding_boxes": "none", "raw_location": None}, None),
    ],
)  # fmt: skip
def test_the_position_is_the_centre_of_the_box_or_if_missing_of_the_image(changes: Any, position: Any) -> None:
    columns = read(record(**changes)).columns
    found = columns.get("stated_latitude_deg"), columns.get("stated_longitude_deg")
    assert found == (position or (None, None))


@pytest.mark.parametrize(
    ("box", "n_cells", "cells"),
    [
        ([0, 0, 100, 100], 2, ["top left"]),
        ([0, 0, 300, 300], 2, ["top left", "top centre"]),
        ([90, 210, 60, 60], 2, ["bottom centre", "bottom left"]),
        ([90, 210, 60, 60], 1, ["bottom centre"]),
        ([-50, 120, 100, 20], 2, ["centre left"]),
        ([400, 400, 10, 10], 2, None),
        ([10, 10, 0, 0], 2, None),
        ([10, "x", 20, 20], 2, None),
        ([10, 10, 20], 2, None),
        (None, 2, None),
    ],
)
def test_cells_are_those_that_the_box_overlaps_most(box: Any, n_cells: int, cells: list[str] | None) -> None:
    own = [{"ID": 7, "box": box, "category": "dam"}]
    assert read(record(bounding_boxes=own), n_cells).columns["box_cells"] == cells


@pytest.mark.parametrize("size", [None, 0, "wide", float("nan")])
def test_a_box_in_an_image_of_unknown_size_has_no_cells(size: Any) -> None:
    assert read(record(img_width=size)).columns["box_cells"] is None


@pytest.mark.parametrize(
    ("timestamp", "datetime"),
    [
        ("2012-04-02T10:32:22.218Z", "2012-04-02T10:32:22Z"),
        ("2012-04-02T10:32:22.2184567Z", "2012-04-02T10:32:22Z"),
        ("2012-04-02T10:32:22+02:00", "2012-04-02T08:32:22Z"),
        ("2012-04-02 10:32:22", "2012-04-02T10:32:22Z"),
        ("2012-13-02T10:32:22Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        (1333362742, None),
    ],
)
def test_times_are_in_utc_to_the_second_or_null(timestamp: Any, datetime: str | None) -> None:
    assert read(record(timestamp=timestamp)).columns["stated_datetime"] == datetime


@pytest.mark.parametrize("value", [None, "x", True, float("inf"), float("nan"), [], -1, 10**400])
def test_an_invalid_number_is_null(value: Any) -> None:
    assert read(record(cloud_cover=value, gsd=value)).columns["cloud_cover_percent"] is None
    assert read(record(cloud_cover=value, gsd=value)).columns["gsd_m"] is None


def test_a_lone_surrogate_is_no_text() -> None:
    assert read(record(country_code="\ud800")).columns["stated_country_code"] is None


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
@pytest.mark.parametrize("end", ["\n\x1a", "\0\0\0", "\r\n"])
def test_an_end_mark_and_zeros_behind_a_record_lose_nothing(code: str, end: str) -> None:
    data = (json.dumps(record()) + end).encode(code)
    assert read(data).columns == read(record()).columns


def test_the_id_of_the_raw_box_may_be_a_text() -> None:
    raw, own = record()["bounding_boxes"][:2]
    assert (
        read(record(bounding_boxes=[raw | {"ID": "-1"}, own | {"ID": "7"}])).labels
        == [own["category"]]
        != [raw["category"]]
    )


@pytest.mark.parametrize("data", [b"", b"{", b"\xff{}", b"[" * 100_000, b"[]", b"null", b'"text"'])
def test_other_content_than_a_json_object_is_a_bad_record(data: bytes) -> None:
    with pytest.raises(SampleFault) as caught:
        read(data)
    assert caught.value.reason == "bad_metadata" and "truth.json" in str(caught.value)


@pytest.mark.parametrize(
    ("files", "reason"),
    [({"ground_truth": TRUTH, "record": BESIDE}, "missing_image"), ({"image": IMAGE}, "missing_metadata")],
)
def test_a_sample_needs_an_image_and_a_record(files: dict[str, File], reason: str) -> None:
    with pytest.raises(SampleFault) as caught:
        fmow.read(NAME, files, Reading(lambda file: b"{}", NO_RASTER))
    assert caught.value.reason == reason
