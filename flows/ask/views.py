"""Open a DuckDB connection with a view of every table of a build, by its current receipts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flows.ledger.declared import refuse_other_columns
from flows.ledger.ledger import Ledger
from stages.contract import COUNTS_SCHEMA, Reads, Stage
from stages.rows import parquet_sql

if TYPE_CHECKING:
    import duckdb


@contextmanager
def open_views(ledger: Ledger, stages: Sequence[Stage] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with the kept rows of each table as a view of its name; tables not written yet are empty.

    For example, `candidate_rejects` has the rejects and `candidate_counts` the counts of `candidate`.

    Args:
        ledger: the build.
        stages: stages whose tables are needed; empty for all.

    Raises:
        InputError: a query failed since a file has not the columns that its table declares.
    """
    import duckdb  # the import takes a tenth of a second in every command

    with duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as db:
        db.execute("SET enable_progress_bar = false")  # it is drawn into logs too, once a query takes two seconds
        files: list[tuple[Path, pa.Schema]] = []
        try:
            for stage in dict.fromkeys(stages or ledger.stages):
                _add_views(db, ledger, stage, files)
            yield db
        except duckdb.Error:
            refuse_other_columns(ledger.store.root, files)  # footers are read only now: there may be thousands
            raise


def scalar(db: duckdb.DuckDBPyConnection, query: str, values: Sequence[object] = ()) -> Any:
    """Return the first value of the first row of a query with `?` for values, None if it has no row."""
    row = db.execute(query, list(values)).fetchone()
    return row[0] if row else None


def _add_views(
    db: duckdb.DuckDBPyConnection, ledger: Ledger, stage: Stage, files: list[tuple[Path, pa.Schema]]
) -> None:
    table = stage.writes
    receipts = ledger.state(stage).receipts
    root = ledger.store
    kept = [root.path(r.kept_file) for r in receipts if r.n_kept]
    rejects = [root.path(r.rejects_file) for r in receipts if r.rejects_file]
    files += [(path, table.schema) for path in kept] + [(path, table.reject_schema) for path in rejects]
    _add_view(db, table.name, kept, table.schema)
    _add_view(db, f"{table.name}_rejects", rejects, table.reject_schema)
    if stage.grain == "count":
        reads = Reads(table.name, is_whole=True, section="counts")
        counts = ledger.read(reads)
        db.register(f"{table.name}_counts", counts if counts.num_rows else COUNTS_SCHEMA.empty_table())


def _add_view(db: duckdb.DuckDBPyConnection, name: str, files: list[Path], schema: pa.Schema) -> None:
    if not files:
        # DuckDB takes half floats from Parquet, but not from Arrow.
        halves = {pa.list_(pa.float16()): pa.list_(pa.float32())}
        shown = pa.schema([pa.field(f.name, halves.get(f.type, f.type)) for f in schema])
        db.register(name, shown.empty_table())
        return
    columns = ", ".join(f'"{column}"' for column in schema.names)
    db.execute(f'CREATE VIEW "{name}" AS SELECT {columns} FROM {parquet_sql(files)}')
