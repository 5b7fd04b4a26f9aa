"""Bands are rendered as a picture by the settings, and a file that is no band of a patch is rejected."""

import io
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from stages.readers.ben.rendering import Renderer, open_renderer
from stages.readers.labelled_records import SampleFault


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with open_renderer(2000, 95, True) as opened:
        yield opened


def band(values: np.ndarray, driver: str = "GTiff") -> bytes:
    from rasterio.io import MemoryFile

    rows, columns = values.shape[-2:]
    shape = {"width": columns, "height": rows, "count": values.size // (rows * columns), "dtype": values.dtype.name}
    with MemoryFile() as memory:
        with memory.open(driver=driver, **shape) as raster:
            raster.write(values if values.ndim == 3 else values[None])
        return bytes(memory.getbuffer())


def flat(value: int) -> bytes:
    return band(np.full((120, 120), value, np.uint16))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("reflectance", "level"), [(0, 0), (1000, 128), (2000, 255), (2001, 255), (65535, 255), (500, 64)]
)
def test_reflectance_is_scaled_up_to_the_clip(renderer: Renderer, reflectance: int, level: int) -> None:
    data = renderer.render({"B04": flat(reflectance), "B03": flat(0), "B02": flat(2000)})
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image).astype(int)
        assert (image.size, image.mode, image.info.get("exif")) == ((120, 120), "RGB", None)
    assert np.abs(pixels - (level, 0, 255)).max() <= 2  # rounding of the codec


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_file_that_is_no_band_of_a_patch_is_a_bad_band(renderer: Renderer) -> None:
    good = flat(7)
    noise = np.random.default_rng(3).integers(0, 3000, (120, 120)).astype(np.uint16)
    vrt = b'<VRTDataset rasterXSize="120" rasterYSize="120"><VRTRasterBand dataType="UInt16" band="1"/></VRTDataset>'
    bad = {
        "empty": b"", "text": b"no band at all", "cut": band(noise)[:9000], "vrt": vrt,
        "size": band(noise[:60, :60]), "type": band(noise.astype(np.uint8)),
        "two bands": band(np.stack([noise, noise])), "other format": band(noise, "PNG"),
    }  # fmt: skip
    for name, data in bad.items():
        with pytest.raises(SampleFault) as caught:
            renderer.render({"B04": good, "B03": data, "B02": good})
        assert caught.value.reason == "bad_band", name
        assert str(caught.value).startswith("B03"), name


def test_importing_the_module_imports_no_raster_library() -> None:
    code = "import stages.labelled.stage, sys; sys.exit(any(m in sys.modules for m in ('rasterio', 'pyproj')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
