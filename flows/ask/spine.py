"""Follow a sample from table to table, by the columns that are keys of other tables.

`inspect.py`, `fates.py` and `report.py` show the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.ask.views import scalar
from flows.ledger.ledger import Ledger
from schemas.corpora import LIST_CODE
from schemas.tables import SAMPLE, Table
from stages.contract import Stage
from stages.sample.stage import SAMPLES_QUERY

if TYPE_CHECKING:
    import duckdb

_KEY = SAMPLE.key[0]


@dataclass(frozen=True)
class Step:
    """A step from the key of a table to another of its columns."""

    table: Table
    column: str

    @property
    def key(self) -> str:
        """The first column of the table's key."""
        return self.table.key[0]


def samples_query(ledger: Ledger) -> str:
    """Return SQL for all samples: the table, or before it is written the query for it."""
    is_written = SAMPLE.name in ledger.writer and ledger.state(ledger.writer[SAMPLE.name]).is_complete
    return f'SELECT * FROM "{SAMPLE.name}"' if is_written else SAMPLES_QUERY


def spine_stages(ledger: Ledger) -> tuple[Stage, ...]:
    """Return the stages whose tables `samples_query` may use."""
    writer = ledger.writer[SAMPLE.name]
    return (*(ledger.writer[reads.table] for reads in writer.reads), writer)


def ways(stages: Sequence[Stage]) -> dict[str, tuple[Step, ...]]:
    """Return the shortest sequences of steps from a sample to each key column, nearest columns first.

    Args:
        stages: stages whose tables may be used.
    """
    found: dict[str, tuple[Step, ...]] = {_KEY: ()}
    waiting = [_KEY]
    for key in waiting:  # the dictionary grows meanwhile
        for table in (stage.writes for stage in stages if stage.writes.key[0] == key):
            new = [column for column in table.leads_to if column not in found]
            found |= {column: (*found[key], Step(table, column)) for column in new}
            waiting += new
    return found


def known_by(ledger: Ledger, key: str, stages: Sequence[Stage] = ()) -> str | None:
    """Return SQL for every sample with its corpus and its values of a key column.

    None if no column leads to it.

    Args:
        ledger: the build.
        key: the first column of a table's key.
        stages: stages whose tables may be used; empty for all.
    """
    steps = ways(stages or ledger.stages).get(key)
    if steps is None:
        return None
    joins, at = "", "s"
    for n, step in enumerate(steps):
        if step.table is not SAMPLE:  # its columns are available already
            column = f'(SELECT DISTINCT "{step.key}", "{step.column}" FROM "{step.table.name}") t{n}'
            joins, at = f'{joins} JOIN {column} ON t{n}."{step.key}" = {at}."{step.key}"', f"t{n}"
    columns = f"s.{_KEY}, s.corpus" if key == _KEY else f's.{_KEY}, s.corpus, {at}."{key}"'
    return f'SELECT {columns} FROM ({samples_query(ledger)}) s{joins} WHERE {at}."{key}" IS NOT NULL'


def names_of(ledger: Ledger, db: duckdb.DuckDBPyConnection, sample_id: str) -> dict[str, list[str]]:
    """Return a sample's values of each key column; empty if it is not a sample."""
    samples = samples_query(ledger)
    if not scalar(db, f"SELECT count(*) FROM ({samples}) WHERE {_KEY} = ?", [sample_id]):
        return {}
    names = {_KEY: [sample_id]}
    for column, steps in ways(ledger.stages).items():
        if not steps:
            continue
        step = steps[-1]
        table = f"({samples})" if step.table is SAMPLE else f'"{step.table.name}"'
        found = db.execute(
            f'SELECT DISTINCT "{step.column}" FROM {table}'
            f' WHERE "{step.key}" IN (SELECT unnest(?)) AND "{step.column}" IS NOT NULL ORDER BY 1',
            [names[step.key]],
        )
        names[column] = [value for (value,) in found.fetchall()] if names[step.key] else []
    return names | _keys_found_by(ledger, db, names)


def _keys_found_by(
    ledger: Ledger, db: duckdb.DuckDBPyConnection, names: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """Return the values of key columns of the tables that declare by which columns a sample's rows are found."""
    found: dict[str, set[str]] = {}
    for table in (stage.writes for stage in ledger.stages):
        key = table.key[0]
        for column, of_sample in table.found_by if key not in names else ():
            rows = db.execute(
                f'SELECT DISTINCT "{key}" FROM "{table.name}" WHERE "{column}" IN (SELECT unnest(?::VARCHAR[]))',
                [names.get(of_sample, [])],
            )
            found.setdefault(key, set()).update(value for (value,) in rows.fetchall())
    return {key: sorted(values) for key, values in found.items()}


def corpus_query(ledger: Ledger, table: Table, stages: Sequence[Stage], *, is_counted: bool) -> str:
    """Return SQL by corpus, with placeholders for {rows} of a table and the {rest} to select from them.

    A row counts once per sample it belongs to; rows without a sample have the corpus "all".

    Args:
        ledger: the build.
        table: its key assigns rows to samples.
        stages: stages whose tables may be used.
        is_counted: whether the stage only counts its rows and lists no samples yet; its rows have a corpus column.
    """
    if is_counted:
        # Rows of a list of samples count for the list when they are read, and for their own corpora afterwards.
        listed = f"(SELECT min(corpus) FROM source_listing WHERE corpus = '{LIST_CODE}')"
        return f"SELECT coalesce({listed}, corpus) AS corpus, {{rest}} FROM {{rows}}"
    if "corpus" in table.key:
        return "SELECT corpus, {rest} FROM {rows}"
    key = table.key[0]
    asked = [stage for stage in stages if ledger.state(stage).is_complete or stage.writes is SAMPLE]
    samples = known_by(ledger, key, asked)
    if samples is None:
        return "SELECT 'all' AS corpus, {rest} FROM {rows}"
    # A sample missing from the list of samples must not vanish from a table whose numbers add up.
    side = "LEFT JOIN" if key == _KEY else "JOIN"
    return f"SELECT coalesce(s.corpus, 'all') AS corpus, {{rest}} FROM {{rows}} r {side} ({samples}) s USING ({key})"
