"""Calls of the models on PIL images: prepare, then predict."""

from collections.abc import Sequence

from PIL import Image

from stages.models.protocols import Captioner, Detector, DrawSettings, Floats, ImageTextScorer


def features(scorer: ImageTextScorer, images: Sequence[Image.Image]) -> Floats:
    """Return the scorer's features, one row per image."""
    return scorer.image_features([scorer.prepare(image) for image in images])


def probabilities(detector: Detector, images: Sequence[Image.Image]) -> Floats:
    """Return the detector's probability per image, in [0, 1]."""
    return detector.probabilities([detector.prepare(image) for image in images])


def draw(
    captioner: Captioner, images: Sequence[Image.Image], seeds: Sequence[int], settings: DrawSettings
) -> list[list[str]]:
    """Return the candidate captions of each image, drawn with its seed."""
    return captioner.draw([captioner.prepare(image) for image in images], seeds, settings)
