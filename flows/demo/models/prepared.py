"""Models asked about images as they are: each prepares what it is then given."""

from collections.abc import Sequence

from PIL import Image

from stages.models.protocols import Captioner, Detector, DrawSettings, Floats, ImageTextScorer


def features(scorer: ImageTextScorer, images: Sequence[Image.Image]) -> Floats:
    """Return the scorer's features of images."""
    return scorer.image_features([scorer.prepare(image) for image in images])


def probabilities(detector: Detector, images: Sequence[Image.Image]) -> Floats:
    """Return the detector's probabilities of images."""
    return detector.probabilities([detector.prepare(image) for image in images])


def draw(
    captioner: Captioner, images: Sequence[Image.Image], seeds: Sequence[int], settings: DrawSettings
) -> list[list[str]]:
    """Return the captions that a captioner draws for images."""
    return captioner.draw([captioner.prepare(image) for image in images], seeds, settings)
