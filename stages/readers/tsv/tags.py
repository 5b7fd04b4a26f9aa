"""Join the machine tags of CC3M's label file to rows by URL; the file is read once, in blocks.

A URL without a line, or with an unreadable one, gets no tags.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.fields import FIELD
from stages.readers.batch import Damage, SourceFileError
from stages.readers.formats.lines import BLOCK_BYTES, Lines, read_blocks

# Caption, URL, and comma lists of labels, of their ids in the knowledge graph, and of their probabilities.
_N_FIELDS, _URL_PLACE, _FIRST_LIST_PLACE = 5, 1, 2


class Tags(NamedTuple):
    """The tags of one image, in the order of the file, and one probability each."""

    tags: list[str]
    probs: list[float]


def join_tags(candidates: pa.Table, path: Path) -> tuple[pa.Table, list[Damage]]:
    """Return the rows with their tags, and the damaged stretches of the label file.

    Args:
        candidates: rows of the table candidate.
        path: the label file.
    """
    lost: list[Damage] = []
    found = read_tags(path, pc.unique(candidates["url"]), lost=lost)
    tags = [found.get(url) for url in candidates["url"].to_pylist()]
    values = {"machine_tags": [t and t.tags for t in tags], "machine_tag_probs": [t and t.probs for t in tags]}
    for name, column in values.items():
        place = candidates.schema.get_field_index(name)
        candidates = candidates.set_column(place, candidates.schema.field(name), pa.array(column, FIELD[name].type))
    return candidates, lost


def read_tags(
    path: Path, urls: pa.Array, block_bytes: int = BLOCK_BYTES, lost: list[Damage] | None = None
) -> dict[str, Tags]:
    """Return the tags of the URLs with a readable line; of several lines the first counts.

    Args:
        path: the label file.
        urls: URLs to find tags for.
        block_bytes: bytes to read at once.
        lost: receives damaged stretches: torn lines, or everything after a fault.
    """
    found: dict[str, Tags] = {}
    n_lines, lost = 0, [] if lost is None else lost
    try:
        for block in read_blocks(path, block_bytes):
            lines = Lines(block)
            rows = np.flatnonzero(lines.n_fields == _N_FIELDS)
            if not n_lines and not len(rows):
                raise SourceFileError(
                    f"{path}: expected {_N_FIELDS} fields a line (caption, URL, labels, ids, probabilities), found"
                    f" {lines.n_fields[0]} in the first; download it again, or remove it from SOURCES",
                    "wrong_columns",
                )
            if torn := _find_torn(lines, block.endswith(b"\n")):
                detail = f"torn line with {lines.n_fields[torn[0]]} fields, expected {_N_FIELDS}; download it again"
                lost.append(Damage(n_lines + torn[0], len(torn), "damaged_source", detail, path=path))
            is_wanted = pc.is_in(lines.field(_URL_PLACE, rows), value_set=urls)
            for row in rows[is_wanted.to_numpy(zero_copy_only=False)]:
                if parsed := _parse(lines.line(row)):
                    found.setdefault(*parsed)
            n_lines += len(lines)
    except SourceFileError as error:
        lost.append(Damage(n_lines, error.n_rows, error.reason, str(error), path=path))
    return found


def _find_torn(lines: Lines, is_ended: bool) -> list[int]:
    """Return the torn lines of a block, in which other lines may be lost."""
    torn = set(lines.with_zeros()) | set(map(int, np.flatnonzero(lines.n_fields > _N_FIELDS)))
    torn |= {row for row in lines.invalid_utf8() if lines.n_fields[row] != _N_FIELDS}
    if not is_ended and lines.n_fields[-1] != _N_FIELDS:
        torn.add(len(lines) - 1)
    return sorted(torn)


def _parse(line: bytes) -> tuple[str, Tags] | None:
    """Return URL and tags of a line; None if the lists cannot be read or differ in length."""
    try:
        fields = line.decode().split("\t")
        tags, ids, probs = (text.split(",") if text.strip() else [] for text in fields[_FIRST_LIST_PLACE:])
        numbers = [float(prob) for prob in probs]
    except ValueError:
        return None
    is_whole = len(tags) == len(ids) == len(numbers) and all(0 <= number <= 1 for number in numbers)
    return (fields[_URL_PLACE], Tags(tags, numbers)) if is_whole else None
