"""The script that decodes images for stages/screen/decoding.py in a process with limits; reads images from stdin.

Stages must not import it, and it imports no package of theirs, which would slow the start of every child.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import types
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

if __name__ == "__main__":
    # stages/__init__.py imports every stage: a child uses the package's folder without running it.
    sys.modules["stages"] = types.ModuleType("stages")
    sys.modules["stages"].__path__ = [str(Path(__file__).parents[1])]

from stages.images.formats import find_format
from stages.screen.describing import Facts, Grey, decode_picture, describe, describe_jpeg, open_picture
from stages.screen.messages import receive_images, send_answer
from stages.screen.perceptual_hash import hash_grey, hash_reduced, reduce_grey
from stages.screen.plain_jpeg import PlainJpeg, open_plain
from stages.screen.publication import decide_publication

PR_SET_PDEATHSIG = 1  # linux/prctl.h
WORKING_BYTES = 64 << 20  # with less than this in addition to its libraries a child would refuse ordinary images
LEAST_S = 1e-3  # of CPU time for a step of an image that has used up its own: 0 would mean no limit


@dataclass
class Inspection:
    """One of several images that are inspected step by step, each step on all of them.

    Decoding evicts everything else from the processor's cache: taken one after the other, the other steps take half
    the time that they take between decodings.

    Attributes:
        data: the file.
        left_s: processor seconds that this image may still take.
        facts: fields of Decoded that were found; or reason and detail.
        jpeg: the opened picture if it is a plain JPEG.
        picture: any other opened picture, until it is decoded.
        grey: the grey picture, or, as reduce_grey returns it, the reduced one.
    """

    data: bytes
    left_s: float
    facts: Facts = field(default_factory=dict)
    jpeg: PlainJpeg | None = None
    picture: Image.Image | None = None
    grey: Grey | None = None


def inspect_all(bodies: Sequence[bytes], limits: Facts) -> list[Facts]:
    """Return for each image the fields of Decoded, or reason and detail.

    Args:
        bodies: files, none of them empty.
        limits: the fields of DecodeLimits.
    """
    images = [Inspection(data, limits["cpu_s"]) for data in bodies]
    for step in (_open, _decode, _find_publication, _reduce):
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
    if "JPEG" in limits["formats"] and find_format(image.data) == "JPEG":
        image.jpeg = open_plain(image.data, limits["max_pixels"])
    if image.jpeg is None:
        _open_by_pillow(image, limits)


def _open_by_pillow(image: Inspection, limits: Facts) -> None:
    image.facts, image.picture = open_picture(image.data, limits["max_pixels"], limits["formats"])


def _decode(image: Inspection, limits: Facts) -> None:
    if image.jpeg is not None:
        found = describe_jpeg(image.data, image.jpeg)
        if found is not None:
            image.facts, image.grey = found
            return
        image.jpeg = None
        _open_by_pillow(image, limits)
    picture, image.picture = image.picture, None
    if picture is not None:
        image.facts, image.grey = decode_picture(image.data, picture)


def _find_publication(image: Inspection, limits: Facts) -> None:
    # Here, not in write_shards: an image that cannot be published must not survive in a cluster of duplicates.
    found = decide_publication(
        image.data,
        image.facts,
        lambda other, name: describe(other, limits["max_pixels"], (name,))[0],
        image.jpeg.segments if image.jpeg else None,
    )
    image.facts = found if "reason" in found else image.facts | found


def _reduce(image: Inspection, limits: Facts) -> None:
    if isinstance(image.grey, Image.Image):
        image.grey = reduce_grey(image.grey)


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
