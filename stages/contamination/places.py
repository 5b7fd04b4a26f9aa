"""Find the ground that evaluation pictures show, where GeoTIFFs or FMoW's records beside images state it.

A position of the camera (EXIF) is not one of the ground, so it is not used.
"""

import json
import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.tables import EVALUATION_PLACE
from stages.contamination.settings import GroundParams, off_without_ground
from stages.contract import Context, Given, Inputs, Outcome, Reads, Stage, rejects_table
from stages.geometa.positions import is_position

M_PER_DEG = 111_195.0  # of a great circle of the sphere of 6,371,009 m
_KEY = EVALUATION_PLACE.key
_PAIR = re.compile(r"(-?[0-9.]+)\s+(-?[0-9.]+)")
_UNKNOWN = dict.fromkeys(EVALUATION_PLACE.columns)
Bounds = tuple[float, float, float, float]  # west, south, east, north, degrees


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
        ValueError: the record beside it is not JSON.
    """
    record = path.with_suffix(".json")
    if record.is_file():
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
    """Return the bounds of the polygon that a record of FMoW's form states.

    Raises:
        ValueError: it is not JSON.
    """
    record = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(record, dict):
        return None
    boxes = record.get("bounding_boxes")
    listed = boxes if isinstance(boxes, list) else [boxes]
    for found in (*listed[:1], record):
        shape = found.get("raw_location") if isinstance(found, dict) else None
        corners = _PAIR.findall(shape) if isinstance(shape, str) else []
        if corners:
            longitudes, latitudes = ([float(corner[n]) for corner in corners] for n in (0, 1))
            west, east = min(longitudes), max(longitudes)
            if east - west > 180:  # across the date line
                west, east = min(x for x in longitudes if x > 0), max(x for x in longitudes if x <= 0)
            return west, min(latitudes), east, max(latitudes)
    return None


LOCATE_EVALUATION = Stage(
    name="locate_evaluation",
    module="contamination",
    version=1,
    does="Finds the ground that each picture of the evaluation sets shows, if its GeoTIFF or FMoW's record states it.",
    reads=(Reads("evaluation_file", (*_KEY, "size_bytes", "mtime_ns", "evaluation_file")),),
    writes=EVALUATION_PLACE,
    grain="map",
    given=Given("evaluation_file", _KEY),
    run=locate_evaluation,
    params=GroundParams,
    reasons=("unreadable",),
    partitions_from=("evaluation_file",),
    off=off_without_ground,
)
