from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from flows.run.worker import Task, judge_query, query_memory_bytes
from stages.rows import FileRows, Space, run_sql
from tests.unit.stages.test_rows import in_files


def task(folder: Path) -> Task:
    return Task("cluster", "", "whole", "f", {}, {}, {}, {}, {}, 0, folder, folder, memory_gb=2.0)


def test_queries_get_half_of_the_remaining_memory() -> None:
    assert query_memory_bytes(8.0) < 4e9
    assert query_memory_bytes(80.0) - query_memory_bytes(40.0) == pytest.approx(20e9, rel=0.05)
    assert query_memory_bytes(0.01) == 0


def hungry(folder: Path) -> FileRows:
    rows = in_files(folder, pa.table({"n": range(10)}))
    return FileRows(rows.paths, rows.schema, rows.num_rows, Space(folder, 1))


def test_a_query_beyond_the_memory_names_the_setting_to_raise(tmp_path: Path) -> None:
    lists = "SELECT list(sha256(i::VARCHAR)) AS a FROM t, range(1000000) r(i)"  # lists cannot be spilled
    with pytest.raises(duckdb.OutOfMemoryException) as error:
        run_sql(lists, {"t": hungry(tmp_path)})
    kind, message = judge_query(task(tmp_path), error.value)
    assert kind == "input"
    assert "cluster needs more memory than run.memory_gb = 2" in message and "raise run.memory_gb" in message


def test_a_wrong_query_is_a_fault_of_the_code_and_a_full_disk_is_not(tmp_path: Path) -> None:
    full = duckdb.IOException("Could not write file x: No space left on device")
    kind, message = judge_query(task(tmp_path), full)
    assert kind == "disk" and "the disk is full: cluster could not write whole" in message
    spilled = duckdb.OutOfMemoryException("failed to offload data block: max_temp_directory_size reached")
    assert judge_query(task(tmp_path), spilled)[0] == "disk"
    assert judge_query(task(tmp_path), duckdb.IOException("read error"))[0] == "transient"
    assert judge_query(task(tmp_path), duckdb.BinderException("no column a")) == ("contract", "")
    assert judge_query(task(tmp_path), ValueError("No space left")) == ("contract", "")
