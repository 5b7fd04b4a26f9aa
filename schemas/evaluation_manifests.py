"""The models of manifests of evaluation sets: a user's own, and the layouts of published sets.

stages/contamination/sets.py lists their files.
"""

import re
from functools import lru_cache
from pathlib import Path

from pydantic import Field, field_validator

from schemas.manifest_files import MANIFESTS, Manifest, load_manifest

SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]{0,60}")


class Layout(Manifest):
    """The layout of an evaluation set's folder.

    Attributes:
        name: letters, digits, dots and underscores.
        pattern: glob of its images below the folder; files that do not match are not read.
        split_pattern: regular expression on the path below the folder, with a group `split`; "" if the folders train,
            val and test, or the captions file, name the splits.
        split_lists: regular expression on paths of text files below the folder, with a group `split`: they list the
            names of the split's images, one per line; "" if it has no such files.
        captions: its captions file, relative to the folder; "" if it has none. With an asterisk, the first file that
            matches in any case, if there is one.
        image_column: column of the captions file with the image's name or path.
        caption_column: its column with the caption.
        more_caption_columns: columns with further captions of the image, which may be missing.
        split_column: its column with the split; "" if it has none.
        licence: licence of the images.
    """

    name: str
    pattern: str = "**/*"
    split_pattern: str = ""
    split_lists: str = ""
    captions: str = ""
    image_column: str = "filename"
    caption_column: str = "caption"
    more_caption_columns: tuple[str, ...] = ()
    split_column: str = ""
    licence: str | None = None

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not SET_NAME.fullmatch(name):
            raise ValueError(f"{name!r}: a name has letters, digits, dots and underscores, at most 61")
        return name

    @field_validator("split_pattern", "split_lists")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        if pattern and "split" not in groups:
            raise ValueError(f"{pattern!r} has no group named split: write (?P<split>…)")
        return pattern


class EvaluationSet(Layout):
    """One evaluation set.

    Attributes:
        folder: folder of its images, relative to the manifest.
    """

    folder: str


class PublishedLayout(Layout):
    """The layout of a published evaluation set.

    Attributes:
        folders: names of its folder; only letters and digits count, in any case.
    """

    folders: tuple[str, ...] = Field(min_length=1)


class PublishedLayouts(Manifest):
    """The layouts of published evaluation sets, each a table `[[set]]`."""

    sets: tuple[PublishedLayout, ...] = Field(alias="set", min_length=1)


class EvaluationSets(Manifest):
    """The evaluation sets of a manifest, each a table `[[set]]`."""

    sets: tuple[EvaluationSet, ...] = Field(alias="set", min_length=1)

    @field_validator("sets")
    @classmethod
    def _check_names(cls, sets: tuple[EvaluationSet, ...]) -> tuple[EvaluationSet, ...]:
        names = [one.name for one in sets]
        if len(set(names)) != len(names):
            raise ValueError(f"expected each name once, found {names}")
        return sets


def load_evaluation_sets(path: Path) -> EvaluationSets:
    """Return the evaluation sets of a manifest. Raises ManifestError."""
    return load_manifest(path, EvaluationSets)


@lru_cache
def _published_layouts() -> dict[str, PublishedLayout]:
    found = load_manifest(MANIFESTS / "evaluation_sets.toml", PublishedLayouts)
    return {_letters(name): one for one in found.sets for name in one.folders}


def layout_of(folder: str) -> PublishedLayout | None:
    """Return the layout of the published evaluation set whose folder has this name, None if no published set has it."""
    return _published_layouts().get(_letters(folder))


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
