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
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

if __name__ == "__main__":
    # stages/__init__.py imports every stage: a child uses the package's folder without running it.
    sys.modules["stages"] = types.ModuleType("stages")
    sys.modules["stages"].__path__ = [str(Path(__file__).parents[1])]

from stages.images.exif import facts_of, orientation_of, read_tags
from stages.images.first_picture import TooManyPixels, finish, open_first
from stages.images.formats import explain, find_format, name_foreign, plugin_of
from stages.images.frames import count_frames
from stages.images.shown import raw_bytes, shown_strips, turned_size
from stages.screen.messages import receive_images, send_answer
from stages.screen.perceptual_hash import Values, hash_grey, hash_reduced, reduce_grey
from stages.screen.publication import decide_publication

PR_SET_PDEATHSIG = 1  # linux/prctl.h
WORKING_BYTES = 64 << 20  # with less than this in addition to its libraries a child would refuse ordinary images
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # a detail that differs from run to run would not be reproducible

KEPT_PIXELS = 1 << 17  # larger grey pictures are reduced at once: several of them need memory
LEAST_S = 1e-3  # of CPU time for a step of an image that has used up its own: 0 would mean no limit

Facts = dict[str, Any]
Grey = Image.Image | Values
Described = tuple[Facts, Grey | None, Image.Exif | None]


@dataclass
class Inspection:
    """One of several images that are inspected step by step, each step on all of them.

    Decoding evicts everything else from the processor's cache: taken one after the other, the other steps take half
    the time that they take between decodings.

    Attributes:
        data: the file.
        left_s: processor seconds that this image may still take.
        facts: fields of Decoded that were found; or reason and detail.
        picture: the opened picture, until it is decoded.
        grey: the grey picture, or, as reduce_grey returns it, the reduced one.
        exif: its EXIF block.
    """

    data: bytes
    left_s: float
    facts: Facts = field(default_factory=dict)
    picture: Image.Image | None = None
    grey: Grey | None = None
    exif: Image.Exif | None = None


def inspect_all(bodies: Sequence[bytes], limits: Facts) -> list[Facts]:
    """Return for each image the fields of Decoded, or reason and detail.

    Args:
        bodies: files, none of them empty.
        limits: the fields of DecodeLimits.
    """
    images = [Inspection(data, limits["cpu_s"]) for data in bodies]
    for step in (_open, _decode, _find_publication, _find_exif, _reduce):
        for image in images:
            _take(step, image, limits)
    sound = [image for image in images if "reason" not in image.facts]
    small = [image.grey for image in sound if isinstance(image.grey, np.ndarray)]
    for image, hashes in zip(sound, hash_reduced(np.stack(small)) if small else [], strict=True):
        image.facts |= hashes
    return [image.facts for image in images]


def _take(step: Callable[[Inspection, Facts], None], image: Inspection, limits: Facts) -> None:
    """Take a step within the CPU time that is left to the image; RLIMIT_CPU counts only seconds of all the process."""
    if "reason" in image.facts:
        return
    signal.setitimer(signal.ITIMER_PROF, image.left_s)
    try:
        step(image, limits)
    except MemoryError:
        image.facts = {"reason": "decoder_died", "detail": f"more than {limits['memory_bytes']} bytes of memory"}
    finally:
        image.left_s = max(signal.setitimer(signal.ITIMER_PROF, 0)[0], LEAST_S)


def _open(image: Inspection, limits: Facts) -> None:
    image.facts, image.picture = open_picture(image.data, limits["max_pixels"], limits["formats"])


def _decode(image: Inspection, limits: Facts) -> None:
    picture, image.picture = image.picture, None
    assert picture is not None
    image.facts, image.grey, image.exif = decode_picture(image.data, picture)


def _find_publication(image: Inspection, limits: Facts) -> None:
    # Here, not in write_shards: an image that cannot be published must not survive in a cluster of duplicates.
    found = decide_publication(
        image.data, image.facts, lambda other, name: describe(other, limits["max_pixels"], (name,))[0]
    )
    image.facts = found if "reason" in found else image.facts | found


def _reduce(image: Inspection, limits: Facts) -> None:
    if isinstance(image.grey, Image.Image):
        image.grey = reduce_grey(image.grey)


def _find_exif(image: Inspection, limits: Facts) -> None:
    image.facts |= facts_of(image.exif)


def describe(data: bytes, max_pixels: int, formats: Sequence[str]) -> Described:
    """Decode an image and return its facts, or reason and detail; its grey levels; and its EXIF block.

    Raises:
        MemoryError: the image does not fit into the memory of the process.
    """
    refusal, picture = open_picture(data, max_pixels, formats)
    return (refusal, None, None) if picture is None else decode_picture(data, picture)


def open_picture(data: bytes, max_pixels: int, formats: Sequence[str]) -> tuple[Facts, Image.Image | None]:
    """Return an opened image, not decoded yet, without facts; or reason and detail; raises as describe."""
    # PIL raises its own error at twice this number, before plugins allocate their canvas.
    Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
    image_format = find_format(data)
    if image_format is None:
        return _refuse(*name_foreign(data)), None
    if image_format not in map(plugin_of, formats):
        return _refuse("format_not_allowed", image_format), None
    try:
        picture = open_first(data, image_format, max_pixels)
    except Exception as error:
        return _explain(data, image_format, error), None
    if picture.format not in formats:
        return _refuse("format_not_allowed", str(picture.format)), None
    return {}, picture


def decode_picture(data: bytes, picture: Image.Image) -> Described:
    """Decode an image opened by open_picture and return what describe does; raises as describe."""
    try:
        return _describe(data, picture)
    except Exception as error:
        return _explain(data, plugin_of(str(picture.format)), error), None, None


def _explain(data: bytes, image_format: str, error: Exception) -> Facts:
    """Return reason and detail for an error of decoding.

    A catch-all does not lose a row here: whatever PIL raises is a property of the bytes, and is recorded.
    """
    if isinstance(error, TooManyPixels | Image.DecompressionBombError):
        return _refuse("too_many_pixels", str(error))
    if isinstance(error, MemoryError):
        raise error
    if "out of memory" in str(error):
        raise MemoryError(str(error)) from error
    return _refuse(*explain(data, image_format, error))


def _refuse(reason: str, detail: str) -> Facts:
    return {"reason": reason, "detail": ADDRESS.sub("", detail)}


def _describe(data: bytes, picture: Image.Image) -> Described:
    found_format, stored_mode = picture.format, picture.mode
    image = finish(picture, data)
    exif = read_tags(image)
    orientation = None if image.format == "TIFF" else orientation_of(exif)
    width, height = turned_size(image.size, orientation or 1)
    facts: Facts = {"width_px": width, "height_px": height, "format": found_format, "mode": stored_mode}
    facts["n_frames"] = count_frames(data, image)
    facts["pixel_sha256"], grey = digest_shown(image, orientation or 1)
    facts["exif_orientation"] = orientation
    return facts, grey, exif


def digest_shown(image: Image.Image, orientation: int = 1) -> tuple[str, Grey]:
    """Return the pixel digest, and grey levels for the perceptual hash, both of the picture as shown."""
    size = turned_size(image.size, orientation)
    digest = hashlib.sha256(f"{size[0]}x{size[1]}:".encode())
    grey = Image.new("L", (0, 0))
    for top, strip in shown_strips(image, orientation):
        for some in raw_bytes(strip):
            digest.update(some)
        if strip.size == size:
            grey = strip.convert("L")
            break
        if not top:
            grey = Image.new("L", size)
        grey.paste(strip.convert("L"), (0, top))
    return digest.hexdigest(), grey if grey.width * grey.height <= KEPT_PIXELS else reduce_grey(grey)


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
    """Decode one image after another until stdin ends, and answer after the last one that was sent together."""
    images, output = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # output of libraries must not get into the answers
        os.dup2(null, standard)
    _prepare(limits["memory_bytes"], parent)
    try:
        bytearray(WORKING_BYTES)
    except MemoryError:
        send_answer(output, {"problem": f"not even {WORKING_BYTES} bytes are left for an image"})
        return
    send_answer(output, {"problem": ""})
    bodies: list[bytes] = []
    for data, n_following in receive_images(images):
        bodies.append(data)
        if not n_following:
            send_answer(output, inspect_all(bodies, limits))
            bodies = []


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]))
