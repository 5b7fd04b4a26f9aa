"""Run a model in batches that its memory holds: where it runs out, batches are halved and the work goes on."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

from stages.contract import TransientError

Item = TypeVar("Item")
Found = TypeVar("Found")


class Halving:
    """The largest batch that the memory has held so far. Rows do not depend on batches but for rounding."""

    def __init__(self, n_most: int = sys.maxsize) -> None:
        """Begin with batches of at most n_most items."""
        self._n_most = n_most

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
        self._n_most = len(some) // 2
        warnings.warn(
            f"the GPU's memory does not hold a batch of {len(some)}: batches have at most {self._n_most} from here on",
            stacklevel=2,
        )
        return False
