"""Run a model in batches that its memory holds: where it runs out, batches are halved and the work goes on.

Memory that another program took comes back when it ends: after batches that fitted, larger ones are tried again.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

from stages.contract import TransientError

Item = TypeVar("Item")
Found = TypeVar("Found")

_FIRST_PATIENCE = 100  # batches, some seconds to half a minute of work: one that does not fit costs as much as one


class Halving:
    """The largest batch that the memory holds. Rows do not depend on batches but for rounding."""

    def __init__(self, n_most: int = sys.maxsize) -> None:
        """Begin with batches of at most n_most items."""
        self._limit = self._n_most = n_most
        self._n_held = 0  # batches since the last change of size
        self._patience = _FIRST_PATIENCE
        self._is_larger_again = False

    def run(self, compute: Callable[[Sequence[Item]], Found], items: Sequence[Item]) -> list[Found]:
        """Return what compute finds for the items, batch by batch, in order.

        Raises:
            TransientError: the memory does not hold the work on one item, for instance because of other programs.
        """
        found: list[Found] = []
        n_done = 0
        while n_done < len(items):
            some = items[n_done : n_done + self._n_most]
            if self._holds(compute, some, found):
                n_done += len(some)
                self._note_held()
        return found

    def _holds(self, compute: Callable[[Sequence[Item]], Found], some: Sequence[Item], found: list[Found]) -> bool:
        """Append what compute finds, or halve the next batches: False then."""
        import torch

        try:
            found.append(compute(some))
            return True
        except torch.OutOfMemoryError as error:
            told = " ".join(str(error).split())[:300]
        # After the exception, which holds the frames with the batch's tensors.
        torch.cuda.empty_cache()
        if len(some) == 1:
            raise TransientError(
                f"the GPU's memory does not hold the model and one image or text: {told}. End other programs that use"
                " the GPU (`nvidia-smi` lists them), or lower run.model_workers"
            )
        self._shrink(len(some))
        return False

    def _shrink(self, n_tried: int) -> None:
        if self._is_larger_again:  # the memory is as small as before: each later trial waits twice as long
            self._patience *= 2
        self._n_most, self._n_held, self._is_larger_again = n_tried // 2, 0, False
        warnings.warn(
            f"the GPU's memory does not hold a batch of {n_tried}: batches have at most {self._n_most}; larger ones are"
            f" tried again after {self._patience:,} batches",
            stacklevel=3,
        )

    def _note_held(self) -> None:
        """Double the next batches when enough of them fitted since they were halved."""
        if self._n_most >= self._limit:
            return
        self._n_held += 1
        if self._n_held >= self._patience:
            self._n_most, self._n_held, self._is_larger_again = min(self._limit, 2 * self._n_most), 0, True
