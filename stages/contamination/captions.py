"""Read the captions file of an evaluation set: which caption belongs to which image, and to which split.

Formats: CSV, TSV, JSON lines or lists with columns, or the JSON of RSICD's kind (`images` with `filename`, `split`,
`sentences`) or of NWPU-Captions' (a list of rows by class).
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.contamination.sets import NO_SPLIT, SetFolder, plain_split
from stages.contract import InputError

csv.field_size_limit(1 << 24)
Caption = tuple[str, str, str]  # name of the image, split or "", caption
# Normalises case, blanks and the signs at the end of a caption; the SQL is for DuckDB.
PLAIN_SQL = r"rtrim(trim(regexp_replace(lower({}), '\s+', ' ', 'g')), ' .!')"


def plain_caption(text: str) -> str:
    """Return a caption in lower case, with single blanks and without final full stops, like PLAIN_SQL."""
    return re.sub(r"\s+", " ", text.lower()).strip(" ").rstrip(" .!")


def read_captions(one: SetFolder) -> list[Caption]:
    """Return the captions of a set with their images and splits; empty if it has no captions file.

    Raises:
        InputError: the file is missing, cannot be read, or lacks a column.
    """
    path = one.captions
    if path is None:
        return []
    try:
        return [caption for row in _rows(one, path) for caption in _captions(one, row, path)]
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the captions {path} of {one.about.name} cannot be read: {error}") from error


def splits_of(captions: list[Caption]) -> dict[str, str]:
    """Return the split of each image for which the captions file states one."""
    return {image: split for image, split, _ in captions if split}


def _captions(one: SetFolder, row: dict[str, Any], path: Path) -> list[Caption]:
    about = one.about
    wanted = [about.image_column, about.caption_column, *filter(None, [about.split_column])]
    if missing := [name for name in wanted if row.get(name) is None]:
        raise InputError(f"the captions {path} of {about.name} lack {missing}; found {list(row)[:8]}")
    split_column = about.split_column or "split"
    named = str(row.get(split_column) or "")
    split = plain_split(named, f"{path}") if named and named != NO_SPLIT else ""
    further = [row[name] for name in about.more_caption_columns if row.get(name) is not None]
    return [(str(row[about.image_column]), split, str(text)) for text in (row[about.caption_column], *further)]


def _rows(one: SetFolder, path: Path) -> Iterator[dict[str, Any]]:
    text, ending = path.read_text(encoding="utf-8-sig"), path.suffix.lower()
    if ending == ".jsonl":
        yield from (json.loads(line) for line in text.split("\n") if line.strip())  # JSON may hold U+2028
    elif ending == ".json":
        yield from _of_json(one, json.loads(text))
    else:
        yield from csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if ending == ".tsv" else ",")


def _of_json(one: SetFolder, content: Any) -> Iterator[dict[str, Any]]:
    images = content
    if isinstance(content, dict):
        # Files in NWPU-Captions' form have a list for each class.
        by_class = [row for rows in content.values() if isinstance(rows, list) for row in rows]
        images = content.get("images", by_class)
    for image in images:
        if "sentences" not in image:
            yield image
            continue
        # Files in RSICD's form have "raw", whatever caption column the manifest names. An image without sentences has
        # an empty caption, since it has a split.
        for sentence in image["sentences"] or [{"raw": ""}]:
            yield {
                one.about.image_column: image.get("filename"),
                "split": image.get("split"),
                one.about.caption_column: sentence.get("raw"),
            }
