"""Re-encode a TIFF as JPEG, for publishing: the one format whose pixels are touched.

Not guarded: for bytes that screen has decoded in its child process.
"""

import io

import numpy as np
from PIL import Image

JPEG_QUALITY = 95  # what OpenCV, and so img2dataset, writes by default


def encode_tiff_as_jpeg(data: bytes) -> bytes:
    """Return the first page, turned upright, as RGB JPEG; the same bytes for the same libraries.

    16-bit grey is divided by 257; other deep samples (I, F) are stretched from their own minimum and maximum to
    0 .. 255. Alpha is dropped, a colour profile of RGB pixels kept.

    Raises:
        Exception: whatever PIL raises on these bytes.
    """
    with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
        image.load()
        profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
        encoded = io.BytesIO()
        _convert_to_rgb(image).save(encoded, "JPEG", quality=JPEG_QUALITY, icc_profile=profile)
    return encoded.getvalue()


def _convert_to_rgb(image: Image.Image) -> Image.Image:
    """Return 8-bit RGB; PIL's own conversion clips deep samples to white."""
    if not image.mode.startswith("I") and image.mode != "F":
        return image.convert("RGB")
    samples = np.nan_to_num(np.asarray(image).astype(np.float64))
    low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else (samples.min(), samples.max())
    scaled = (samples - low) / (high - low if high > low else 1.0) * 255
    return Image.fromarray(scaled.clip(0, 255).round().astype(np.uint8)).convert("RGB")
