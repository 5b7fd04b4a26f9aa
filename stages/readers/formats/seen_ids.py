"""An exact set of integers already seen, with eight bytes each.

Readers convert ids that are texts to numbers.
"""

import numpy as np
import numpy.typing as npt

_Ids = npt.NDArray[np.int64]


class SeenIds:
    """The ids seen so far, in sorted runs, each at least twice as long as the next."""

    def __init__(self) -> None:
        self._runs: list[_Ids] = []

    def claim(self, ids: _Ids) -> npt.NDArray[np.bool_]:
        """Return true where an id is new, and add the ids."""
        is_first = np.zeros(len(ids), bool)
        fresh, places = np.unique(ids, return_index=True)
        is_new = np.ones(len(fresh), bool)
        for run in self._runs:
            near = np.minimum(np.searchsorted(run, fresh), len(run) - 1)
            is_new &= run[near] != fresh
        is_first[places[is_new]] = True
        self._add(fresh[is_new])
        return is_first

    def _add(self, fresh: _Ids) -> None:
        if not len(fresh):
            return
        self._runs.append(fresh)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            merged = np.concatenate([self._runs.pop(), self._runs.pop()])
            merged.sort(kind="stable")  # two sorted runs are merged, not sorted again
            self._runs.append(merged)
