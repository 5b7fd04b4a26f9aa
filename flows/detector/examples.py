"""Finds the images to train a detector on, in folders or a table, with their source, class and group.

Not for opening them.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flows.detector.manifest import LABELS, LAYOUT, Label, ManifestFolder, read_folders
from stages.contract import InputError

DRAWN = "drawn"  # source of the weather pictures that are drawn for training
TABLE = "labels.csv"
_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
_NUMBER = re.compile(r"[-_ ]*\d+$")


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
        found = [example for folder in read_folders(data) for example in _take(folder)]
    elif data.is_file() or (data / TABLE).is_file():
        found = list(_of_table(data if data.is_file() else data / TABLE))
    else:
        if missing := [folder for folder in (data, *(data / label for label in LABELS)) if not folder.is_dir()]:
            raise InputError(f"there is no folder {missing[0]}: {LAYOUT}")
        found = [example for label in LABELS for example in _of_folder(data / label, label)]
    for label in LABELS:
        if not any(example.label == label for example in found):
            raise InputError(f"{data} has no images of label {label}: {LAYOUT}")
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
            raise InputError(f"{table} has no column {', '.join(sorted(missing))}: {LAYOUT}")
        for row in rows:
            if row["label"] not in LABELS:
                raise InputError(f"{table}, line {rows.line_num}: expected label rs or other, found {row['label']!r}")
            if (path := find_file(table, row["path"])) is None:
                raise InputError(f"{table}, line {rows.line_num}: there is no file {row['path']}")
            source = row.get("source") or path.parent.name
            kind = row.get("class") or _NUMBER.sub("", path.stem)
            group = row.get("group") or row.get("original") or ""  # an original: an aerial view and its map
            yield Example(path, "rs" if row["label"] == "rs" else "other", source, kind, group)


def find_file(table: Path, name: str) -> Path | None:
    """Return the file that a table names, relative to its folder or the one above it; None if there is none."""
    return next((path for folder in (table.parent, table.parent.parent) if (path := folder / name).is_file()), None)


def _take(folder: ManifestFolder) -> list[Example]:
    """Return the images of a manifest's folder; with `n`, that many, chosen by a hash of their names."""
    found = list(_of_folder(folder.path, folder.label, folder.source))
    order = sorted(found, key=lambda example: hashlib.sha256(example.path.name.encode()).digest())
    return order[: folder.n]


def find_short_folders(data: Path) -> list[str]:
    """Return which folders of a manifest have fewer images than their `n`, as "PATH has 40 of 2,500 images"."""
    if not data.is_file() or data.suffix != ".toml":
        return []
    return [
        f"{folder.path} has {n:,} of {folder.n:,} images"
        for folder in read_folders(data)
        if folder.n and (n := sum(map(is_image_name, list_files(folder.path)))) < folder.n
    ]
