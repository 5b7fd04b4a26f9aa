"""Rows of numbers that need not fit into memory: stored in a file, with only recently read rows in memory."""

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class HeldRows:
    """Rows of zeros at first, in memory or in a file.

    Attributes:
        values: [n, d] of the given type.
    """

    def __init__(self, shape: tuple[int, int], dtype: npt.DTypeLike, path: Path | None = None) -> None:
        """Prepare the rows; with a path they are in a new file. Raises OSError if the disk has no room for them."""
        self._mapped: mmap.mmap | None = None
        n_bytes = shape[0] * shape[1] * np.dtype(dtype).itemsize
        if path is None or not n_bytes:
            self.values: Any = np.zeros(shape, dtype)
            return
        with path.open("xb+") as file:
            os.posix_fallocate(file.fileno(), 0, n_bytes)  # a full disk would kill the process at a later page
            self._mapped = mmap.mmap(file.fileno(), n_bytes)
        self.values = np.frombuffer(self._mapped, dtype).reshape(shape)

    def forget(self) -> None:
        """Take the rows out of this process's memory; those in a file stay there, and are read again when needed."""
        if self._mapped is not None:
            self._mapped.madvise(mmap.MADV_DONTNEED)
