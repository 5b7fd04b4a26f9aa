"""MillionAID's test images: a flat folder of unlabelled pictures without metadata."""

import re

from schemas.corpus import Corpus
from stages.readers.labelled_records import CorpusFiles, FileRole, Files, Placer, Reading, Sample


def placer(corpus: Corpus, holding: CorpusFiles) -> Placer:
    """Return a function that places images: a partition has up to a thousand numbers."""
    code = corpus.code

    def place(path: str, found: re.Match[str]) -> FileRole:
        name = found["name"]
        return FileRole(f"{code}_{name}", f"{code}-{name[:5]}", role_of(path, found))

    return place


def role_of(path: str, found: re.Match[str]) -> str:
    """Return the role of a file: image."""
    return "image"


def scene_of(sample_id: str) -> str:
    """Return the sample as its own scene, because the location is unknown."""
    return sample_id


def is_sample_folder(name: str) -> bool:
    """Return False: no folder is a sample."""
    return False


def read(sample_id: str, files: Files, reading: Reading) -> Sample:
    """Return an image, without metadata."""
    image = files["image"]
    return Sample(image.path, image, sample_id)
