"""Read what PIL leaves out of a TIFF: the low bytes of 16-bit colours, and the meaning of some samples.

PIL ignores the value of no data, signs of 8-bit samples, and that the lowest deep sample may be white. A fourth band is
opacity only if the file says so: of satellite images it is near infrared.
"""

import contextlib
import io
import sys

import numpy as np
from PIL import Image, TiffImagePlugin

from stages.images.mending import mend
from stages.images.shown import DEEP_MODES, STRIP_PIXELS, Strips, stretch_strips

GDAL_NODATA = 42113  # a text
# PIL keeps the high byte of these; reading them in the other byte order finds the low byte.
_DEEP_COLOURS = ("RGB;16", "RGBX;16", "RGBA;16")
_IN_PLANES = 2
_WHITE_IS_ZERO = 0
_SIGNED = (2,)
_MOST_16 = 65535
_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


def complete_samples(image: Image.Image, data: bytes) -> None:
    """Stretch 16-bit colours to 8 bits, make bands without a stated meaning opaque, and give samples their meaning.

    The value of no data is noted, white is the highest sample, the lowest of signed samples is 0, and a palette that
    states its colours in 8 bits of 16 is not black.

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
    if image.mode in DEEP_MODES:
        if nodata is not None:
            image.info["transparency"] = nodata
        # A file that does not say which is white shows 0 as black, as by libtiff.
        if image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO:
            _invert(image)
    elif image.mode == "L" and image.tag_v2.get(TiffImagePlugin.SAMPLEFORMAT) == _SIGNED:
        image.paste(image.point([level ^ 128 for level in range(256)]))
    elif image.mode in ("P", "PA"):
        _read_shallow_palette(image)
    if 16 in image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, ()) and image.mode in ("RGB", "RGBA"):
        low = _load_low_bytes(data)
        stretch_strips(image, lambda: _strips(image, low), nodata)


def _read_nodata(image: TiffImagePlugin.TiffImageFile) -> float | None:
    with contextlib.suppress(ValueError):
        return float(str(image.tag_v2.get(GDAL_NODATA, "")).strip("\0 "))
    return None


def _invert(image: Image.Image) -> None:
    """Make the lowest samples of a deep picture the highest ones, and the value of no data with them."""
    most = _MOST_16 if image.mode.startswith("I;16") else 0
    if "transparency" in image.info:
        image.info["transparency"] = most - image.info["transparency"]
    n_rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, n_rows):
        values = np.asarray(image.crop((0, top, image.width, min(top + n_rows, image.height))))
        image.paste(Image.fromarray(most - values), (0, top))


def _read_shallow_palette(image: TiffImagePlugin.TiffImageFile) -> None:
    """Take a palette without a value above 255 for one of 8 bits, as libtiff's tools do; PIL divides all by 256."""
    colours = image.tag_v2[TiffImagePlugin.COLORMAP]
    if max(colours) < 256:
        image.putpalette(bytes(colours), "RGB;L")


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


def _strips(high: Image.Image, low: Image.Image) -> Strips:
    """Yield the first row of a strip, its samples, uint16 [rows, columns, 3], and its opacity, uint8."""
    n_rows = max(1, STRIP_PIXELS // (4 * high.width))
    for top in range(0, high.height, n_rows):
        box = (0, top, high.width, min(top + n_rows, high.height))
        levels = np.asarray(high.crop(box))
        values = levels[..., :3].astype(np.uint16) << 8 | np.asarray(low.crop(box))[..., :3]
        alpha = levels[..., 3] if levels.shape[2] == 4 else np.full(levels.shape[:2], 255, np.uint8)
        yield top, values, alpha
