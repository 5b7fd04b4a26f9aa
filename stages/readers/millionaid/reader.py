"""MillionAID's test images: a flat folder of unlabelled pictures, with no metadata at all."""

import re

from stages.readers.labelled_records import FileRole, Files, Sample


def place(path: str, found: re.Match[str]) -> FileRole:
    """Return where an image belongs: partitions hold up to a thousand numbers."""
    return FileRole(f"millionaid_{found['name']}", f"millionaid-{found['name'][:5]}", "image")


def read(sample_id: str, files: Files) -> Sample:
    """Return an image; nothing is known of it."""
    image = files["image"]
    return Sample(image.path, image, sample_id)
