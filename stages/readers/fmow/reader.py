"""FMoW: an image, the record beside it, and the ground truth record, the only one with the position."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.corpus import Corpus
from stages.readers.labelled_records import (
    CorpusFiles,
    FileRole,
    Files,
    Placer,
    Reading,
    Sample,
    SampleFault,
    number,
    parse_record,
    position,
    text,
    utc,
)

SCENES_PER_PARTITION = 100  # about 900 images and their records
_MARKS = re.compile(r"[(),]")
_NAME = re.compile(r"[a-z0-9]+_(.+)_(\d+)_(\d+)_(rgb|msrgb)")
# Rows from the north, columns from the west: the order of cells with equal overlap.
CELLS = (
    "top left", "top centre", "top right", "centre left", "centre", "centre right",
    "bottom left", "bottom centre", "bottom right",
)  # fmt: skip


def placer(corpus: Corpus, holding: CorpusFiles) -> Placer:
    """Return a function that places files; the partition of a scene depends only on its number."""

    def place(path: str, found: re.Match[str]) -> FileRole:
        category, n, m, kind = found.group("category", "n", "m", "kind")
        partition = f"{corpus.code}-{category}-{int(n) // SCENES_PER_PARTITION:04d}"
        return FileRole(f"{corpus.code}_{category}_{n}_{m}_{kind}", partition, role_of(path, found))

    return place


def role_of(path: str, found: re.Match[str]) -> str:
    """Return the role of a file: image, record beside it, or ground truth record."""
    if path.endswith(".jpg"):
        return "image"
    return "ground_truth" if "groundtruth" in path.split("/")[:-1] else "record"


def scene_of(sample_id: str) -> str:
    """Return the scene of a sample; views at other times and in other colours show the same scene."""
    return sample_id.rsplit("_", 2)[0]


def is_sample_folder(name: str) -> bool:
    """Return False: no folder is a sample."""
    return False


def read(sample_id: str, files: Files, reading: Reading) -> Sample:
    """Return an image with the metadata of its record; without a ground truth record it has no position.

    Args:
        sample_id: the id from `placer`.
        files: files by role.
        reading: reads files, and has the number of grid cells to name.

    Raises:
        SampleFault: the image or every record is missing, or the record is unreadable.
    """
    image = files.get("image")
    if image is None:
        raise SampleFault("missing_image", f"there is {', '.join(sorted(file.path for file in files.values()))} alone")
    file = files.get("ground_truth") or files.get("record")
    if file is None:
        raise SampleFault("missing_metadata", f"{image.path} has neither a ground truth record nor one beside it")
    record = parse_record(reading.read_file(file), file)
    name = _NAME.fullmatch(sample_id)
    if name is None:
        raise ValueError(f"{sample_id} is no name of an FMoW sample")
    boxes = _boxes(record)
    box = _labelled_box(boxes)
    columns: dict[str, Any] = {
        **_position([*boxes[:1], record]),
        "stated_datetime": utc(record.get("timestamp")),
        "stated_country_code": text(record.get("country_code")),
        # Not multi_resolution_dbl, which is always that of the multispectral band: this is the image's own.
        "gsd_m": number(record.get("gsd"), low=0),
        "cloud_cover_percent": number(record.get("cloud_cover"), 0, 100),
        "scan_direction": text(record.get("scan_direction")),
        "target_azimuth_deg": number(record.get("target_azimuth_dbl")),
        "off_nadir_angle_deg": number(record.get("off_nadir_angle_dbl")),
        "box_cells": _cells(box, record, reading.choices.n_box_cells),
    }
    label = text(box.get("category")) or name[1]
    return Sample(image.path, image, scene_of(sample_id), [label], columns)


def _boxes(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    # The records beside the images have a single box instead of a list.
    found = record.get("bounding_boxes")
    listed = found if isinstance(found, list) else [found]
    return [box for box in listed if isinstance(box, dict)]


def _labelled_box(boxes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    # In ground truth records the first box, with ID -1, is the raw annotation; the challenge's box follows it.
    own = [box for box in boxes if number(box.get("ID")) != -1]
    return (own or list(boxes) or [{}])[0]


def _position(places: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    for shape, epsg in ((found.get("raw_location"), found.get("epsg", "4326")) for found in places):
        if isinstance(shape, str) and str(epsg) == "4326" and (corners := polygon_corners(shape)):
            return _centre(corners)
    return {}


def polygon_corners(shape: str) -> list[tuple[float, float]]:
    """Return longitude and latitude of the corners of a WKT polygon; none if one of them is not two or more numbers."""
    name, *places = _MARKS.split(shape)
    if not name.lstrip().upper().startswith(("POLYGON", "MULTIPOLYGON")):
        return []
    corners = [list(map(number, place.split())) for place in places if place.strip()]
    # Numbers with a decimal comma would otherwise give pairs of one's decimals and the next one's whole part.
    if any(len(corner) < 2 or None in corner for corner in corners):
        return []
    return [(float(corner[0] or 0), float(corner[1] or 0)) for corner in corners]


def _centre(corners: Sequence[tuple[float, float]]) -> dict[str, float]:
    longitudes_deg, latitudes_deg = zip(*corners, strict=True)
    if max(longitudes_deg) - min(longitudes_deg) > 180:  # across the date line
        longitudes_deg = tuple(x % 360 for x in longitudes_deg)
    longitude_deg = (min(longitudes_deg) + max(longitudes_deg)) / 2
    if max(longitudes_deg) > 180 >= min(longitudes_deg) and longitude_deg > 180:
        longitude_deg -= 360
    return position((min(latitudes_deg) + max(latitudes_deg)) / 2, longitude_deg)


def _cells(box: Mapping[str, Any], record: Mapping[str, Any], n_cells: int) -> list[str] | None:
    """Return the cells of a 3 x 3 grid that a box [x, y, width, height] overlaps most, None if unknown."""
    edges = box.get("box")
    edges = [number(edge) for edge in edges] if isinstance(edges, list) else []
    width_px, height_px = number(record.get("img_width"), low=1), number(record.get("img_height"), low=1)
    if width_px is None or height_px is None or len(edges) != 4 or None in edges:
        return None
    x, y, wide, high = (float(edge or 0) for edge in edges)
    across = [_overlap(x, x + wide, n * width_px / 3, (n + 1) * width_px / 3) for n in range(3)]
    down = [_overlap(y, y + high, n * height_px / 3, (n + 1) * height_px / 3) for n in range(3)]
    areas = {CELLS[3 * row + column]: down[row] * across[column] for row in range(3) for column in range(3)}
    return sorted((cell for cell in CELLS if areas[cell] > 0), key=lambda cell: -areas[cell])[:n_cells] or None


def _overlap(low: float, high: float, start: float, end: float) -> float:
    return max(0.0, min(high, end) - max(low, start))
