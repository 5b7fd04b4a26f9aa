"""Read metadata files of YFCC100M: the rows of the photos that a list names.

Not for other formats; `stages/sources/readers.py` is the entrance. Nothing is quoted, texts are URL-encoded.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.corpora import Corpus
from stages.contract import InputError
from stages.sources.batch import (
    Choices,
    Chosen,
    Counted,
    Malformed,
    Read,
    SourceBatch,
    SourceFileError,
    SourceFiles,
    describe_invalid_utf8,
    find_invalid_utf8,
    rows_table,
)
from stages.sources.encoded import strip_tags, url_decoded
from stages.sources.lines import BLOCK_BYTES, Lines, count_lines, read_blocks
from stages.sources.photo_facts import positions, times_taken

# Columns of the ten files without line number and hash; the whole file has those two around the photo id.
_TAKEN, _UPLOADED, _TITLE, _DESCRIPTION, _LONGITUDE, _LATITUDE, _URL, _LICENCE = 3, 4, 6, 7, 10, 11, 14, 15
_PHOTO_PLACES = {23: 0, 25: 1}
_N_LIST_FIELDS, _LIST_PHOTO_PLACE = 3, 1

_Rows = npt.NDArray[np.int64]


class PhotoList:
    """The photos of the subset, and which of them have been found: each belongs to the first row that has its id.

    Attributes:
        ids: photo ids, ascending, each once.
        n_listed: lines of the list.
    """

    def __init__(self, ids: _Rows) -> None:
        self.n_listed, self.ids = len(ids), np.sort(ids)
        # np.unique takes ten times the memory of the ids.
        is_again = self.ids[1:] == self.ids[:-1]
        if is_again.any():
            self.ids = np.delete(self.ids, np.flatnonzero(is_again))
        self._is_found = np.zeros(len(self.ids), bool)

    @property
    def n_missing(self) -> int:
        """The number of photos that no row was found for."""
        return int(np.count_nonzero(~self._is_found))

    def claim(self, photos: _Rows) -> _Rows:
        """Return the positions of photos that are on the list and were not found before; they are found now."""
        if not len(self.ids):
            return np.zeros(0, np.int64)
        places = np.minimum(np.searchsorted(self.ids, photos), len(self.ids) - 1)
        rows = np.flatnonzero((self.ids[places] == photos) & ~self._is_found[places])
        rows = np.sort(rows[np.unique(places[rows], return_index=True)[1]])
        self._is_found[places[rows]] = True
        return rows


def read(source: SourceFiles, corpus: Corpus, choices: Choices, from_row: int = 0) -> Iterator[Read]:
    """Yield the rows of the listed photos; where two files have a photo, the first counts.

    Raises:
        SourceFileError: a file cannot be read.
        InputError: there is not one list, or it cannot be read.
    """
    photos = read_list(_list_of(source, corpus))
    for path, part in source.files:
        for batch in read_batches(path, corpus, photos):
            yield replace(batch, part=part)
    yield Counted("no_metadata_row", photos.n_missing)
    yield Counted("listed_again", photos.n_listed - len(photos.ids))


def count(source: SourceFiles, corpus: Corpus) -> int:
    """Return the number of lines of the list."""
    return count_lines(_list_of(source, corpus))


def _list_of(source: SourceFiles, corpus: Corpus) -> Path:
    if len(source.companions) != 1:
        raise InputError(
            f"{corpus.title}: expected the one list of its samples beside its source files, found"
            f" {len(source.companions)} (expected name: {corpus.companion_pattern}). {corpus.how_to_get}"
        )
    return source.companions[0]


def read_list(path: Path) -> PhotoList:
    """Return the photos of a list: line number, photo id and hash a line.

    Raises:
        SourceFileError: the list cannot be read, or a line of it is none: which photo it means cannot be told.
    """
    found, n_lines = [np.zeros(0, np.int64)], 0
    for block in read_blocks(path):
        lines = Lines(block)
        photos = lines.whole_numbers(_LIST_PHOTO_PLACE, np.arange(len(lines)))
        for row in np.flatnonzero((lines.n_fields != _N_LIST_FIELDS) | (photos < 0))[:1]:
            raise SourceFileError(
                f"{path}: expected line number, photo id and hash in line {n_lines + row + 1},"
                f" found {lines.line(row)[:80]!r}; download the list again"
            )
        found.append(photos)
        n_lines += len(lines)
    return PhotoList(np.concatenate(found))


def read_batches(
    path: Path, corpus: Corpus, wanted: PhotoList, block_bytes: int = BLOCK_BYTES
) -> Iterator[SourceBatch]:
    """Yield the rows of a metadata file whose photos are wanted and were not found before, block by block.

    Raises:
        SourceFileError: the file cannot be read, or has neither 23 nor 25 columns.
    """
    first_row, n_columns = 0, 0
    for block in read_blocks(path, block_bytes):
        lines = Lines(block)
        n_columns = n_columns or _count_columns(path, lines)
        photos = _photos(lines, n_columns)
        rows = wanted.claim(photos)
        yield _read_rows(lines, rows, photos[rows], corpus, n_columns, first_row)
        first_row += len(lines)


def _count_columns(path: Path, lines: Lines) -> int:
    known = lines.n_fields[np.isin(lines.n_fields, list(_PHOTO_PLACES))]
    if not len(known):
        raise SourceFileError(
            f"{path}: expected {' or '.join(map(str, _PHOTO_PLACES))} columns parted by tabs,"
            f" found {lines.n_fields[0]} in the first line; put YFCC100M's metadata there"
        )
    return int(known[0])


def _photos(lines: Lines, n_columns: int) -> _Rows:
    """Return the photo id of each line, -1 where it has none; a line of the other layout keeps its own place."""
    photos = lines.whole_numbers(_PHOTO_PLACES[n_columns], np.arange(len(lines)))
    for other, place in _PHOTO_PLACES.items():
        if other != n_columns:
            rows = np.flatnonzero(lines.n_fields == other)
            photos[rows] = lines.whole_numbers(place, rows)
    return photos


def _read_rows(lines: Lines, rows: _Rows, photos: _Rows, corpus: Corpus, n_columns: int, first_row: int) -> SourceBatch:
    faults = _find_malformed(lines, rows, n_columns)
    is_bad = np.zeros(len(rows), bool)
    is_bad[list(faults)] = True
    shift = n_columns - min(_PHOTO_PLACES)
    published = _captions(lines, rows[~is_bad], shift).take(pa.array(np.cumsum(~is_bad) - 1, mask=is_bad))
    searched = url_decoded(published)

    def choose(indices: pa.Array) -> Chosen:
        chosen = indices.to_numpy()
        columns = {
            "source_row": pa.array(rows[chosen] + first_row, pa.int64()),
            "source_caption": published.take(indices),
            "searched_text": searched.take(indices),
            "plain_caption": strip_tags(searched.take(indices)),
            "native_id": pa.array(photos[chosen]).cast(pa.string()),
            **_facts(lines, rows[chosen], corpus, shift),
        }
        return Chosen(rows_table(columns), ())

    malformed = (Malformed(int(rows[i]) + first_row, *faults[i], str(photos[i])) for i in sorted(faults))
    return SourceBatch(first_row, searched, tuple(malformed), choose)


def _find_malformed(lines: Lines, rows: _Rows, n_columns: int) -> dict[int, tuple[str, str]]:
    """Return reason and detail by position in rows; encoding comes before the field count."""
    whole = lines.lines(rows)
    faults = {i: ("invalid_utf8", describe_invalid_utf8(lines.line(rows[i]))) for i in find_invalid_utf8(whole)}
    for i in map(int, np.flatnonzero(lines.n_fields[rows] != n_columns)):
        faults.setdefault(i, ("wrong_field_count", f"{lines.n_fields[rows[i]]} fields, expected {n_columns}"))
    return faults


def _captions(lines: Lines, rows: _Rows, shift: int) -> pa.Array:
    """Return title and description with a blank between them, as stored; one alone where the other is empty."""
    title, description = lines.field(_TITLE + shift, rows), lines.field(_DESCRIPTION + shift, rows)
    has_both = pc.and_(pc.greater(pc.binary_length(title), 0), pc.greater(pc.binary_length(description), 0))
    blank = pc.if_else(has_both, " ", "")
    return pc.binary_join_element_wise(title, blank, description, "")


def _facts(lines: Lines, rows: _Rows, corpus: Corpus, shift: int) -> dict[str, pa.Array]:
    licence = lines.field(_LICENCE + shift, rows)
    is_marker = pc.is_in(licence, value_set=pa.array(corpus.null_markers, pa.string()))
    latitude_deg, longitude_deg = positions(
        lines.field(_LATITUDE + shift, rows).to_pylist(), lines.field(_LONGITUDE + shift, rows).to_pylist()
    )
    taken = times_taken(lines.field(_TAKEN + shift, rows).to_pylist(), lines.whole_numbers(_UPLOADED + shift, rows))
    return {
        "url": lines.field(_URL + shift, rows),
        "image_licence": pc.if_else(is_marker, pa.scalar(None, pa.string()), licence),
        "stated_latitude_deg": pa.array(latitude_deg, pa.float64()),
        "stated_longitude_deg": pa.array(longitude_deg, pa.float64()),
        "stated_datetime": pa.array(taken, pa.string()),
    }
