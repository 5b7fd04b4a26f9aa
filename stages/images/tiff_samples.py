"""Read what PIL leaves out of a TIFF: the low bytes of 16-bit colours, and the value that stands for no data.

It also takes no fourth band for opacity unless the file says so: of satellite images it is near infrared.
"""

import contextlib
import io
import sys
from collections.abc import Iterator

import numpy as np
from PIL import Image, TiffImagePlugin

from stages.images.mending import mend
from stages.images.shown import DEEP_MODES, STRIP_PIXELS, Values, stretch

GDAL_NODATA = 42113  # a text
# PIL keeps the high byte of these; reading them in the other byte order finds the low byte.
_DEEP_COLOURS = ("RGB;16", "RGBX;16", "RGBA;16")
_IN_PLANES = 2
_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


def complete_samples(image: Image.Image, data: bytes) -> None:
    """Stretch 16-bit colours to 8 bits, make bands without a stated meaning opaque, and note the value of no data.

    Args:
        image: a decoded picture; other than a TIFF it stays as it is.
        data: its file.

    Raises:
        NotImplementedError: PIL cannot read the low bytes of its colours.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    if image.mode == "RGBA" and TiffImagePlugin.EXTRASAMPLES not in image.tag_v2:
        image.putalpha(255)
    nodata = _read_nodata(image)
    if image.mode in DEEP_MODES and nodata is not None:
        image.info["transparency"] = nodata
    if 16 in image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, ()) and image.mode in ("RGB", "RGBA"):
        _stretch_colours(image, data, nodata)


def _read_nodata(image: TiffImagePlugin.TiffImageFile) -> float | None:
    with contextlib.suppress(ValueError):
        return float(str(image.tag_v2.get(GDAL_NODATA, "")).strip("\0 "))
    return None


def _stretch_colours(image: Image.Image, data: bytes, nodata: float | None) -> None:
    low = _load_low_bytes(data)
    # One range for all bands, over pixels that are seen: the colours stay.
    least, most = np.inf, -np.inf
    for _, values, alpha in _strips(image, low):
        seen = values[(values != nodata) & (alpha[..., None] > 0)]
        if seen.size:
            least, most = min(least, float(seen.min())), max(most, float(seen.max()))
    for top, values, alpha in _strips(image, low):
        strip = Image.fromarray(stretch(values, (least, most)))
        if image.mode == "RGBA":
            strip.putalpha(Image.fromarray(alpha))
        image.paste(strip, (0, top))


def _load_low_bytes(data: bytes) -> Image.Image:
    """Return the low byte of each sample, as clear_colour.py does for a PNG."""
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(mend(data, "TIFF")))
    tiles = []
    for tile in image.tile:
        mode, *others = tile.args if isinstance(tile.args, tuple) else (str(tile.args),)
        if mode[:-1] not in _DEEP_COLOURS or image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _IN_PLANES:
            raise NotImplementedError("16-bit colours in planes of their own, or multiplied by their opacity")
        tiles.append(tile._replace(args=(mode[:-1] + _OTHER_ORDER[mode[-1]], *others)))
    image.tile = tiles
    image.load()
    return image


def _strips(high: Image.Image, low: Image.Image) -> Iterator[tuple[int, Values, Values]]:
    """Yield the first row of a strip, its samples, uint16 [rows, columns, 3], and its opacity, uint8."""
    n_rows = max(1, STRIP_PIXELS // (4 * high.width))
    for top in range(0, high.height, n_rows):
        box = (0, top, high.width, min(top + n_rows, high.height))
        levels = np.asarray(high.crop(box))
        values = levels[..., :3].astype(np.uint16) << 8 | np.asarray(low.crop(box))[..., :3]
        alpha = levels[..., 3] if levels.shape[2] == 4 else np.full(levels.shape[:2], 255, np.uint8)
        yield top, values, alpha
