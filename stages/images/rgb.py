"""Turns the bytes of a valid image file, or an image of any mode, into the RGB image that models see.

Not for judging files: bytes come from images that screen has decoded within its limits.
"""

import io
import math
import threading
from contextlib import nullcontext

import numpy as np
from PIL import ExifTags, Image

DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # more than 8 bits a sample; PIL clips them on conversion
WHITE = (255, 255, 255)
LARGE_PX = 16_000_000
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF 2.32, tag 0x0112: how the stored pixels have to be turned

# Threads open images: one that comes while another thread loads PIL's formats would find its own missing.
Image.init()


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image as RGB: transparent parts over white, deep samples stretched over their own range.

    A deep image is stretched because its samples rarely use the 16 bits: sensors deliver 10 to 14 of them.
    """
    if image.mode in DEEP_MODES:
        return Image.fromarray(_stretch(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, (*WHITE, 255)), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def open_rgb(data: bytes, longest_px: int | None = None) -> Image.Image:
    """Return the first frame of an image file as RGB, turned as its EXIF orientation says.

    Args:
        data: the file, of a format that PIL knows.
        longest_px: the longer side of a larger image is reduced to this; a JPEG is then decoded at reduced size.
    """
    with _ANY_SIZE, Image.open(io.BytesIO(data)) as image:
        size = _reduced_size(image.size, longest_px)
        # Twice the size at least: what is left to reduce is filtered, not what the decoder skips.
        image.draft(None, (2 * size[0], 2 * size[1]))
        with _ONE_LARGE if math.prod(image.size) > LARGE_PX else nullcontext():
            image.load()
            orientation = _orientation(image)
            rgb = to_rgb(image)
            if rgb.width > size[0] or rgb.height > size[1]:
                rgb = rgb.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return rgb.transpose(TURNS[orientation]) if orientation in TURNS else rgb


def _reduced_size(size: tuple[int, int], longest_px: int | None) -> tuple[int, int]:
    if longest_px is None or max(size) <= longest_px:
        return size
    scale = longest_px / max(size)
    return max(1, math.floor(size[0] * scale + 0.5)), max(1, math.floor(size[1] * scale + 0.5))


def _stretch(values: np.ndarray) -> np.ndarray:
    """Return uint8: the smallest finite sample as 0, the largest as 255; an even picture as middle grey."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low, high = float(values[finite].min()), float(values[finite].max())
    if high <= low:
        return np.full(values.shape, 128, np.uint8)
    scaled = (np.where(finite, values, low).astype(np.float64) - low) * (255 / (high - low))
    return np.asarray(np.rint(scaled), np.uint8)


def _orientation(image: Image.Image) -> int:
    """Return EXIF's orientation, 1 where it is missing or broken, as screen has it; XMP's is not obeyed."""
    for key in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(key, None)
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:  # whatever a broken EXIF block makes PIL raise means that it says nothing
        return 1
    return found if isinstance(found, int) else 1


class _AnySize:
    """Lifts PIL's limit on pixels as long as any thread is inside.

    Screen has a limit of its own, a higher one for labelled images: PIL's would refuse what screen let through.
    """

    def __init__(self) -> None:
        self._lock, self._n_inside = threading.Lock(), 0
        self._limit: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._n_inside:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._n_inside += 1

    def __exit__(self, *fault: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside:
                Image.MAX_IMAGE_PIXELS = self._limit


_ANY_SIZE = _AnySize()
# Eight threads that decode 64 megapixels each take 8 GB: of large images one is decoded at a time.
_ONE_LARGE = threading.Lock()
