"""The list of YFCC15M's photos, and which of them have been found.

Not for their rows: that is `stages/readers/yfcc/reader.py`.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from stages.readers.batch import SourceFileError
from stages.readers.formats.lines import Lines, read_blocks

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
