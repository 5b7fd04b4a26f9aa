"""Handmade labelled source files with a dozen samples, for small builds. Not the generated world."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PATCHES = tuple(f"S2A_MSIL2A_20170617T113321_{n}_55" for n in (1, 2, 3, 4))
PROJECTION = 'PROJCS["WGS 84 / UTM zone 29N",AUTHORITY["EPSG","32629"]]'
# Expected reject reasons of the samples; "" for kept ones.
FATES = {
    "fmow_dam_3_0_rgb": "",
    "fmow_dam_3_0_msrgb": "",
    "fmow_dam_103_0_rgb": "missing_metadata",
    "fmow_single-unit_residential_7_1_rgb": "",
    "millionaid_P0000001": "",
    "millionaid_P0000002": "",
    "millionaid_P0004567": "",
    "ben_0": "",
    "ben_1": "",
    "ben_2": "missing_band",
    "ben_3": "bad_metadata",
}


def write_labelled_files(sources: Path, copied: bytes = b"", *, with_bands: bool = True) -> Path:
    """Write the three labelled corpora under SOURCES.

    Args:
        sources: the SOURCES folder.
        copied: a picture of another corpus; one MillionAID image is a copy of it.
        with_bands: if False, patches have only one invalid band, and no raster library is needed.
    """
    files: dict[str, bytes] = {}
    for n, name in enumerate(("dam_3_0_rgb", "dam_3_0_msrgb", "dam_103_0_rgb", "single-unit_residential_7_1_rgb")):
        scene = name.rsplit("_", 2)[0]
        path = f"{scene.rsplit('_', 1)[0]}/{scene}/{name}"
        files[f"fmow/train/{path}.jpg"] = _jpeg(100 + n)
        if name != "dam_103_0_rgb":
            files[f"fmow/train/{path}.json"] = json.dumps({"gsd": 0.5}).encode()
            files[f"fmow/groundtruth/train/{path}.json"] = json.dumps(_record(name, n)).encode()
    for n, name in enumerate(("P0000001", "P0000002", "P0004567")):
        files[f"millionaid/test/{name}.jpg"] = _jpeg(200 + n)
    files["millionaid/test/P0000002.jpg"] = copied or files["millionaid/test/P0000002.jpg"]
    for n, patch in enumerate(PATCHES):
        bands = ("B02", "B03", "B04") if with_bands and n != 2 else ("B02",)
        for band in bands:
            files[f"ben/v1/{patch}/{patch}_{band}.tif"] = _band(300 + n, band) if with_bands else b"no band"
        files[f"ben/v1/{patch}/{patch}_labels_metadata.json"] = b"{" if n == 3 else _labels(n)
    for name, body in files.items():
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (sources / name).write_bytes(body)
    return sources


def _record(name: str, n: int) -> dict[str, Any]:
    ring = f"POLYGON (({n} {n}, {n + 1} {n}, {n + 1} {n + 1}, {n} {n + 1}, {n} {n}))"
    box = {"box": [10, 10, 30, 20], "category": name.rsplit("_", 3)[0], "visible": "True"}
    return {
        "img_filename": f"{name}.tif", "img_width": 64, "img_height": 64, "gsd": 0.5, "cloud_cover": n,
        "timestamp": "2014-07-21T10:32:22Z", "scan_direction": "Forward", "target_azimuth_dbl": 31.2,
        "off_nadir_angle_dbl": 21.9, "country_code": "CHE", "epsg": "4326", "raw_location": ring,
        "bounding_boxes": [{"ID": -1, **box, "raw_location": ring, "epsg": "4326"}, {"ID": 7, **box}],
    }  # fmt: skip


def _labels(n: int) -> bytes:
    record = {
        "labels": [
            "Pastures",
            "Land principally occupied by agriculture, with significant areas of natural vegetation",
        ],
        "coordinates": {"ulx": 604_800 + n, "uly": 5_834_040, "lrx": 606_000 + n, "lry": 5_832_840},
        "projection": PROJECTION,
        "acquisition_date": "2017-06-17 11:33:21",
    }
    return json.dumps(record).encode()


def _picture(seed: int, side_px: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side_px, side_px), Image.Resampling.BICUBIC)


def _jpeg(seed: int) -> bytes:
    out = io.BytesIO()
    _picture(seed, 64).save(out, "JPEG", quality=92)
    return out.getvalue()


def _band(seed: int, band: str) -> bytes:
    from rasterio import Affine
    from rasterio.io import MemoryFile

    channel = np.asarray(_picture(seed, 120))[..., ("B04", "B03", "B02").index(band)].astype(np.uint16)
    shape = {"width": 120, "height": 120, "count": 1, "dtype": "uint16"}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", **shape, transform=Affine(10.0, 0, 604_800, 0, -10.0, 5_834_040)) as raster:
            raster.write(channel * 7, 1)
        return bytes(memory.getbuffer())
