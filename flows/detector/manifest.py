"""Reads a manifest of folders: a TOML file that names folders of images with their label and source.

Not for finding the images in them.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stages.contract import InputError

Label = Literal["rs", "other"]
LABELS: tuple[Label, Label] = ("rs", "other")
LAYOUT = (
    "expected a folder with rs/ and other/ (a folder a source in each), a folder with labels.csv (columns path, label"
    " and, where known, source, class, group, original), or a TOML file with [[folder]] tables of path, label and,"
    " where wanted, source and n"
)
_KEYS = ("path", "label", "source", "n")
# Names of folders that say nothing of the source.
_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "images", "image", *LABELS}


@dataclass(frozen=True)
class ManifestFolder:
    """A folder of images.

    Attributes:
        path: path of the folder.
        label: label of its images.
        source: name of their source.
        n: largest number of images to take; None for all.
    """

    path: Path
    label: Label
    source: str
    n: int | None


def read_folders(manifest: Path) -> list[ManifestFolder]:
    """Return the folders that a manifest lists.

    Raises:
        InputError: it cannot be read, has unknown keys or wrong values, or names a folder that is missing.
    """
    try:
        content = tomllib.loads(manifest.read_text(encoding="utf-8"))
        tables = content["folder"]
        if unknown := sorted(set(content) - {"folder"}):
            raise InputError(f"{manifest} has the unknown key {unknown[0]!r}: {LAYOUT}")
        for table in tables:
            _check(table, manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{manifest} cannot be read ({error}): {LAYOUT}") from error
    names = name_sources([str(table["path"]) for table in tables])
    return [
        ManifestFolder(manifest.parent / table["path"], table["label"], table.get("source", name), table.get("n"))
        for table, name in zip(tables, names, strict=True)
    ]


def name_sources(paths: Sequence[str]) -> list[str]:
    """Return a name for each folder: its last name, and as many above it as tell the source and other folders apart."""
    parts = [Path(path).parts for path in paths]
    depths = [_depth(names) for names in parts]
    while True:
        names = ["/".join(one[-depth:]).strip("/") for one, depth in zip(parts, depths, strict=True)]
        known = Counter({name: len({p for p, n in zip(parts, names, strict=True) if n == name}) for name in names})
        longer = [
            min(len(one), depth + (known[name] > 1)) for one, depth, name in zip(parts, depths, names, strict=True)
        ]
        if longer == depths:
            return names
        depths = longer


def _depth(names: Sequence[str]) -> int:
    """Return the number of last names of a path that hold one that is no split."""
    found = next((n for n, name in enumerate(reversed(names), 1) if name.lower() not in _SPLITS), len(names))
    return max(1, found)


def _check(table: dict[str, Any], manifest: Path) -> None:
    where = f"{manifest}, [[folder]] with path {table['path']!r}"
    if unknown := sorted(set(table) - set(_KEYS)):
        raise InputError(f"{where}: unknown key {unknown[0]!r}, expected {', '.join(_KEYS)}")
    folder, label = manifest.parent / table["path"], table["label"]
    if label not in LABELS or not folder.is_dir():
        raise InputError(f"{manifest}: expected a folder and label rs or other, found {folder} and {label!r}")
    source, n = table.get("source", "-"), table.get("n", 1)
    if not isinstance(source, str) or not source.strip():
        raise InputError(f"{where}: expected source to be a text, found {source!r}")
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise InputError(f"{where}: expected n to be a whole number from 1, found {n!r}")
