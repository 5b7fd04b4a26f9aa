"""Cut copies are found, and different images are not."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from flows.detector.copies import CopyFinder


def draw(seed: int) -> Image.Image:
    """Return a picture of blobs of many sizes, full of keypoints."""
    noise = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
    return Image.fromarray(noise).resize((400, 400), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))


@pytest.mark.parametrize("angle", [0, 90])
def test_cut_copies_are_found_turned_or_not(angle: int) -> None:
    images = [draw(seed) for seed in range(8)]
    finder = CopyFinder()
    finder.add(images[:5])
    finder.add([*images[5:], images[3].crop((28, 10, 390, 380)).rotate(angle, expand=True)])
    assert finder.pairs().tolist() == [[3, 8]]


def test_images_without_keypoints_are_no_copies() -> None:
    finder = CopyFinder()
    assert finder.pairs().shape == (0, 2)
    finder.add([Image.new("RGB", (8, 8), colour) for colour in ("red", "red", "blue")])
    assert finder.pairs().shape == (0, 2)
