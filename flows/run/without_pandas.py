"""Keep pandas out of the processes that only run this project: its import takes 0.3 s of CPU in each."""

import sys

import pyarrow as pa


class _Absent:
    """Finds no pandas for the import system."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Raise ModuleNotFoundError for pandas; other modules are left to the next finder."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


def leave_pandas_out() -> None:
    """Let pyarrow take pandas as not installed in this process; whoever imports it later still gets it.

    With the first list that becomes a column, pyarrow imports pandas to see whether the list is one of its series. It
    looks once.
    """
    sys.meta_path.insert(0, _Absent)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(_Absent)
