"""Read metadata of YFCC100M for the photos on a list, from files of lines or from SQLite.

Entry point: `stages/readers/readers.py`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from schemas.corpus import Corpus
from stages.contract import InputError
from stages.readers.batch import Choices, Counted, Damage, Read, SourceBatch, SourceFileError, SourceFiles
from stages.readers.formats.lines import BLOCK_BYTES, Lines, count_lines, read_blocks
from stages.readers.yfcc.photo_list import PhotoList, read_list
from stages.readers.yfcc.rows import N_COLUMNS, Rows, read_rows
from stages.readers.yfcc.sqlite import read_database

_PHOTO_PLACES = {N_COLUMNS: 0, N_COLUMNS + 2: 1}  # position of the photo id by the number of columns


def read(source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0) -> Iterator[Read]:
    """Yield the rows of the listed photos; of several rows of a photo the first counts.

    An unreadable file does not stop the others. Photos that are then not found in any file are its damaged stretch; if
    the other files have them all, nothing is lost. Lines of the list without a photo are damaged stretches of the list.

    Raises:
        InputError: there is not exactly one list, which selects the rows.
    """
    companion = _list_of(source, corpus)
    photos = read_list(companion)
    faults: list[tuple[SourceFileError, int, int]] = []
    for path, part in source.files:
        n_rows = 0
        try:
            for batch in (read_database if path.suffix == ".sql" else read_batches)(path, corpus, photos):
                n_rows = batch.first_row + len(batch.captions)
                yield replace(batch, part=part)
        except SourceFileError as error:
            faults.append((error, n_rows, part))
    if not faults:
        yield Counted("no_metadata_row", photos.n_missing)
    elif photos.n_missing:
        first, n_rows, part = faults[0]
        others = f"; {len(faults) - 1} more files cannot be read" if len(faults) > 1 else ""
        yield Damage(n_rows, photos.n_missing, first.reason, f"{first}{others}", part, first.path)
    list_part = 1 + max((part for _, part in source.files), default=0)  # rows of the list are not rows of the files
    for lost in photos.lost:
        yield Damage(lost.first_row, lost.n_rows, "damaged_source", lost.detail, list_part, companion)
    yield Counted("listed_again", photos.n_listed - len(photos.ids))


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of lines of the list; everything after a fault counts as one."""
    return count_lines(_list_of(source, corpus))


def lists_sample(source: SourceFiles, corpus: Corpus, native_id: str) -> bool:
    """Return whether the list names a photo, which may have no row. Raises InputError."""
    if not native_id.isdecimal():
        return False
    return len(read_list(_list_of(source, corpus)).find(np.array([int(native_id)], np.int64))) > 0


def _list_of(source: SourceFiles, corpus: Corpus) -> Path:
    if len(source.companions) != 1:
        raise InputError(
            f"{corpus.title}: expected the one list of its samples beside its source files, found"
            f" {len(source.companions)} (expected name: {corpus.companion_pattern}). {corpus.how_to_get}"
        )
    return source.companions[0]


def read_batches(
    path: Path, corpus: Corpus, wanted: PhotoList, block_bytes: int = BLOCK_BYTES
) -> Iterator[SourceBatch]:
    """Yield the rows of listed photos that were not found before, block by block.

    Raises:
        SourceFileError: the file cannot be read, or has neither 23 nor 25 columns.
    """
    first_row, n_columns, fault = 0, 0, ""
    for block in read_blocks(path, block_bytes):
        lines = Lines(block)
        n_columns = n_columns or _count_columns(path, lines)
        photos = _photos(lines, n_columns)
        if not block.endswith(b"\n") and lines.n_fields[-1] != n_columns:
            photos[-1] = -1  # the file is cut off, maybe inside the photo id
        fault = fault or _find_fault(lines, photos, n_columns, first_row)
        rows = wanted.claim(photos)
        yield replace(read_rows(lines, rows, photos[rows], rows + first_row, corpus, n_columns), first_row=first_row)
        first_row += len(lines)
    if fault:
        raise SourceFileError(f"{path}: {fault}; restore the file, or download it again", path=path)


def _find_fault(lines: Lines, photos: Rows, n_columns: int, first_row: int) -> str:
    """Return the fault of the first line that may hide a photo: no photo id, or a wrong number of fields."""
    is_bad = (photos < 0) | (lines.n_fields > max(_PHOTO_PLACES))
    bad = np.flatnonzero(is_bad & (lines.ends > lines.starts))
    if not len(bad):
        return ""
    return (
        f"expected a photo id and {n_columns} fields in line {first_row + bad[0] + 1}, found"
        f" {lines.line(bad[0])[:60]!r}"
    )


def _count_columns(path: Path, lines: Lines) -> int:
    known = lines.n_fields[np.isin(lines.n_fields, list(_PHOTO_PLACES))]
    if not len(known):
        raise SourceFileError(
            f"{path}: expected {' or '.join(map(str, _PHOTO_PLACES))} columns separated by tabs,"
            f" found {lines.n_fields[0]} in the first line; put YFCC100M's metadata there"
        )
    return int(known[0])


def _photos(lines: Lines, n_columns: int) -> Rows:
    """Return the photo id of each line, -1 if it has none; lines of the other layout have theirs in another column."""
    photos = lines.whole_numbers(_PHOTO_PLACES[n_columns], np.arange(len(lines)))
    for other, place in _PHOTO_PLACES.items():
        if other != n_columns:
            rows = np.flatnonzero(lines.n_fields == other)
            photos[rows] = lines.whole_numbers(place, rows)
    return photos
