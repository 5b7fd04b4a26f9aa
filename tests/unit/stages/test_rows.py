import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.rows import ROWS_AT_ONCE, FileRows, Space, map_rows, open_tables, query_rows, run_sql, space_of

TABLE = pa.table({"id": [f"x{n}" for n in range(10)], "n": pa.array(range(10), pa.int32())})


def in_files(folder: Path, table: pa.Table, *ends: int, memory_bytes: int = 1 << 30) -> FileRows:
    """Return the rows in files that end at the given row numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for start, end in zip((0, *ends), (*ends, table.num_rows), strict=True):
        paths.append(folder / f"part-{len(paths)}.parquet")
        pq.write_table(table.slice(start, end - start), paths[-1])
    return FileRows(tuple(paths), table.schema, table.num_rows, Space(folder, memory_bytes))


@pytest.mark.parametrize("n_rows", [1, 3, 4, 10, 11])
def test_batches_contain_all_rows_in_order_and_are_full_except_the_last(tmp_path: Path, n_rows: int) -> None:
    found = list(in_files(tmp_path, TABLE, 2, 3, 9).batches(n_rows))
    assert pa.concat_tables(found).equals(TABLE)
    assert {table.num_rows for table in found[:-1]} <= {n_rows} and 0 < found[-1].num_rows <= n_rows


def test_columns_are_cast_when_read_and_missing_ones_are_refused(tmp_path: Path) -> None:
    rows = in_files(tmp_path, TABLE)
    narrow = rows.cast(pa.schema([("n", pa.int64())]))
    assert next(narrow.batches()).equals(TABLE.select(["n"]).cast(narrow.schema))
    with pytest.raises(KeyError, match="no columns"):
        rows.cast(pa.schema([("other", pa.int64())]))


def test_a_query_over_files_writes_a_file_and_one_over_tables_does_not(tmp_path: Path) -> None:
    query = "SELECT id, n FROM t WHERE n >= $low ORDER BY n DESC"
    expected = run_sql(query, {"t": TABLE}, low=4)
    assert query_rows(query, {"t": TABLE}, low=4).equals(expected)
    found = query_rows(query, {"t": in_files(tmp_path, TABLE, 5)}, low=4)
    assert isinstance(found, FileRows) and found.num_rows == 6
    assert pa.concat_tables(found.batches(4)).equals(expected)
    again = query_rows("FROM found", {"found": found})
    assert again.paths != found.paths and space_of({"a": TABLE, "b": again}) is found.space


def test_rows_of_more_than_one_batch_keep_their_order(tmp_path: Path) -> None:
    n_rows = 2 * ROWS_AT_ONCE + 5
    rows = in_files(tmp_path, pa.table({"n": range(n_rows)}), 100_000)
    backwards = query_rows("SELECT n FROM t ORDER BY n DESC", {"t": rows})
    kept = query_rows("SELECT n FROM t WHERE n % 2 = 0", {"t": backwards})
    assert pa.concat_tables(kept.batches())["n"].to_pylist() == list(range(n_rows - 1, -1, -2))


def test_mapping_gives_the_same_for_tables_and_any_split_into_files(tmp_path: Path) -> None:
    schema = pa.schema([("twice", pa.int64())])

    def double(rows: pa.Table) -> pa.Table:
        assert rows.num_rows
        return pa.table({"twice": [2 * n for n in rows["n"].to_pylist()]}, schema)

    for table in (TABLE, TABLE.slice(0, 0)):
        expected = pa.table({"twice": [2 * n for n in table["n"].to_pylist()]}, schema)
        assert map_rows(table, double, schema, 3).equals(expected)
        found = map_rows(in_files(tmp_path / str(table.num_rows), table), double, schema, 3)
        assert found.num_rows == table.num_rows
        assert pa.concat_tables([schema.empty_table(), *found.batches()]).equals(expected)


def test_files_without_rows_have_their_columns(tmp_path: Path) -> None:
    nothing = FileRows((), TABLE.schema, 0, Space(tmp_path, 1 << 30))
    assert run_sql("SELECT id, n FROM t", {"t": nothing}).schema.names == ["id", "n"]
    assert list(nothing.batches()) == []


def test_a_folders_name_may_look_like_a_glob_pattern(tmp_path: Path) -> None:
    rows = in_files(tmp_path / "a[1]*?'x", TABLE, 4)
    assert run_sql("SELECT sum(n)::INT AS n FROM t", {"t": rows})["n"].to_pylist() == [45]
    assert query_rows("FROM t", {"t": rows}).num_rows == 10


def test_views_do_not_see_python_variables(tmp_path: Path) -> None:
    with open_tables({"t": TABLE}) as db, pytest.raises(Exception, match="does not exist"):
        db.sql("FROM TABLE_OF_NOBODY")


SPILL = """
import sys
from pathlib import Path
from stages.rows import FileRows, Space, query_rows, run_sql
import pyarrow as pa, pyarrow.parquet as pq

folder = Path(sys.argv[1])
pq.write_table(pa.table({"n": range(2_000_000)}), folder / "n.parquet")
rows = FileRows((folder / "n.parquet",), pa.schema([("n", pa.int64())]), 2_000_000, Space(folder, int(sys.argv[2])))
wide = "SELECT sha256(n::VARCHAR) || sha256((n + 1)::VARCHAR) AS a, n FROM t ORDER BY a"
found = query_rows(wide, {"t": rows})
assert found.num_rows == 2_000_000
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""


def test_rows_beyond_the_memory_are_spilled_to_the_work_folder(tmp_path: Path) -> None:
    peaks = []
    for memory_bytes in (256 << 20, 4 << 30):
        command = [sys.executable, "-c", SPILL, str(tmp_path), str(memory_bytes)]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert peaks[0] < 0.8 * peaks[1]
