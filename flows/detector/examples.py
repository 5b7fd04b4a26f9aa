"""Finds the images to train a detector on, in folders or a table, with their source, class and group.

Not for opening them.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stages.contract import InputError

Label = Literal["rs", "other"]
LABELS: tuple[Label, Label] = ("rs", "other")
DRAWN = "drawn"  # source of the weather pictures that are drawn for training
TABLE = "labels.csv"
_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
_NUMBER = re.compile(r"[-_ ]*\d+$")
_LAYOUT = (
    "expected a folder with rs/ and other/ (a folder a source in each), a folder with labels.csv (columns path, label"
    " and, where known, source, class, group), or a TOML file with [[folder]] tables of path, label and, where wanted,"
    " source and n"
)


@dataclass(frozen=True, order=True)
class Example:
    """An image with its label and origin.

    Attributes:
        path: path of the file.
        label: "rs" for remote sensing, or "other".
        source: where it comes from; sources look different, so whole sources are left out to measure.
        kind: its class in the source, such as Airport.
        group: images of one group, such as a site, whatever their source, stay on one side of a split; "" if none is
            stated.
    """

    path: Path
    label: Label
    source: str
    kind: str
    group: str = ""

    @property
    def is_rs(self) -> bool:
        """Whether the image is remote sensing."""
        return self.label == "rs"

    @property
    def name(self) -> str:
        """Source and class, for tables."""
        return f"{self.source}/{self.kind}"


def find_examples(data: Path) -> list[Example]:
    """Return all images of a folder, a table or a manifest of folders, sorted by path.

    Raises:
        InputError: a label has no images, or the table or manifest cannot be read.
    """
    if data.is_file() and data.suffix == ".toml":
        found = list(_of_manifest(data))
    elif data.is_file() or (data / TABLE).is_file():
        found = list(_of_table(data if data.is_file() else data / TABLE))
    else:
        if missing := [folder for folder in (data, *(data / label for label in LABELS)) if not folder.is_dir()]:
            raise InputError(f"there is no folder {missing[0]}: {_LAYOUT}")
        found = [example for label in LABELS for example in _of_folder(data / label, label)]
    for label in LABELS:
        if not any(example.label == label for example in found):
            raise InputError(f"{data} has no images of label {label}: {_LAYOUT}")
    return sorted(found)


def _of_folder(folder: Path, label: Label, source: str = "") -> Iterator[Example]:
    """Yield the images of a folder: its subfolders are sources, theirs are classes, or else names without numbers."""
    for path in list_files(folder):
        if is_image_name(path):
            above = path.relative_to(folder).parts[:-1]
            kind = above[-1] if len(above) > 1 or (source and above) else _NUMBER.sub("", path.stem) or path.stem
            yield Example(path, label, source or (above[0] if above else folder.name), kind)


def is_image_name(path: Path) -> bool:
    """Return whether a file's ending is one of an image."""
    return path.suffix.lower() in _ENDINGS


def list_files(folder: Path) -> list[Path]:
    """Return all files below a folder, sorted; links to folders are followed, and each folder is entered once."""
    found: list[Path] = []
    entered: set[str] = set()
    for root, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(root)
        if real in entered:
            folders.clear()  # a link to a folder seen before, such as one above
            continue
        entered.add(real)
        folders.sort()
        found += [path for name in files if (path := Path(root, name)).is_file() or path.is_symlink()]
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be listed: {error.strerror}") from error


def count_passed_over(data: Path) -> int:
    """Return the number of files below a folder's rs/ and other/ whose ending is none of an image."""
    if not data.is_dir() or (data / TABLE).is_file():
        return 0
    folders = [data / label for label in LABELS if (data / label).is_dir()]
    return sum(not is_image_name(path) for folder in folders for path in list_files(folder))


def _of_table(table: Path) -> Iterator[Example]:
    with table.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        if missing := {"path", "label"} - set(rows.fieldnames or ()):
            raise InputError(f"{table} has no column {', '.join(sorted(missing))}: {_LAYOUT}")
        for row in rows:
            if row["label"] not in LABELS:
                raise InputError(f"{table}, line {rows.line_num}: expected label rs or other, found {row['label']!r}")
            if (path := find_file(table, row["path"])) is None:
                raise InputError(f"{table}, line {rows.line_num}: there is no file {row['path']}")
            source = row.get("source") or path.parent.name
            kind = row.get("class") or _NUMBER.sub("", path.stem)
            yield Example(path, "rs" if row["label"] == "rs" else "other", source, kind, row.get("group") or "")


def find_file(table: Path, name: str) -> Path | None:
    """Return the file that a table names, relative to its folder or the one above it; None if there is none."""
    return next((path for folder in (table.parent, table.parent.parent) if (path := folder / name).is_file()), None)


def _of_manifest(path: Path) -> Iterator[Example]:
    """Yield the images of each folder of a manifest; with `n`, that many, chosen by a hash of their names."""
    try:
        folders = tomllib.loads(path.read_text(encoding="utf-8"))["folder"]
        for facts in folders:
            folder, label = path.parent / facts["path"], facts["label"]
            if label not in LABELS or not folder.is_dir():
                raise InputError(f"{path}: expected a folder and label rs or other, found {folder} and {label!r}")
            found = list(_of_folder(folder, label, facts.get("source", folder.name)))
            order = sorted(found, key=lambda example: hashlib.sha256(str(example.path.name).encode()).digest())
            n = facts.get("n", len(found))
            if not isinstance(n, int) or isinstance(n, bool) or n < 1:
                raise InputError(
                    f"{path}, [[folder]] with path {facts['path']!r}: expected n to be a whole number from 1,"
                    f" found {n!r}"
                )
            yield from order[:n]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): {_LAYOUT}") from error
