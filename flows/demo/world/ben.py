"""BigEarthNet v1 in the generated world: patch folders with twelve GeoTIFF bands and a label record, and name lists."""

import io
import json

import numpy as np
from PIL import Image

from flows.demo.world.drawings import FROM_ABOVE
from flows.demo.world.images import Gallery
from flows.demo.world.labelled_rows import LabelledRow

REFLECTANCE_OF_WHITE = 2000
_SIDE_PX = {
    "B01": 20, "B02": 120, "B03": 120, "B04": 120, "B05": 60, "B06": 60, "B07": 60, "B08": 120, "B8A": 60, "B09": 20,
    "B11": 60, "B12": 60,
}  # fmt: skip
_CHANNEL = {"B04": 0, "B03": 1, "B02": 2}
# EPSG code, and easting and northing in metres of a patch's upper left corner.
_ZONES = (
    (32629, 604_800, 5_834_040), (32633, 404_400, 5_342_400), (32634, 512_220, 5_010_660), (32635, 379_200, 6_232_800),
    (32733, 334_800, 8_020_020), (32722, 700_020, 7_399_980), (32601, 420_000, 6_600_000),
)  # fmt: skip
_LABELS = {
    "fields": ("Non-irrigated arable land", "Pastures"), "river": ("Water courses", "Pastures"),
    "town": ("Discontinuous urban fabric", "Road and rail networks and associated land"),
    "coast": ("Beaches, dunes, sands", "Sea and ocean"), "pivots": ("Permanently irrigated land",),
    "airport": ("Airports",), "mountains": ("Bare rock", "Sparsely vegetated areas"),
}  # fmt: skip
_COMMAS = "Land principally occupied by agriculture, with significant areas of natural vegetation"


def plan_ben(n_patches: int, seed: int, gallery: Gallery, files: dict[str, bytes]) -> list[LabelledRow]:
    """Add n_patches patches and two name lists to `files`; return the samples sorted by number."""
    rng = np.random.default_rng([seed, 1 << 23])
    names = [_name(n) for n in range(n_patches)]
    # The lists name absent patches and omit present ones; sample numbers count all names.
    absent = [f"S2B_MSIL2A_20170828T11215{n}_{n}_7" for n in range(5)]
    files["ben/train.csv"] = "".join(f"{name}\n" for name in (*names[: n_patches // 2], *absent[:3])).encode()
    files["ben/lists/patches_with_seasonal_snow.csv"] = "".join(f"{name}\r\n" for name in absent[2:]).encode()
    files["ben/S1/S1A_IW_GRDH_1SDV_20170613T165043_33UUP_87_48/S1A_IW_GRDH_1SDV_20170613T165043_33UUP_87_48_VV.tif"] = (
        b"of the radar patches: never read"
    )
    numbers = {name: number for number, name in enumerate(sorted({*names, *absent}))}
    rows = []
    for n, name in enumerate(names):
        row = LabelledRow(f"ben_{numbers[name]}", "ben", path=f"ben/BigEarthNet-v1.0/{name}")
        kind = sorted(FROM_ABOVE)[int(rng.integers(len(FROM_ABOVE)))]
        image = gallery.draw_kind(kind, ["png"], 120, 120)[0]
        with Image.open(io.BytesIO(image.body)) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        _add(n, name, kind, pixels, row, files)
        rows.append(row)
    return sorted(rows, key=lambda row: int(row.sample_id.split("_")[1]))


def _name(n: int) -> str:
    """Return a patch name; as published, grid numbers are not padded and some hours lack the leading zero."""
    hour = "9" if n % 5 == 3 else f"{9 + n % 4:02d}"
    return f"S2{'AB'[n % 2]}_MSIL2A_2017{6 + n % 4:02d}{13 + n % 15:02d}T{hour}40{10 + n}_{n * 7 % 90}_{n * 3 % 90}"


def _add(n: int, name: str, kind: str, pixels: np.ndarray, row: LabelledRow, files: dict[str, bytes]) -> None:
    """Add the files of patch number n; the number decides the fault, if any."""
    epsg, left, top = _ZONES[n % len(_ZONES)]
    left, top = left + 1200 * (n // len(_ZONES)), top - 1200 * n
    row.labels = (*_LABELS[kind], _COMMAS) if n % 3 == 2 else _LABELS[kind]
    date, time = f"2017-{6 + n % 4:02d}-{13 + n % 15:02d}", f"{9 + n % 4:02d}:40:{10 + n:02d}"
    row.datetime = f"{date}T{time}Z"
    record = {
        "labels": list(row.labels),
        "coordinates": {"ulx": left, "uly": top, "lrx": left + 1200, "lry": top - 1200},
        "projection": projection_wkt(epsg),
        "tile_source": f"{name[:4]}MSIL1C_20170617T113321_N0205_R080_T29UPU_20170617T113319.SAFE",
        "acquisition_date": f"{date} {time}",
    }
    row.longitude_deg, row.latitude_deg = _to_degrees(epsg, left + 600, top - 600)
    if n == 6:
        del record["coordinates"]
        row.longitude_deg = row.latitude_deg = None
    bands = {band: _band(pixels, band, side, epsg, left, top) for band, side in _SIDE_PX.items()}
    bodies = {
        **{f"{band}.tif": body for band, body in bands.items()},
        "labels_metadata.json": json.dumps(record).encode(),
    }
    match n:
        case 1:
            row.refuse("missing_band")
            del bodies["B03.tif"]
        case 2:
            row.refuse("bad_band")
            bodies["B02.tif"] = bands["B05"]
        case 3:
            row.refuse("bad_band")
            bodies["B04.tif"] = bands["B04"][: len(bands["B04"]) // 2]
        case 4:
            row.refuse("bad_metadata")
            bodies["labels_metadata.json"] = bodies["labels_metadata.json"][:-30]
    files.update({f"{row.path}/{name}_{part}": body for part, body in bodies.items()})


def _band(pixels: np.ndarray, band: str, side_px: int, epsg: int, left: int, top: int) -> bytes:
    """Return a band as a GeoTIFF: the picture's channel for red, green and blue, else its mean brightness."""
    from rasterio import Affine
    from rasterio.crs import CRS
    from rasterio.io import MemoryFile

    channel = pixels[..., _CHANNEL[band]] if band in _CHANNEL else pixels.mean(axis=-1)
    step = 120 // side_px
    values = np.rint(channel[::step, ::step] * (REFLECTANCE_OF_WHITE / 255)).astype(np.uint16)
    shape = {"width": side_px, "height": side_px, "count": 1, "dtype": "uint16"}
    with MemoryFile() as memory:
        place = {"crs": CRS.from_epsg(epsg), "transform": Affine(10.0 * step, 0, left, 0, -10.0 * step, top)}
        with memory.open(driver="GTiff", **shape, **place) as raster:
            raster.write(values, 1)
        return bytes(memory.getbuffer())


def _to_degrees(epsg: int, x: float, y: float) -> tuple[float, float]:
    from rasterio.warp import transform

    longitudes, latitudes = transform(f"EPSG:{epsg}", "EPSG:4326", [x], [y])[:2]
    return longitudes[0], latitudes[0]


def projection_wkt(epsg: int) -> str:
    """Return the projection as published: WKT as written by GDAL 1, with the EPSG code at the end."""
    zone, is_south = epsg % 100, epsg > 32700
    name = f"WGS 84 / UTM zone {zone}{'S' if is_south else 'N'}"
    ellipsoid = 'SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]]'
    degrees = 'UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST]'
    datum = f'DATUM["WGS_1984",{ellipsoid},AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]]'
    numbers = {
        "latitude_of_origin": 0, "central_meridian": 6 * zone - 183, "scale_factor": 0.9996, "false_easting": 500000,
        "false_northing": 10_000_000 if is_south else 0,
    }  # fmt: skip
    parameters = ",".join(f'PARAMETER["{key}",{value}]' for key, value in numbers.items())
    metres = 'UNIT["metre",1,AUTHORITY["EPSG","9001"]],AXIS["Easting",EAST],AXIS["Northing",NORTH]'
    return (
        f'PROJCS["{name}",GEOGCS["WGS 84",{datum},{degrees},AUTHORITY["EPSG","4326"]],'
        f'PROJECTION["Transverse_Mercator"],{parameters},{metres},AUTHORITY["EPSG","{epsg}"]]'
    )
