"""Decode an image that screen accepted to the RGB image that models see.

Screen has decoded the same bytes with the same function, within its limits.
"""

import math
import threading
from contextlib import nullcontext

from PIL import Image

from stages.images.exif import read_orientation
from stages.images.first_picture import finish, open_first, reduced_size
from stages.images.not_decoded import NotDecoded
from stages.images.shown import show, turn

LARGE_PX = 16_000_000


def open_rgb(
    data: bytes, image_format: str, longest_px: int | None = None, max_pixels: int | None = None
) -> Image.Image:
    """Return the first picture of an image file as shown.

    Args:
        data: the file.
        image_format: the format that screen found.
        longest_px: larger images are reduced to this longer side; a JPEG is then decoded at reduced size.
        max_pixels: width times height as screen found them; None for no limit.

    Raises:
        NotDecoded: the bytes cannot be decoded, because libraries or available memory have changed.
    """
    try:
        with _ANY_SIZE:
            image = open_first(data, image_format, max_pixels, longest_px)
            with _ONE_LARGE if math.prod(image.size) > LARGE_PX else nullcontext():
                return _show_reduced(finish(image, data, longest_px), longest_px)
    # Whatever PIL raises on these bytes, lack of memory included, becomes a reject of the stage.
    except Exception as error:
        raise NotDecoded.because(error) from error


def _show_reduced(image: Image.Image, longest_px: int | None) -> Image.Image:
    rgb = show(image)
    size = reduced_size(image.size, longest_px)
    if rgb.size != size:
        rgb = rgb.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return turn(rgb, read_orientation(image) or 1)


class _AnySize:
    """A context with PIL's formats loaded, without its pixel limit while any thread is inside.

    Screen has its own limit, which is higher for labelled images: PIL's would refuse images that screen accepted.
    """

    def __init__(self) -> None:
        self._lock, self._n_inside = threading.Lock(), 0
        self._limit: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            # An image opened while another thread loads PIL's formats would find its own missing.
            Image.init()
            if not self._n_inside:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._n_inside += 1

    def __exit__(self, *fault: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside:
                Image.MAX_IMAGE_PIXELS = self._limit


_ANY_SIZE = _AnySize()
# Eight threads that decode 64 megapixels each take 8 GB, so large images are decoded one at a time.
_ONE_LARGE = threading.Lock()
