"""Handmade evaluation sets: two sets with pictures of the small build, unchanged and changed, and captions."""

import io
import os
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageOps

MTIME_NS = 1_700_000_000_000_000_000


def write_evaluation_files(folder: Path, draw: Callable[[int, str], bytes]) -> Path:
    """Write the folder of evaluation sets and return it.

    Args:
        folder: the folder that EVAL names.
        draw: returns a picture of the small build by its number and its kind.
    """
    files = {
        "alpha/train/twelve.png": draw(12, "png"),
        "alpha/train/thirteen.jpg": draw(13, "jpg"),
        "alpha/test/fourteen.png": draw(14, "png"),
        "alpha/test/mirrored.png": _changed(draw(15, "png"), ImageOps.mirror),
        "alpha/test/again.png": draw(12, "png"),
        "alpha/test/cut.png": draw(16, "png")[:-900],
        "alpha/notes.txt": b"no picture",
        "beta/twelve.jpg": draw(12, "jpg"),
        "beta/fifteen.png": draw(15, "png"),
        "beta/blank.png": _changed(draw(1, "png"), lambda image: Image.new("RGB", image.size, "white")),
        "beta/captions.csv": "\n".join(
            ["filename,caption,split", *(f'twelve.jpg,"Aerial  view {n}.",test' for n in range(50, 56)), ""]
        ).encode(),
    }
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, ns=(MTIME_NS, MTIME_NS))
    return folder


def _changed(body: bytes, change: Callable[[Image.Image], Image.Image]) -> bytes:
    out = io.BytesIO()
    change(Image.open(io.BytesIO(body)).convert("RGB")).save(out, "PNG", compress_level=0)
    return out.getvalue()
