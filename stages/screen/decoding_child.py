"""The script that decodes images for stages/screen/decoding.py in a process with limits; reads images from stdin.

Stages must not import it, and it imports no package of theirs, which would slow the start of every child.
"""

import ctypes
import hashlib
import json
import os
import re
import resource
import signal
import struct
import sys
import types
import warnings
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

if __name__ == "__main__":
    # stages/__init__.py imports every stage: a child uses the package's folder without running it.
    sys.modules["stages"] = types.ModuleType("stages")
    sys.modules["stages"].__path__ = [str(Path(__file__).parents[1])]

from stages.images.exif import read_facts, read_orientation
from stages.images.first_picture import TooManyPixels, finish, open_first
from stages.images.formats import explain, find_format, name_foreign, plugin_of
from stages.images.frames import count_frames
from stages.images.shown import shown_strips, turned_size
from stages.screen.perceptual_hash import hash_grey
from stages.screen.publication import decide_publication

PR_SET_PDEATHSIG = 1  # linux/prctl.h
WORKING_BYTES = 64 << 20  # with less than this in addition to its libraries a child would refuse ordinary images
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # a detail that differs from run to run would not be reproducible

Facts = dict[str, Any]


def inspect(data: bytes, max_pixels: int, formats: tuple[str, ...]) -> Facts:
    """Return the fields of Decoded, or reason and detail.

    Raises:
        MemoryError: the image does not fit into the memory of the process.
    """
    facts = describe(data, max_pixels, formats)
    if "reason" in facts:
        return facts
    # Here, not in write_shards: an image that cannot be published must not survive in a cluster of duplicates.
    publication = decide_publication(data, facts, lambda other, name: describe(other, max_pixels, (name,)))
    return publication if "reason" in publication else facts | publication


def describe(data: bytes, max_pixels: int, formats: tuple[str, ...]) -> Facts:
    """Return the fields of Decoded that decoding finds, or reason and detail; raises as inspect."""
    # PIL raises its own error at twice this number, before plugins allocate their canvas.
    Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
    image_format = find_format(data)
    if image_format is None:
        return _refuse(*name_foreign(data))
    if image_format not in map(plugin_of, formats):
        return _refuse("format_not_allowed", image_format)
    try:
        return _describe(data, image_format, max_pixels, formats)
    except (TooManyPixels, Image.DecompressionBombError) as error:
        return _refuse("too_many_pixels", str(error))
    except MemoryError:
        raise
    # A catch-all does not lose a row here: whatever PIL raises is a property of the bytes, and is recorded.
    except Exception as error:
        if "out of memory" in str(error):
            raise MemoryError(str(error)) from error
        return _refuse(*explain(data, image_format, error))


def _refuse(reason: str, detail: str) -> Facts:
    return {"reason": reason, "detail": ADDRESS.sub("", detail)}


def _describe(data: bytes, image_format: str, max_pixels: int, formats: tuple[str, ...]) -> Facts:
    image = open_first(data, image_format, max_pixels)
    if image.format not in formats:
        return _refuse("format_not_allowed", str(image.format))
    found_format, stored_mode = image.format, image.mode
    image = finish(image, data)
    orientation = read_orientation(image)
    width, height = turned_size(image.size, orientation or 1)
    return {
        "width_px": width,
        "height_px": height,
        "format": found_format,
        "mode": stored_mode,
        "n_frames": count_frames(data, image),
        **hash_shown(image, orientation or 1),
        **read_facts(image),
        "exif_orientation": orientation,
    }


def hash_shown(image: Image.Image, orientation: int = 1) -> Facts:
    """Return the pixel digest, the perceptual hash and its detail, all of the picture as shown."""
    size = turned_size(image.size, orientation)
    digest = hashlib.sha256(f"{size[0]}x{size[1]}:".encode())
    grey = Image.new("L", (0, 0))
    for top, strip in shown_strips(image, orientation):
        digest.update(strip.tobytes())
        if strip.size == size:
            grey = strip.convert("L")
            break
        if not top:
            grey = Image.new("L", size)
        grey.paste(strip.convert("L"), (0, top))
    return {"pixel_sha256": digest.hexdigest(), **hash_grey(grey)}


def _send(output: BinaryIO, answer: Facts) -> None:
    text = json.dumps(answer).encode()
    output.write(struct.pack("<I", len(text)) + text)
    output.flush()


def _prepare(memory_bytes: int, parent: int) -> None:
    """Apply the limits and do the imports before the first image arrives."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before PR_SET_PDEATHSIG was set
        sys.exit("the parent process has ended")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and then ends this process
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    Image.init()
    hash_grey(Image.new("L", (64, 64)))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def main(limits: Facts, parent: int) -> None:
    """Decode one image after another until stdin ends."""
    images, output = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # output of libraries must not get into the answers
        os.dup2(null, standard)
    _prepare(limits["memory_bytes"], parent)
    try:
        bytearray(WORKING_BYTES)
    except MemoryError:
        _send(output, {"problem": f"not even {WORKING_BYTES} bytes are left for an image"})
        return
    _send(output, {"problem": ""})
    while header := images.read(8):
        data = images.read(struct.unpack("<Q", header)[0])
        # CPU time from here on: RLIMIT_CPU counts only seconds of the entire process.
        signal.setitimer(signal.ITIMER_PROF, limits["cpu_s"])
        try:
            answer = inspect(data, limits["max_pixels"], tuple(limits["formats"]))
        except MemoryError:
            answer = {"reason": "decoder_died", "detail": f"more than {limits['memory_bytes']} bytes of memory"}
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(output, answer)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]))
