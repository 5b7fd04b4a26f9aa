"""Finds the tars and metafiles of a dataset folder, for any layouts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flows.ask.dataset_folder import File

_TAR = re.compile(r"(?:(?P<layout>[a-z0-9_]+)/)?(?P<split>train|val)/(?P<half>[a-z0-9]+)-(?P=split)-\d+\.tar")
_METADATA = re.compile(r"metafiles/(?P<half>[a-z0-9]+)_metadata\.parquet")

CARD, FACTS = "README.md", "build.json"
LATEX = {
    "pub11_funnel": "Rows of each web corpus after each step, beside the published figures.",
    "rs3": "Images of each labelled corpus after each step, beside the published figures.",
}
PUBLISHED = "rs5m"  # the layout without its own folder


@dataclass(frozen=True)
class Tars:
    """The tars of one layout, half and split."""

    layout: str
    half: str
    split: str
    files: tuple[File, ...]

    @property
    def pattern(self) -> str:
        """Glob of the tars' paths in the dataset folder."""
        folder = "" if self.layout == PUBLISHED else f"{self.layout}/"
        return f"{folder}{self.split}/{self.half}-{self.split}-*.tar"


def find_tars(files: Sequence[File]) -> list[Tars]:
    """Return the tars among the files by layout, half and split, the published layout first."""
    found: dict[tuple[str, str, str], list[File]] = {}
    for file in sorted(files, key=lambda file: file.name):
        if match := _TAR.fullmatch(file.name):
            found.setdefault((match["layout"] or PUBLISHED, match["half"], match["split"]), []).append(file)
    ordered = sorted(found.items(), key=lambda item: (item[0][0] != PUBLISHED, item[0]))
    return [Tars(*key, tuple(group)) for key, group in ordered]


def find_metadata(files: Sequence[File]) -> Mapping[str, File]:
    """Return the metafile of each half."""
    found = ((_METADATA.fullmatch(file.name), file) for file in sorted(files, key=lambda file: file.name))
    return {match["half"]: file for match, file in found if match}
