"""The views of an image for training: unchanged, and with a frame or text on it.

A view depends only on the image and its name. Turned, cropped and reduced views do not help: docs/detector.md.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from flows.detector.examples import Example
from stages.contract import InputError
from stages.images.formats import find_format
from stages.images.not_decoded import NotDecoded
from stages.images.rgb import open_rgb

VIEWS = ("plain", "marked")
_MARKED_PX = 256
_WORDS = ("SAMPLE", "(c) images", "Figure 3", "preview only", "www.example.com", "2014-06-21")
_LONGEST_PX = 1024  # the networks see 224 px or less


def open_image(path: Path) -> Image.Image:
    """Return an image as shown, in RGB. Raises InputError if it cannot be decoded."""
    return read_image(path)[0]


def read_image(path: Path) -> tuple[Image.Image, str]:
    """Return an image as shown, in RGB, and the sha256 of its file. Raises InputError if it cannot be decoded."""
    try:
        data = path.read_bytes()
        if (image_format := find_format(data)) is None:
            raise InputError(f"{path} is not an image of a known format")
        return open_rgb(data, image_format, _LONGEST_PX), hashlib.sha256(data).hexdigest()
    except (OSError, NotDecoded) as error:
        raise InputError(f"{path} cannot be decoded: {error}") from error


@dataclass(frozen=True)
class ImagesRead:
    """Examples whose image can be decoded, with image and sha256 of the file; and why others cannot, with the path."""

    examples: list[Example]
    images: list[Image.Image]
    files: list[str]
    not_read: list[str]

    def take(self, numbers: Sequence[int]) -> ImagesRead:
        """Return some of the images."""
        return ImagesRead(
            [self.examples[n] for n in numbers],
            [self.images[n] for n in numbers],
            [self.files[n] for n in numbers],
            self.not_read,
        )


def read_images(examples: Sequence[Example]) -> ImagesRead:
    """Return the images of some examples, and the names of those that cannot be decoded."""
    found = ImagesRead([], [], [], [])
    for example in examples:
        try:
            image, file = read_image(example.path)
        except InputError as error:
            found.not_read.append(str(error))
            continue
        found.examples.append(example)
        found.images.append(image)
        found.files.append(file)
    return found


def view(image: Image.Image, name: str, seed: str) -> Image.Image:
    """Return one of `VIEWS` of an RGB image.

    Args:
        image: an RGB image of any size.
        name: name of the view.
        seed: seed of the drawing, the name of the file.
    """
    return _mark(image, random.Random(seed)) if name == "marked" else image


def _mark(image: Image.Image, draw: random.Random) -> Image.Image:
    """Return the image with a frame, a text or both, as in images published by agencies and papers."""
    scale = _MARKED_PX / min(image.size)
    marked = image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))))
    pen = ImageDraw.Draw(marked)
    kind = draw.choice(("frame", "text", "both"))
    if kind != "text":
        edge = (0, 0, marked.width - 1, marked.height - 1)
        pen.rectangle(edge, outline=draw.choice(("white", "black", "grey")), width=draw.randint(3, 20))
    if kind != "frame":
        for _ in range(draw.randint(1, 6)):
            place = draw.randrange(max(1, marked.width - 60)), draw.randrange(max(1, marked.height - 15))
            pen.text(place, draw.choice(_WORDS), fill=draw.choice(("white", "black", "yellow", "red")))
    return marked
