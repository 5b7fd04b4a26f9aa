"""MillionAID's test images: a flat folder of unlabelled pictures, with no metadata at all."""

import re

from schemas.corpora import Corpus
from stages.readers.labelled_records import FileRole, Files, Holding, Placer, Reading, Sample


def placer(corpus: Corpus, holding: Holding) -> Placer:
    """Return what places an image: partitions hold up to a thousand numbers."""

    def place(path: str, found: re.Match[str]) -> FileRole:
        return FileRole(f"{corpus.code}_{found['name']}", f"{corpus.code}-{found['name'][:5]}", role_of(path, found))

    return place


def role_of(path: str, found: re.Match[str]) -> str:
    """Return what a file is to its sample: its image."""
    return "image"


def scene_of(sample_id: str) -> str:
    """Return the sample: where it was taken is not known."""
    return sample_id


def is_sample_folder(name: str) -> bool:
    """Return whether a folder is one sample: none is."""
    return False


def read(sample_id: str, files: Files, reading: Reading) -> Sample:
    """Return an image; nothing is known of it."""
    image = files["image"]
    return Sample(image.path, image, sample_id)
