"""Find the ground that evaluation pictures show, where GeoTIFFs or FMoW's records state it.

A position of the camera (EXIF) is not one of the ground, so it is not used.
"""

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.tables import EVALUATION_PLACE
from stages.contamination.fmow_records import find_record
from stages.contamination.settings import GroundParams, off_without_ground
from stages.contamination.stage import FILES, EvaluationParams
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, rejects_table
from stages.geometa.positions import is_position
from stages.readers.fmow.reader import polygon_corners
from stages.readers.labelled_records import number

M_PER_DEG = 111_195.0  # of a great circle of the sphere of 6,371,009 m
_KEY = EVALUATION_PLACE.key
_UNKNOWN = dict.fromkeys(EVALUATION_PLACE.columns)
Bounds = tuple[float, float, float, float]  # west, south, east, north, degrees


class PlaceParams(GroundParams, EvaluationParams):
    """Whether ground is compared, and the location of the records, which may appear after the pictures."""


def locate_evaluation(inputs: Inputs, context: Context) -> Outcome:
    """Return the centre and size of each evaluation picture's ground, nulls where its files do not state it.

    A GeoTIFF or record that cannot be read is rejected.
    """
    kept: list[dict[str, Any]] = []
    refused: list[tuple[str, str, str, str]] = []
    for row in sorted(inputs["evaluation_file"].to_pylist(), key=lambda row: [row[name] for name in _KEY]):
        key = {name: row[name] for name in _KEY}
        try:
            kept.append({**key, **_locate(Path(row["evaluation_file"]))})
        except (OSError, ValueError) as error:
            refused.append((*key.values(), "unreadable", str(error)))
        context.advance(len(kept) + len(refused))
    names, paths, reasons, details = zip(*refused, strict=True) if refused else ([], [], [], [])
    rejects = rejects_table(
        EVALUATION_PLACE, {"evaluation_set": names, "evaluation_path": paths}, reasons, list(details)
    )
    return Outcome(pa.Table.from_pylist(kept, EVALUATION_PLACE.schema), rejects)


def _locate(path: Path) -> Mapping[str, Any]:
    """Return the columns of a file's place.

    Raises:
        OSError: the file cannot be read.
        ValueError: its record is not JSON.
    """
    record = find_record(path)
    if record is not None:
        bounds = _read_record(record)
    elif path.suffix.lower() in (".tif", ".tiff"):
        bounds = _read_geotiff(path)
    else:
        bounds = None
    return _place(bounds) if bounds else _UNKNOWN


def _place(bounds: Bounds) -> Mapping[str, Any]:
    west, south, east, north = bounds
    east += 360 if east < west else 0  # across the date line
    latitude_deg, longitude_deg = (south + north) / 2, (west + east) / 2
    longitude_deg -= 360 if longitude_deg > 180 else 0
    if not is_position(latitude_deg, longitude_deg):
        return _UNKNOWN
    width_m = (east - west) * M_PER_DEG * math.cos(math.radians(latitude_deg))
    # Rounded, since the last digits of projections depend on the machine.
    return {
        "latitude_deg": round(latitude_deg, 6),
        "longitude_deg": round(longitude_deg, 6),
        "ground_width_m": round(width_m, 1),
        "ground_height_m": round((north - south) * M_PER_DEG, 1),
    }


def _read_geotiff(path: Path) -> Bounds | None:
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.warp import transform_bounds

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        try:
            with rasterio.open(path, driver="GTiff") as file:
                if file.crs is None:
                    return None
                found: Bounds = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
        except RasterioError as error:
            raise OSError(str(error)) from error
    return found if all(map(math.isfinite, found)) else None


def _read_record(path: Path) -> Bounds | None:
    """Return the bounds of the picture that a record of FMoW's form states.

    Without a polygon of the picture, they are as many pixels as it has around the centre of the labelled box.

    Raises:
        ValueError: it is not JSON.
    """
    record = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(record, dict):
        return None
    if bounds := _bounds(record):
        return bounds
    boxes = record.get("bounding_boxes")
    box = _bounds(boxes[0] if isinstance(boxes, list) and boxes else boxes)
    gsd_m, width_px, height_px = (number(record.get(name), low=0) for name in ("gsd", "img_width", "img_height"))
    return _around(box, gsd_m * width_px, gsd_m * height_px) if box and gsd_m and width_px and height_px else None


def _bounds(found: Any) -> Bounds | None:
    """Return the bounds of the polygon that a record or a box of it has."""
    shape = found.get("raw_location") if isinstance(found, dict) else None
    if not isinstance(shape, str) or str(found.get("epsg", "4326")) != "4326":
        return None
    corners = polygon_corners(shape)
    if not corners:
        return None
    longitudes, latitudes = zip(*corners, strict=True)
    west, east = min(longitudes), max(longitudes)
    if east - west > 180 and west <= 0:  # across the date line
        west, east = min(x for x in longitudes if x > 0), max(x for x in longitudes if x <= 0)
    return west, min(latitudes), east, max(latitudes)


def _around(bounds: Bounds, width_m: float, height_m: float) -> Bounds | None:
    """Return bounds of a size in metres, with the centre of others."""
    west, south, east, north = bounds
    east += 360 if east < west else 0
    middle_deg, latitude_deg = (west + east) / 2, (south + north) / 2
    if abs(latitude_deg) >= 90:
        return None
    high_deg = height_m / M_PER_DEG / 2
    wide_deg = width_m / M_PER_DEG / 2 / math.cos(math.radians(latitude_deg))
    return middle_deg - wide_deg, latitude_deg - high_deg, middle_deg + wide_deg, latitude_deg + high_deg


LOCATE_EVALUATION = Stage(
    name="locate_evaluation",
    module="contamination",
    version=3,
    does="Finds the ground that each picture of the evaluation sets shows, if its GeoTIFF or FMoW's record states it.",
    reads=(Reads("evaluation_file", (*_KEY, "size_bytes", "mtime_ns", "evaluation_file")),),
    writes=EVALUATION_PLACE,
    grain="map",
    given=Given("evaluation_file", _KEY),
    run=locate_evaluation,
    params=PlaceParams,
    reasons=("unreadable",),
    depends=(FILES,),
    partitions_from=("evaluation_file",),
    off=off_without_ground,
)
