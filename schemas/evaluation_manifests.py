"""The model of a manifest of evaluation sets, which a user writes; stages/contamination/sets.py lists their files."""

import re
from pathlib import Path

from pydantic import Field, field_validator

from schemas.manifest_files import Manifest, load_manifest

SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]{0,60}")


class EvaluationSet(Manifest):
    """One evaluation set.

    Attributes:
        name: letters, digits, dots and underscores.
        folder: folder of its images, relative to the manifest.
        pattern: glob of its images below the folder; files that do not match are not read.
        split_pattern: regular expression on the path below the folder, with a group `split`; "" if the folders train,
            val and test, or the captions file, name the splits.
        captions: its captions file, relative to the folder; "" if it has none.
        image_column: column of the captions file with the image's name or path.
        caption_column: its column with the caption.
        split_column: its column with the split; "" if it has none.
        licence: licence of the images.
    """

    name: str
    folder: str
    pattern: str = "**/*"
    split_pattern: str = ""
    captions: str = ""
    image_column: str = "filename"
    caption_column: str = "caption"
    split_column: str = ""
    licence: str | None = None

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not SET_NAME.fullmatch(name):
            raise ValueError(f"{name!r}: a name has letters, digits, dots and underscores, at most 61")
        return name

    @field_validator("split_pattern")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        if pattern and "split" not in groups:
            raise ValueError(f"{pattern!r} has no group named split: write (?P<split>…)")
        return pattern


class EvaluationSets(Manifest):
    """The evaluation sets of a manifest, each a table `[[set]]`."""

    sets: tuple[EvaluationSet, ...] = Field(alias="set", min_length=1)

    @field_validator("sets")
    @classmethod
    def _check_names(cls, sets: tuple[EvaluationSet, ...]) -> tuple[EvaluationSet, ...]:
        names = [one.name for one in sets]
        if len(set(names)) != len(names):
            raise ValueError(f"each name once, found {names}")
        return sets


def load_evaluation_sets(path: Path) -> EvaluationSets:
    """Return the evaluation sets of a manifest. Raises ManifestError."""
    return load_manifest(path, EvaluationSets)
