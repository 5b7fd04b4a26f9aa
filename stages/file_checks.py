"""The laws of `stages/checks.py` for rows that stay in files: the same faults in the same words, found by queries.

Not for rows in memory, and not for `verify`: it trusts no run and reads the published files.
"""

from typing import TYPE_CHECKING

import pyarrow as pa

from stages.contract import ContractError, Inputs, Outcome, Stage
from stages.refusals import check_columns, check_counts, given_width, listed, refuse_nulls, refuse_reasons
from stages.rows import open_tables

if TYPE_CHECKING:
    import duckdb

_KEPT, _REJECTS = "outcome_kept", "outcome_rejects"  # no table of the pipeline has such a name
_FAULTS = {
    "lost": "{n} given rows are neither kept nor rejected: {some}",
    "foreign": "{n} rows belong to no given row: {some}",
    "twice": "{n} given rows are named more than once: {some}",
}


def check_in_files(stage: Stage, inputs: Inputs, outcome: Outcome) -> None:
    """Check an outcome whose rows or inputs are in files; see `check_outcome`. Raises ContractError."""
    tables = {_KEPT: outcome.kept, _REJECTS: outcome.rejects}
    schemas = (stage.writes.schema, stage.writes.reject_schema)
    for rows, schema, what in zip(tables.values(), schemas, ("kept rows", "reject rows"), strict=True):
        check_columns(stage, rows.schema, schema, what)
    with open_tables({**{name: inputs[name] for name in stage.given.names}, **tables}) as db:
        for name, schema, what in zip(tables, schemas, ("kept rows", "reject rows"), strict=True):
            _check_nulls(db, stage, name, schema, what)
        _check_reasons(db, stage)
        is_conserved_by_key = stage.grain != "count" and bool(stage.given.names or stage.given.query)
        if stage.grain == "count":
            check_counts(stage, outcome)
        if is_conserved_by_key:
            _check_conserved(db, stage)
        # Where each key may be named once, kept rows that repeat one were found by now.
        if not is_conserved_by_key or stage.grain == "fan_out" or given_width(stage) < len(stage.writes.key):
            _check_unique(db, stage)


def _check_nulls(db: "duckdb.DuckDBPyConnection", stage: Stage, name: str, schema: pa.Schema, what: str) -> None:
    columns = [column.name for column in schema if not column.nullable]
    counts = db.execute(f"SELECT {', '.join(f'count_if({c} IS NULL)' for c in map(_quoted, columns))} FROM {name}")
    for column, n_nulls in zip(columns, counts.fetchone() or (), strict=True):
        refuse_nulls(stage, n_nulls, column, what)


def _check_reasons(db: "duckdb.DuckDBPyConnection", stage: Stage) -> None:
    reasons = db.execute(f"SELECT DISTINCT reason FROM {_REJECTS} ORDER BY ALL").fetchall()
    longest = db.execute(f"SELECT coalesce(max(length(detail)), 0) FROM {_REJECTS}").fetchall()[0][0]
    refuse_reasons(stage, [reason for (reason,) in reasons], longest)


def _check_unique(db: "duckdb.DuckDBPyConnection", stage: Stage) -> None:
    key = _key(stage.writes.key)
    twice = f"SELECT {key} AS key, count(*) - 1 AS n FROM {_KEPT} GROUP BY ALL HAVING n > 0"
    n, some = db.execute(f"SELECT sum(n)::BIGINT, min(key, 4) FROM ({twice})").fetchall()[0]
    if n:
        raise ContractError(
            f"{stage.name}: {n} kept rows repeat a key of {stage.writes.name}: {listed(some, len(some))}"
        )


def _check_conserved(db: "duckdb.DuckDBPyConnection", stage: Stage) -> None:
    names = stage.writes.key[: given_width(stage)]
    given = stage.given
    source, columns = (f"({given.query})", names) if given.query else (_quoted(given.input), given.columns)
    out = " ".join(f"UNION ALL SELECT {_key(names)}, false FROM {name}" for name in (_KEPT, _REJECTS))
    # One aggregate over all keys: it spills, and holds a key once, whoever names it.
    faults = db.execute(
        f"""
        WITH account AS (
            SELECT key, bool_or(is_given) AS is_given, count_if(NOT is_given) AS n_out
            FROM (SELECT {_key(columns)} AS key, true AS is_given FROM {source} {out}) GROUP BY key
        ), fault AS (
            SELECT key, CASE WHEN n_out = 0 THEN 'lost' WHEN NOT is_given THEN 'foreign' WHEN n_out > 1 THEN 'twice' END
                AS fault FROM account
        )
        SELECT fault, count(*), min(key, 3) FROM fault WHERE fault IS NOT NULL GROUP BY fault
        """
    ).fetchall()
    allowed = {"observe": "lost", "fan_out": "twice"}.get(stage.grain)
    found = {fault: (n, some) for fault, n, some in faults if fault != allowed}
    for fault, words in _FAULTS.items():
        if fault in found:
            n, some = found[fault]
            raise ContractError(f"{stage.name}: {words.format(n=n, some=listed(some, n))}")


def _key(names: tuple[str, ...]) -> str:
    columns = [f"{_quoted(name)}::VARCHAR" for name in names]
    return columns[0] if len(columns) == 1 else f"concat_ws(chr(31), {', '.join(columns)})"


def _quoted(name: str) -> str:
    return f'"{name}"'
