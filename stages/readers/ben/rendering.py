"""Render three single-band GeoTIFFs of a BigEarthNet patch as one RGB JPEG."""

import io
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from stages.identity import package_version
from stages.readers.ben.reader import RGB_BANDS
from stages.readers.labelled_records import SampleFault

SIDE_PX = 120  # side of the 10 m bands, as published


class Renderer:
    """Renders patches, with GDAL kept open between them."""

    def __init__(self, clip_reflectance: int, quality: int, has_full_chroma: bool) -> None:
        self._clip = clip_reflectance
        self._options: dict[str, Any] = {"quality": quality, "subsampling": 0 if has_full_chroma else 2}

    def render(self, bands: Mapping[str, bytes]) -> bytes:
        """Return a JPEG of the red, green and blue bands, with reflectance from 0 to the clip scaled to 0 to 255.

        Raises:
            SampleFault: a band cannot be read, or has another size or type than published.
        """
        from PIL import Image

        values = np.stack([_read_band(bands[band], band) for band in RGB_BANDS], axis=-1)
        clipped = np.minimum(values, self._clip).astype(np.uint32)
        pixels = ((clipped * 255 + self._clip // 2) // self._clip).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", **self._options)
        return out.getvalue()

    def locate(self, data: bytes) -> tuple[int, float, float] | None:
        """Return the EPSG code and the centre (x and y in its unit) of a band; None if it has no position.

        Raises:
            SampleFault: the band cannot be read.
        """
        with _opened(data, RGB_BANDS[0]) as raster:
            epsg, edges = raster.crs.to_epsg() if raster.crs else None, raster.bounds
        return (epsg, (edges.left + edges.right) / 2, (edges.top + edges.bottom) / 2) if epsg else None


_IN_MEMORY = re.compile(r"'?/vsimem/[^\s':,]*'?|\b[0-9a-f]{8}-[0-9a-f-]{27}\S*")


def _read_band(data: bytes, band: str) -> np.ndarray[Any, np.dtype[np.uint16]]:
    with _opened(data, band) as raster:
        found = (raster.count, raster.width, raster.height, raster.dtypes[0])
        if found != (1, SIDE_PX, SIDE_PX, "uint16"):
            raise SampleFault("bad_band", f"{band}: expected {(1, SIDE_PX, SIDE_PX, 'uint16')}, found {found}")
        values: np.ndarray[Any, np.dtype[np.uint16]] = raster.read(1)
    return values


@contextmanager
def _opened(data: bytes, band: str) -> Iterator[Any]:
    from rasterio.errors import RasterioError
    from rasterio.io import MemoryFile

    if not data:
        raise SampleFault("bad_band", f"{band} is empty")
    try:
        # Only GeoTIFF: other drivers of GDAL follow references to other files or to the network.
        with MemoryFile(data) as memory, memory.open(driver="GTiff") as raster:
            yield raster
    except RasterioError as error:
        # GDAL gives its file in memory a random name, but details must be the same in every run.
        said = _IN_MEMORY.sub("the file", str(error.__cause__ or error))
        raise SampleFault("bad_band", f"{band}: {said}") from error


def renderer_identity() -> Mapping[str, str]:
    """Return the versions that affect a rendered file; the wheels of rasterio and pyproj contain GDAL and PROJ."""
    from PIL import features

    identity = {name: package_version(name) for name in ("rasterio", "pyproj", "pillow", "numpy")}
    return identity | {"libjpeg_turbo": str(features.version("libjpeg_turbo") or "absent")}


@contextmanager
def open_renderer(clip_reflectance: int, quality: int, has_full_chroma: bool) -> Iterator[Renderer]:
    """Open GDAL for a renderer; its messages go into rejects, not to the terminal."""
    import rasterio

    log = logging.getLogger("rasterio")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with rasterio.Env():
            yield Renderer(clip_reflectance, quality, has_full_chroma)
    finally:
        log.setLevel(level)
