"""A full disk: how its errors look, and what to say about them.

Not for the check before a run: that is `flows/run/loop.py`.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pyarrow as pa

ADVICE = (
    "Free some space (`make gc` removes what no receipt needs) and run the same command again; nothing that was"
    " finished is lost"
)
_CODES = (errno.ENOSPC, errno.EDQUOT)
_TEXTS = ("No space left", "Disk quota exceeded", "max_temp_directory_size")


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error of the system, of pyarrow or of DuckDB says that the disk or a quota is full."""
    is_duckdb = type(error).__module__.endswith("duckdb")
    if not is_duckdb and not isinstance(error, OSError | pa.ArrowException):
        return False
    return getattr(error, "errno", None) in _CODES or any(text in str(error) for text in _TEXTS)


def free_gb(path: Path) -> str:
    """Return the free space of a path, which need not exist, in words."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return f"{shutil.disk_usage(path).free / 1e9:.2f} GB free now"
