"""How a sample is followed from table to table: by the columns that tables declare to lead to others.

Not for what a table records of it: see `inspect.py`, `fates.py` and `report.py` beside this module.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """From the key of a table to another column of it."""

    table: Table
    column: str

    @property
    def key(self) -> str:
        """The first column of the table's key."""
        return self.table.key[0]


def samples_query(ledger: Ledger) -> str:
    """Return SQL for all samples: the table, or while it is not written what it will be written from."""
    is_written = SAMPLE.name in ledger.writer and ledger.state(ledger.writer[SAMPLE.name]).is_complete
    return f'SELECT * FROM "{SAMPLE.name}"' if is_written else SAMPLES_QUERY


def spine_stages(ledger: Ledger) -> tuple[Stage, ...]:
    """Return the stages whose tables `samples_query` may name."""
    writer = ledger.writer[SAMPLE.name]
    return (*(ledger.writer[reads.table] for reads in writer.reads), writer)


def ways(stages: Sequence[Stage]) -> dict[str, tuple[Step, ...]]:
    """Return the steps from a sample to each key column that tables lead to, the shortest way, nearest columns first.

    Args:
        stages: those whose tables may be passed through.
    """
    found: dict[str, tuple[Step, ...]] = {_KEY: ()}
    waiting = [_KEY]
    for key in waiting:  # it grows
        for table in (stage.writes for stage in stages if stage.writes.key[0] == key):
            new = [column for column in table.leads_to if column not in found]
            found |= {column: (*found[key], Step(table, column)) for column in new}
            waiting += new
    return found


def known_by(ledger: Ledger, key: str, stages: Sequence[Stage] = ()) -> str | None:
    """Return SQL for every sample with its corpus and each value of a key column that belongs to it.

    None where no column leads there.

    Args:
        ledger: the build.
        key: the first column of a table's key.
        stages: those whose tables may be passed through; none for all.
    """
    steps = ways(stages or ledger.stages).get(key)
    if steps is None:
        return None
    joins, at = "", "s"
    for n, step in enumerate(steps):
        if step.table is not SAMPLE:  # its columns are there already
            column = f'(SELECT DISTINCT "{step.key}", "{step.column}" FROM "{step.table.name}") t{n}'
            joins, at = f'{joins} JOIN {column} ON t{n}."{step.key}" = {at}."{step.key}"', f"t{n}"
    columns = f"s.{_KEY}, s.corpus" if key == _KEY else f's.{_KEY}, s.corpus, {at}."{key}"'
    return f'SELECT {columns} FROM ({samples_query(ledger)}) s{joins} WHERE {at}."{key}" IS NOT NULL'


def names_of(ledger: Ledger, db: duckdb.DuckDBPyConnection, sample_id: str) -> dict[str, list[str]]:
    """Return the values of each key column under which tables know a sample; nothing where it is none."""
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
    return names


def corpus_query(ledger: Ledger, table: Table, stages: Sequence[Stage], *, is_counted: bool) -> str:
    """Return SQL with places for {rows} of a table and the {rest} that is asked of them, by corpus.

    A row counts once per sample that it belongs to; "all" is the corpus of rows that belong to none.

    Args:
        ledger: the build.
        table: by its key its rows are assigned.
        stages: those whose tables can be asked.
        is_counted: the stage counts its rows and lists no samples yet: its rows have a corpus of their own.
    """
    if is_counted:
        # Rows of a list of samples count as the list's where they are read, and as their own corpora's from there on.
        listed = f"(SELECT min(corpus) FROM source_listing WHERE corpus = '{LIST_CODE}')"
        return f"SELECT coalesce({listed}, corpus) AS corpus, {{rest}} FROM {{rows}}"
    if "corpus" in table.key:
        return "SELECT corpus, {rest} FROM {rows}"
    key = table.key[0]
    asked = [stage for stage in stages if ledger.state(stage).is_complete or stage.writes is SAMPLE]
    samples = known_by(ledger, key, asked)
    if samples is None:
        return "SELECT 'all' AS corpus, {rest} FROM {rows}"
    # A sample that the list of samples lacks must not vanish from a table that is to add up.
    side = "LEFT JOIN" if key == _KEY else "JOIN"
    return f"SELECT coalesce(s.corpus, 'all') AS corpus, {{rest}} FROM {{rows}} r {side} ({samples}) s USING ({key})"
