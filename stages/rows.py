"""Rows that need not fit into memory: parquet files that DuckDB reads, and queries that write more of them.

Not for choosing files or publishing them: paths under the build folder are the store's.
"""

from __future__ import annotations

import atexit
import glob
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import duckdb

N_THREADS = 2
ROWS_AT_ONCE = 131_072  # rows of a result that Python holds at once
_ROW_GROUP_ROWS = 32_768  # of an intermediate file: DuckDB holds one for each thread while it writes
# Version 2 takes two thirds of the time to write texts: as lengths and bytes, where version 1 first tries a dictionary.
_FILE_FORMAT = f"FORMAT parquet, PARQUET_VERSION v2, COMPRESSION snappy, ROW_GROUP_SIZE {_ROW_GROUP_ROWS}"
_LEAST_MEMORY_BYTES = 256 << 20  # with less, DuckDB cannot even sort


_database_numbers: Iterator[int] = itertools.count()


@dataclass
class _Database:
    """A DuckDB instance in memory that many connections use: to start one takes 20 ms, to connect to one .3 ms."""

    name: str = field(default_factory=lambda: f":memory:rows-{next(_database_numbers)}")
    first: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def connect(self, config: dict[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection with views of its own. After an error the instance is left: it may be unusable."""
        import duckdb  # a tenth of a second to import

        if self.first is None:
            self.first = duckdb.connect(self.name, config=config)
        try:
            with duckdb.connect(self.name, config=config) as db:
                yield db
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Start another instance at the next call; this one ends with its last connection."""
        self.first, self.name = None, _Database().name


_for_tables_in_memory = _Database()
atexit.register(_for_tables_in_memory.leave)  # an instance that the interpreter ends complains


@dataclass(frozen=True)
class Space:
    """Where queries put data that does not fit into memory, and how much memory they may use.

    Attributes:
        folder: for intermediate results and for DuckDB's spilled data; it ends with the attempt.
        memory_bytes: DuckDB's limit; Python's own memory is not counted.
    """

    folder: Path
    memory_bytes: int
    _numbers: Iterator[int] = field(default_factory=itertools.count, compare=False)
    _database: _Database = field(default_factory=lambda: _Database(), compare=False)

    def new_path(self) -> Path:
        """Return a path in the folder that nothing uses yet."""
        return self.folder / f"rows-{next(self._numbers)}.parquet"


@dataclass(frozen=True)
class FileRows:
    """Rows in parquet files, in the order of the files.

    Attributes:
        paths: files that hold at least the columns of the schema.
        schema: names and types of the columns.
        num_rows: number of rows.
        space: for queries over them.
    """

    paths: tuple[Path, ...]
    schema: pa.Schema
    num_rows: int
    space: Space

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        return list(self.schema.names)

    def cast(self, schema: pa.Schema) -> FileRows:
        """Return the rows with these columns; values are converted when they are read."""
        missing = [name for name in schema.names if name not in self.schema.names]
        if missing:
            raise KeyError(f"no columns {missing} in {self.schema.names}")
        return replace(self, schema=schema)

    def batches(self, n_rows: int = ROWS_AT_ONCE) -> Iterator[pa.Table]:
        """Yield the rows in order, n_rows at once, the last ones fewer."""
        held: list[pa.Table] = []
        for table in self._pieces(n_rows):
            held.append(table)
            while (total := sum(t.num_rows for t in held)) >= n_rows:
                joined = pa.concat_tables(held)
                yield joined.slice(0, n_rows)
                held = [joined.slice(n_rows)] if total > n_rows else []
        if held:
            yield pa.concat_tables(held)

    def _pieces(self, n_rows: int) -> Iterator[pa.Table]:
        for path in self.paths:
            with pq.ParquetFile(path, memory_map=False) as file:
                for batch in file.iter_batches(n_rows, columns=self.schema.names, use_threads=False):
                    yield pa.Table.from_batches([batch]).select(self.schema.names).cast(self.schema)


Rows = pa.Table | FileRows
Tables = Mapping[str, Any]  # a pa.Table or FileRows each


def no_rows(schema: pa.Schema) -> pa.Table:
    """Return a table without rows. `schema.empty_table()` imports pandas, .3 s of CPU in every process."""
    return pa.Table.from_batches([], schema)


def narrow(rows: Any, names: Sequence[str]) -> Any:
    """Return some columns of rows, in memory or in files."""
    if isinstance(rows, FileRows):
        return rows.cast(pa.schema([rows.schema.field(name) for name in names]))
    return rows.select(names)


def blocks_of(rows: Any, n_rows: int = ROWS_AT_ONCE) -> Iterator[pa.Table]:
    """Yield rows in order: those in files n_rows at once, a table whole."""
    yield from rows.batches(n_rows) if isinstance(rows, FileRows) else [rows]


def quote_text(text: str) -> str:
    """Return a text as SQL writes it, for the places where DuckDB takes no parameter."""
    return "'" + text.replace("'", "''") + "'"


def parquet_sql(paths: Iterable[Path]) -> str:
    """Return the call by which DuckDB reads parquet files."""
    # A path is a pattern to DuckDB: a folder may have a bracket in its name.
    return f"read_parquet([{', '.join(quote_text(glob.escape(str(path))) for path in paths)}])"


def space_of(tables: Tables) -> Space | None:
    """Return the space of the first rows that are in files, None if all are in memory."""
    return next((rows.space for rows in tables.values() if isinstance(rows, FileRows)), None)


@contextmanager
def open_tables(tables: Tables) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with a view of each table under its name; it spills into the tables' space, if any."""
    config: dict[str, Any] = {"threads": N_THREADS, "autoinstall_known_extensions": False}
    if space := space_of(tables):
        memory_bytes = max(space.memory_bytes, _LEAST_MEMORY_BYTES)
        config |= {"memory_limit": f"{memory_bytes}B", "temp_directory": str(space.folder / "spilled")}
    database = space._database if space else _for_tables_in_memory
    with database.connect(config) as db:
        db.execute("SET enable_progress_bar = false")
        for name, rows in tables.items():
            if isinstance(rows, FileRows) and rows.paths:
                db.execute(f'CREATE TEMP VIEW "{name}" AS {_select(rows)}')
            else:
                db.register(name, no_rows(rows.schema) if isinstance(rows, FileRows) else rows)
        yield db


def _select(rows: FileRows) -> str:
    columns = ", ".join(f'"{name}"' for name in rows.schema.names)
    return f"SELECT {columns} FROM {parquet_sql(rows.paths)}"


def run_sql(query: str, tables: Tables, **parameters: object) -> pa.Table:
    """Return the result of a query over tables, each a view under its name; `$name` is a parameter."""
    with open_tables(tables) as db:
        found: pa.Table = db.sql(query, params=parameters or None).to_arrow_table()
        return found


def query_rows(query: str, tables: Tables, **parameters: object) -> Any:
    """Return the result of a query, in memory if all tables are, else in a file; its order is kept."""
    space = space_of(tables)
    if space is None:
        return run_sql(query, tables, **parameters)
    path = space.new_path()
    with open_tables(tables) as db:
        db.execute(f"COPY ({query}\n) TO {quote_text(str(path))} ({_FILE_FORMAT})", parameters or None)
    return _written(path, space)


def map_rows(rows: Any, function: Callable[[pa.Table], pa.Table], schema: pa.Schema, n_rows: int = ROWS_AT_ONCE) -> Any:
    """Apply a function to n_rows rows at a time; return the result in memory if the rows are, else in a file.

    Args:
        rows: a table or FileRows.
        function: takes a table and returns one of the schema; it sees no empty table.
        schema: of the result.
        n_rows: rows of a batch.
    """
    if not isinstance(rows, FileRows):
        made = [function(rows.slice(start, n_rows)) for start in range(0, rows.num_rows, n_rows)]
        return pa.concat_tables([no_rows(schema), *made])
    path = rows.space.new_path()
    # Without dictionaries, which take a quarter of the time and are given up for most texts.
    with pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=False) as writer:
        for batch in rows.batches(n_rows):
            writer.write_table(function(batch))
    return _written(path, rows.space)


def _written(path: Path, space: Space) -> FileRows:
    with pq.ParquetFile(path) as file:
        return FileRows((path,), file.schema_arrow, file.metadata.num_rows, space)
