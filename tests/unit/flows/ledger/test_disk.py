import errno
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from flows.ledger.disk import free_gb, is_disk_full


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"),
        pa.ArrowInvalid("Could not close: No space left on device"),
        duckdb.IOException("Could not write file x: No space left on device"),
        duckdb.OutOfMemoryException("failed to offload data block: max_temp_directory_size reached"),
    ],
)
def test_a_full_disk_is_known_whoever_reports_it(error: Exception) -> None:
    assert is_disk_full(error)


@pytest.mark.parametrize(
    "error",
    [PermissionError(errno.EACCES, "Permission denied"), ValueError("No space left"), duckdb.IOException("read")],
)
def test_another_error_is_not_a_full_disk(error: Exception) -> None:
    assert not is_disk_full(error)


def test_the_free_space_of_a_folder_that_does_not_exist_is_that_above_it(tmp_path: Path) -> None:
    assert free_gb(tmp_path / "a" / "b").endswith(" GB free now")
