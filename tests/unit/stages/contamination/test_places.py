"""GeoTIFFs and FMoW's records give the ground that pictures show; broken files are rejected."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from schemas.tables import EVALUATION_FILE
from stages.checks import check_outcome
from stages.contamination.places import LOCATE_EVALUATION
from stages.contract import Context, Outcome


def write_geotiff(path: Path, epsg: int | None, west: float, north: float, side: float, n_bands: int = 13) -> None:
    """Write a GeoTIFF of 64 px a side, as EuroSAT's; its unit is that of the projection."""
    place = {} if epsg is None else {"crs": f"EPSG:{epsg}", "transform": from_origin(west, north, side, side)}
    size = {"width": 64, "height": 64, "count": n_bands, "dtype": "uint16"}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as file:
        file.write(np.ones((n_bands, 64, 64), np.uint16))


def locate(folder: Path) -> Outcome:
    names = sorted(path.name for path in folder.iterdir() if path.suffix != ".json")
    rows = [
        {"evaluation_set": "x", "evaluation_path": name, "size_bytes": 1, "mtime_ns": 1,
         "evaluation_file": str(folder / name)}
        for name in names
    ]  # fmt: skip
    columns = LOCATE_EVALUATION.reads[0].columns
    listed = pa.Table.from_pylist(rows, pa.schema([EVALUATION_FILE.schema.field(name) for name in columns]))
    context = Context("p", LOCATE_EVALUATION.params(), None, {}, None, Path())  # type: ignore[arg-type]
    outcome = LOCATE_EVALUATION.run({"evaluation_file": listed}, context)
    check_outcome(LOCATE_EVALUATION, {"evaluation_file": listed}, outcome)
    return outcome


def places(outcome: Outcome) -> dict[str, Any]:
    return {row.pop("evaluation_path"): list(row.values())[1:] for row in outcome.kept.to_pylist()}


def test_geotiffs_of_any_projection_have_centre_and_size(tmp_path: Path) -> None:
    # The middle of UTM zone 32 is 9 E, where the easting is 500,000 m; one degree from the equator is 110,574.4 m away
    # on WGS84, times the scale .9996.
    write_geotiff(tmp_path / "utm.tif", 32632, 500_000 - 320, 110_530.2 + 320, 10)
    write_geotiff(tmp_path / "degrees.tiff", 4326, 12.0, -7.0, 0.0001, n_bands=1)
    write_geotiff(tmp_path / "nowhere.tif", None, 0, 0, 1, n_bands=3)
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.jpg")
    found = places(locate(tmp_path))
    latitude, longitude, width_m, height_m = found["utm.tif"]
    assert abs(longitude - 9) < 1e-6 and abs(latitude - 1) < 2e-6
    assert abs(width_m - 640) < 6 and abs(height_m - 640) < 6
    assert found["degrees.tiff"] == [-7.0032, 12.0032, 706.3, 711.6]
    assert found["nowhere.tif"] == found["plain.jpg"] == [None] * 4


def test_records_beside_images_are_read_across_the_date_line(tmp_path: Path) -> None:
    records = {
        "a_rgb": {"raw_location": "POLYGON ((179.99 60, -179.98 60, -179.98 60.02))"},
        "b_rgb": {"raw_location": "POLYGON ((10 5, 10.01 5, 10.01 5.01, 10 5.01, 10 5))"},
        "c_rgb": {"raw_location": "POLYGON EMPTY"},
        "d_rgb": [],
        "e_rgb": {"raw_location": "POLYGON ((0 0, 0 0))"},
    }  # fmt: skip
    for name, record in records.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
        (tmp_path / f"{name}.jpg").write_bytes(b"x")
    found = places(locate(tmp_path))
    assert found["a_rgb.jpg"][:2] == [60.01, -179.995] and abs(found["a_rgb.jpg"][2] - 1667) < 2
    assert found["b_rgb.jpg"][:2] == [5.005, 10.005]
    assert [found[f"{name}_rgb.jpg"] for name in "cde"] == [[None] * 4] * 3


def test_a_picture_s_ground_is_its_own_and_not_that_of_a_box(tmp_path: Path) -> None:
    box = {"raw_location": "POLYGON ((8.0 47, 8.001 47, 8.001 47.001, 8 47.001, 8 47))"}
    own = {"raw_location": "POLYGON ((7.99 46.99, 8.01 46.99, 8.01 47.01, 7.99 47.01))"}
    size = {"gsd": 0.5, "img_width": 400, "img_height": 300}
    records: dict[str, dict[str, Any]] = {
        "own": {**own, **size, "bounding_boxes": [box]},
        "box": {**size, "bounding_boxes": [box]},
        "single": {**size, "bounding_boxes": box},
        "elsewhere": {**own, "epsg": "32632", **size, "bounding_boxes": [box]},
        "sizeless": {"bounding_boxes": [box]},
        "dateline": {
            **size,
            "bounding_boxes": [{"raw_location": "POLYGON ((179.999 0.5, -179.999 0.5, 179.999 0.6))"}],
        },
    }
    for name, record in records.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
        (tmp_path / f"{name}.jpg").write_bytes(b"x")
    found = places(locate(tmp_path))
    assert found["own.jpg"] == [47.0, 8.0, 1516.7, 2223.9]
    assert found["box.jpg"] == found["single.jpg"] == found["elsewhere.jpg"] == [47.0005, 8.0005, 200.0, 150.0]
    assert found["sizeless.jpg"] == [None] * 4
    assert abs(found["dateline.jpg"][1]) == 180 and found["dateline.jpg"][2:] == [200.0, 150.0]


def test_broken_files_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "broken.tif").write_bytes(b"II*\x00\x08\x00\x00\x00\xff\xff")
    (tmp_path / "text.tif").write_bytes(b"no picture")
    (tmp_path / "record.json").write_text("{")
    (tmp_path / "record.jpg").write_bytes(b"x")
    outcome = locate(tmp_path)
    assert {row["evaluation_path"] for row in outcome.rejects.to_pylist()} == {"broken.tif", "text.tif", "record.jpg"}
    assert {row["reason"] for row in outcome.rejects.to_pylist()} == {"unreadable"} and not outcome.kept.num_rows
