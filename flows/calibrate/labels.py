"""Read a user's image labels from a folder, or from a table of names or paths.

Not for scoring them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.detector.examples import Example, find_examples, find_file, is_image_name
from flows.detector.manifest import LABELS
from stages.contract import InputError

NAMES = ("sample_id", "image_id", "image", "path", "id")
_WANTED = (
    f"expected a folder with {LABELS[0]}/ and {LABELS[1]}/, or a CSV or parquet table with the columns"
    f" {', '.join(NAMES[:-1])} or {NAMES[-1]}, and label ({' or '.join(LABELS)})"
)


@dataclass(frozen=True)
class Labels:
    """Labels of images.

    Attributes:
        is_rs: whether an image is remote sensing, by sample_id or image_id of a build.
        examples: labelled images in files.
    """

    is_rs: Mapping[str, bool] = field(default_factory=dict)
    examples: Sequence[Example] = ()

    @property
    def missing(self) -> Sequence[str]:
        """Return the names that look like files: they end like an image's."""
        return [name for name in self.is_rs if is_image_name(Path(name))]


def read_labels(path: Path) -> Labels:
    """Return the labels of a folder, or of a table.

    A name in a table is a file, relative to the table's folder or the one above, if that exists; else a sample_id or
    image_id.

    Raises:
        InputError: a label has no image or is unknown, or a name has both labels.
    """
    if path.is_dir() or path.suffix == ".toml":
        return Labels(examples=find_examples(path))
    by_name: dict[str, bool] = {}
    for number, (name, label) in enumerate(_read(path), 1):
        if label not in LABELS:
            raise InputError(f"{path}, row {number}: expected the label {' or '.join(LABELS)}, found {label!r}")
        if by_name.setdefault(name, label == LABELS[0]) != (label == LABELS[0]):
            raise InputError(f"{path}, row {number}: {name} has both labels. Keep one")
    if len(set(by_name.values())) < len(LABELS):
        raise InputError(f"{path} does not label images of both kinds: {_WANTED}")
    files = {name: file for name in by_name if name and (file := find_file(path, name))}
    examples = [
        Example(file, LABELS[0] if by_name[name] else LABELS[1], file.parent.name, file.parent.name)
        for name, file in files.items()
    ]
    return Labels({name: is_rs for name, is_rs in by_name.items() if name not in files}, examples)


def _read(path: Path) -> list[tuple[str, str]]:
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            rows = pq.read_table(path).to_pylist()
        else:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                rows = list(csv.DictReader(lines))
    except (OSError, ValueError) as error:
        raise InputError(f"LABELS={path} cannot be read ({error}): {_WANTED}") from error
    columns = list(rows[0]) if rows else []
    name = next((name for name in NAMES if name in columns), None)
    if name is None or "label" not in columns:
        raise InputError(f"{path} has the columns {', '.join(map(str, columns)) or 'none'}: {_WANTED}")
    return [(str(row[name] or "").strip(), str(row["label"] or "").strip()) for row in rows]
