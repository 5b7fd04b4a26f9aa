"""The list of YFCC15M's photos, and which of them have been found.

Their rows are read in `stages/readers/yfcc/reader.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stages.readers.batch import SourceFileError
from stages.readers.formats.lines import Lines, read_blocks

_N_LIST_FIELDS, _LIST_PHOTO_PLACE = 3, 1

_Rows = npt.NDArray[np.int64]


class LostLines(NamedTuple):
    """Lines of the list without a photo: the first line, their number, and a detail."""

    first_row: int
    n_rows: int
    detail: str


class PhotoList:
    """The photos of the subset, and which of them have been found; each belongs to the first row with its id.

    Attributes:
        ids: distinct photo ids, ascending.
        n_listed: number of lines with a photo.
        lost: lines without a photo.
    """

    def __init__(self, ids: _Rows, lost: Sequence[LostLines] = ()) -> None:
        self.n_listed, self.ids, self.lost = len(ids), np.sort(ids), tuple(lost)
        # np.unique needs ten times the memory of the ids.
        is_again = self.ids[1:] == self.ids[:-1]
        if is_again.any():
            self.ids = np.delete(self.ids, np.flatnonzero(is_again))
        self._is_found = np.zeros(len(self.ids), bool)

    @property
    def n_missing(self) -> int:
        """The number of photos without a row so far."""
        return int(np.count_nonzero(~self._is_found))

    def find(self, photos: _Rows) -> _Rows:
        """Return the positions of listed photos that were not found before, each photo once."""
        if not len(self.ids):
            return np.zeros(0, np.int64)
        places = np.minimum(np.searchsorted(self.ids, photos), len(self.ids) - 1)
        rows = np.flatnonzero((self.ids[places] == photos) & ~self._is_found[places])
        return np.sort(rows[np.unique(places[rows], return_index=True)[1]])

    def claim(self, photos: _Rows) -> _Rows:
        """Return the positions from `find`, and mark these photos as found."""
        rows = self.find(photos)
        self._is_found[np.searchsorted(self.ids, photos[rows])] = True
        return rows


def read_list(path: Path) -> PhotoList:
    """Return the photos of a list; each line has a line number, a photo id and a hash.

    Lines without a photo are in `PhotoList.lost`, and so is the rest of a list that cannot be read to the end.
    """
    found, n_lines = [np.zeros(0, np.int64)], 0
    lost: list[LostLines] = []
    try:
        for block in read_blocks(path):
            lines = Lines(block)
            photos = lines.whole_numbers(_LIST_PHOTO_PLACE, np.arange(len(lines)))
            is_bad = (lines.n_fields != _N_LIST_FIELDS) | (photos < 0)
            if bad := np.flatnonzero(is_bad).tolist():
                said = (
                    f"expected line number, photo id and hash in line {n_lines + bad[0] + 1},"
                    f" found {lines.line(bad[0])[:80]!r}; download the list again"
                )
                lost.append(LostLines(n_lines + bad[0], len(bad), said))
            found.append(photos[~is_bad])
            n_lines += len(lines)
    except SourceFileError as error:
        lost.append(LostLines(n_lines, 1, str(error)))
    return PhotoList(np.concatenate(found), lost)
