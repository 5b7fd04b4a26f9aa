"""FMoW in the generated world: scenes with one or two views, each as two images (rgb, msrgb) with JSON records.

The records beside the images lack the fields that were removed for the challenge; the ground truth has all fields.
"""

import json
from typing import Any

import numpy as np

from flows.demo.world.images import Gallery, ImageFile
from flows.demo.world.labelled_rows import LabelledRow

# Category, kinds of drawing for it, and numbers of its scenes.
_CATEGORIES = (
    ("airport", ("airport",), (0, 7, 112, 31)),
    ("single-unit_residential", ("town",), (4, 118, 57, 60)),
    ("crop_field", ("fields", "pivots"), (1, 63, 9, 70)),
    ("port", ("coast",), (2, 13, 55, 90)),
    ("road_bridge", ("river",), (5, 8, 44, 71)),
)
# Latitude, longitude, ISO code: all four quadrants, the UTM exception 32V, and one across the date line.
_PLACES = (
    (47.371, 8.539, "CHE"), (-33.871, 151.002, "AUS"), (-1.289, 36.823, "KEN"), (-23.548, -46.637, "BRA"),
    (39.741, -104.992, "USA"), (-16.81, -179.9999, "FJI"), (60.391, 5.325, "NOR"), (19.083, 72.881, "IND"),
    (35.684, 139.702, "JPN"), (-33.931, 18.462, "ZAF"), (64.127, -21.879, "ISL"), (-54.801, -68.304, "ARG"),
)  # fmt: skip
_DEGREE_M = 111_320.0


def plan_fmow(n_views: int, seed: int, gallery: Gallery, files: dict[str, bytes]) -> list[LabelledRow]:
    """Add n_views views of two images each to `files` and return their samples; the first has no fault."""
    rng = np.random.default_rng([seed, 1 << 22])
    rows: list[LabelledRow] = []
    for n_view in range(n_views):
        category, kinds, scenes = _CATEGORIES[n_view % len(_CATEGORIES)]
        turn = n_view // len(_CATEGORIES)
        scene, m = scenes[max(0, turn - 1)], int(turn == 1)  # the second turn adds a second view of the first scenes
        recipes = {5: "jpeg_grey", 6: "jpeg_cmyk"}
        images = gallery.draw_kind(kinds[scene % len(kinds)], [recipes.get(n_view, "jpeg"), "jpeg_quarter"], 416, 352)
        about = _view(rng, n_view, category)
        for image, kind in zip(images, ("rgb", "msrgb"), strict=True):
            rows.append(_add(f"{category}_{scene}", m, kind, n_view, image, about, files))
    files["fmow/val/airport/airport_0/airport_0_0_rgb.json"] = b"of another split: never read"
    files["fmow/README.md"] = b"of the corpus: never read"
    return rows


def _view(rng: np.random.Generator, n_view: int, category: str) -> dict[str, Any]:
    """Return the random metadata that both images of a view share."""
    latitude, longitude, country = _PLACES[n_view % len(_PLACES)]
    second = f"{int(rng.integers(60)):02d}"
    return {
        "category": category,
        "latitude": latitude + (n_view // len(_PLACES)) * 0.013,
        "longitude": longitude,
        "country": "ZZZ" if n_view == 2 else country,
        "time": f"20{10 + n_view % 8}-{1 + n_view * 5 % 12:02d}-{1 + n_view % 28:02d}T{n_view % 24:02d}:32:{second}",
        "fraction": ".218000" if n_view % 3 == 1 else "",
        "box": [float(edge) for edge in rng.uniform((0.05, 0.05, 0.15, 0.15), (0.6, 0.6, 0.4, 0.4))],
        "cloud_cover": int(rng.integers(0, 30)),
        "scan_direction": ("Forward", "Reverse")[n_view % 2],
        "azimuth": float(rng.uniform(0, 360)),
        "off_nadir": float(rng.uniform(3, 40)),
    }


def _add(
    scene: str, m: int, kind: str, n_view: int, image: ImageFile, about: dict[str, Any], files: dict[str, bytes]
) -> LabelledRow:
    """Add one image with its records and return its sample; the view's number decides the fault, if any."""
    name = f"{scene}_{m}_{kind}"
    folder = f"{about['category']}/{scene}/{name}"
    row = LabelledRow(
        f"fmow_{name}", "fmow", path=f"fmow/train/{folder}.jpg", scene_id=f"fmow_{scene}",
        latitude_deg=about["latitude"], longitude_deg=about["longitude"], datetime=about["time"] + "Z",
        country_code=about["country"], labels=(about["category"],),
    )  # fmt: skip
    record = _record(name, kind, image, about)
    beside = {key: value for key, value in record.items() if key not in ("raw_location", "country_code", "utm")}
    own_box = record["bounding_boxes"][1]
    beside["bounding_boxes"] = own_box if n_view % 2 else [own_box]
    truth, plain = json.dumps(record).encode(), json.dumps(beside).encode()
    parts: dict[str, bytes | None] = {"image": image.body, "truth": truth, "plain": plain}
    _damage(n_view, kind, record, parts, row)
    paths = {"image": row.path, "truth": f"fmow/groundtruth/train/{folder}.json", "plain": f"fmow/train/{folder}.json"}
    files.update({paths[part]: body for part, body in parts.items() if body is not None})
    return row


def _damage(n_view: int, kind: str, record: dict[str, Any], parts: dict[str, bytes | None], row: LabelledRow) -> None:
    """Damage the files as the view's number says, and set the sample's expected fate."""
    match n_view, kind:
        case 1, _:
            row.latitude_deg = row.longitude_deg = None
            boxes = [{k: v for k, v in box.items() if k != "raw_location"} for box in record["bounding_boxes"]]
            nowhere = {k: v for k, v in record.items() if k != "raw_location"} | {"bounding_boxes": boxes}
            parts["truth"] = json.dumps(nowhere).encode() if kind == "rgb" else None
            row.country_code = row.country_code if kind == "rgb" else ""
        case 3, "rgb":
            row.refuse("missing_metadata")
            parts["truth"] = parts["plain"] = None
        case 4, _:
            row.refuse("bad_metadata")
            parts["truth"] = (parts["truth"] or b"")[:-40] if kind == "rgb" else b"[]"
        case 7, "msrgb":
            row.refuse("missing_image")
            parts["image"] = None


def _record(name: str, kind: str, image: ImageFile, about: dict[str, Any]) -> dict[str, Any]:
    gsd_m = 0.5 if kind == "rgb" else 2.0
    x, y, wide, high = about["box"]
    width, height = image.width_px, image.height_px
    box = [int(x * width), int(y * height), int(wide * width), int(high * height)]
    high_deg = height * gsd_m / _DEGREE_M
    wide_deg = width * gsd_m / _DEGREE_M / np.cos(np.radians(about["latitude"]))
    # A sample's position is its box's centre; the image extends around it by its size in pixels.
    south, west = about["latitude"] - (1 - y - high / 2) * high_deg, about["longitude"] - (x + wide / 2) * wide_deg
    place = (about["longitude"] - wide * wide_deg / 2, about["latitude"] - high * high_deg / 2)
    common = {"box": box, "category": about["category"], "visible": "True"}
    return {
        "img_filename": f"{name}.tif", "img_width": width, "img_height": height, "gsd": gsd_m + 0.0321,
        "pan_resolution_dbl": 0.532, "multi_resolution_dbl": 2.128, "cloud_cover": about["cloud_cover"],
        "timestamp": f"{about['time']}{about['fraction']}Z", "scan_direction": about["scan_direction"],
        "target_azimuth_dbl": about["azimuth"], "off_nadir_angle_dbl": about["off_nadir"],
        "sun_azimuth_dbl": 159.2, "sun_elevation_dbl": 46.2, "country_code": about["country"], "utm": "32T",
        "epsg": "4326", "spatial_reference": "GCS_WGS_1984", "sensor_platform_name": "WORLDVIEW02",
        "mean_pixel_width": wide_deg / width, "mean_pixel_height": high_deg / height,
        "raw_location": _ring(west, south, wide_deg, high_deg),
        "bounding_boxes": [
            {
                "ID": -1, **common, "raw_category": about["category"].replace("_", " ").title(), "crowd_rank": 0.66,
                "raw_location": _ring(*place, wide * wide_deg, high * high_deg), "epsg": "4326",
            },
            {"ID": 47768 + image.width_px, **common},
        ],
    }  # fmt: skip


def _ring(west: float, south: float, wide_deg: float, high_deg: float) -> str:
    """Return a rectangle in degrees as a WKT polygon, with longitudes in [-180, 180)."""
    corners = ((0, 1), (1, 1), (1, 0), (0, 0), (0, 1))
    points = [((west + x * wide_deg + 180) % 360 - 180, south + y * high_deg) for x, y in corners]
    return f"POLYGON (({', '.join(f'{x:.16f} {y:.16f}' for x, y in points)}))"
