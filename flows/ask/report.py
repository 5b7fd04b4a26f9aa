"""The table printed after `make stage-…`: rows given, kept and rejected per corpus, and the reasons.

The published statistics are tables of the stage `stats`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from flows.ask.particulars import PARTICULARS
from flows.ask.spine import corpus_query, spine_stages
from flows.ask.views import open_views
from flows.ledger.ledger import Ledger
from stages.checks import given_keys
from stages.contract import Stage

Row = Mapping[str, object]
_PORTION = 50_000  # rows in memory at once

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Report:
    """A small table for the terminal and for CSV.

    Attributes:
        folded: columns of one kind (reasons), printed as one column but written separately.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    folded: tuple[str, ...] = ()

    def csv(self) -> str:
        """Return the table as CSV; a cell that a spreadsheet would take for a formula gets an apostrophe."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([safe_cell(row.get(name)) for name in self.columns] for row in self.rows)
        return out.getvalue()

    def markdown(self) -> str:
        """Return the table as Markdown, with thousands separators."""
        lines = [
            "| " + " | ".join(self.columns) + " |",
            "|" + "|".join("---:" if self._is_figure(name) else "---" for name in self.columns) + "|",
        ]
        lines += ["| " + " | ".join(_cell(row.get(name)) for name in self.columns) + " |" for row in self.rows]
        return "\n".join(lines) + "\n"

    def show(self, console: Console) -> None:
        """Print the table with reasons in one column and without empty columns."""
        console.print(self.title, style="bold", markup=False)
        shown = [c for c in self.columns if c not in self.folded and any(row.get(c) for row in self.rows)]
        table = RichTable(box=None, pad_edge=False)
        for name in shown:
            table.add_column(name.replace("_", " "), justify="right" if self._is_figure(name) else "left")
        if self.folded:
            table.add_column("why")
        for row in self.rows:
            why = ", ".join(f"{name} {_cell(row[name])}" for name in self.folded if row.get(name))
            cells = [*(_cell(row.get(name)) for name in shown), *([why] if self.folded else [])]
            table.add_row(*(Text(cell) for cell in cells))  # as plain text, because a file name may look like markup
        console.print(table)
        console.print()

    def _is_figure(self, name: str) -> bool:
        return any(isinstance(row.get(name), int | float) for row in self.rows)


def stage_reports(ledger: Ledger, module: str, views: duckdb.DuckDBPyConnection | None = None) -> list[Report]:
    """Return the tables of a module: one over its stages, then its further tables.

    Args:
        ledger: the build.
        module: as STAGES has it.
        views: of all tables, where they are open: with 130 views, opening them takes longer than most tables.
    """
    with nullcontext(views) if views else open_views(ledger) as db:
        reports = [_module_report(ledger, module, db)]
        reports += [query_report(db, title, query) for title, query in PARTICULARS.get(module, ())]
    return [report for report in reports if report.rows]


def stage_tables(ledger: Ledger, modules: Sequence[str], views: duckdb.DuckDBPyConnection) -> list[Report]:
    """Return one table for each module: its stages by corpus, without further tables."""
    return [_module_report(ledger, module, views) for module in modules]


def _module_report(ledger: Ledger, module: str, db: duckdb.DuckDBPyConnection) -> Report:
    stages = [s for s in ledger.stages if s.module == module]
    reasons = tuple(dict.fromkeys(code for stage in stages for code in stage.reasons))
    rows = [row for stage in stages if module != "stats" for row in _stage_rows(ledger, stage, db, ledger.stages)]
    return Report(f"stage {module}", ("stage", "corpus", "given", "kept", "rejected", *reasons), tuple(rows), reasons)


def stage_report(ledger: Ledger, stage: Stage) -> Report:
    """Return the table of one stage: rows given, kept and rejected."""
    so_far = ledger.stages[: ledger.stages.index(stage) + 1]
    with open_views(ledger, (*so_far, *spine_stages(ledger))) as db:
        rows = _stage_rows(ledger, stage, db, so_far)
    return Report(f"stage {stage.name}", ("stage", "corpus", "given", "kept", "rejected", *stage.reasons), tuple(rows))


def query_report(db: duckdb.DuckDBPyConnection, title: str, query: str) -> Report:
    """Return the result of a query as a table."""
    found = pa.table(db.sql(query).to_arrow_table())
    return Report(title, tuple(found.column_names), tuple(found.to_pylist()))


def unbalanced(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of a stage table in which given differs from kept + rejected."""
    return [row for row in rows if row["given"] != int(str(row["kept"])) + int(str(row["rejected"]))]


def _stage_rows(ledger: Ledger, stage: Stage, db: duckdb.DuckDBPyConnection, stages: Sequence[Stage]) -> list[Row]:
    if reason := ledger.why_off(stage):
        return [{"stage": stage.name, "corpus": f"off: {reason}", **dict.fromkeys(("given", "kept", "rejected"), 0)}]
    table = stage.writes
    is_counted = stage.grain == "count"
    corpus_of = corpus_query(ledger, table, stages, is_counted=is_counted)
    # In stages that fan out, given rows are counted.
    names = table.key[: len(stage.given.columns) or 1] if stage.grain == "fan_out" else table.key
    keys = ", ".join((*names, "corpus") if is_counted else names)
    kept = _count(db, corpus_of.format(rest="'' AS reason", rows=f'(SELECT DISTINCT {keys} FROM "{table.name}")'))
    rejected = _count(
        db, corpus_of.format(rest="reason", rows=f'(SELECT DISTINCT {keys}, reason FROM "{table.name}_rejects")')
    )
    given = _given(ledger, stage, db, corpus_of)
    if stage.grain == "count":
        rejected = _filter_counts(db, stage)
    elif stage.grain == "observe":
        rejected = {} if stage.keeps != "current" else rejected
        given = {}
        for (corpus, _), n in (*kept.items(), *rejected.items()):
            given[corpus, ""] = given.get((corpus, ""), 0) + n
    corpora = sorted({corpus for corpus, _ in (*kept, *rejected, *given)})
    rows: list[Row] = []
    for corpus in corpora:
        reasons = {reason: n for (c, reason), n in rejected.items() if c == corpus}
        n_given, n_kept = given.get((corpus, ""), 0), kept.get((corpus, ""), 0)
        total = {"given": n_given, "kept": n_kept, "rejected": sum(reasons.values())}
        rows.append({"stage": stage.name, "corpus": corpus, **total, **{r: reasons.get(r, 0) for r in stage.reasons}})
    if len(rows) > 1:
        figures = [name for name in rows[0] if name not in ("stage", "corpus")]
        total = {name: sum(int(str(row[name])) for row in rows) for name in figures}
        rows.append({"stage": stage.name, "corpus": "Total", **total})
    return rows


def _count(db: duckdb.DuckDBPyConnection, query: str) -> dict[tuple[str, str], int]:
    found = db.execute(f"SELECT corpus, reason, count(*) FROM ({query}) GROUP BY ALL").fetchall()
    return {(corpus, reason): n for corpus, reason, n in found}


def _given(ledger: Ledger, stage: Stage, db: duckdb.DuckDBPyConnection, corpus_of: str) -> dict[tuple[str, str], int]:
    if stage.grain == "count":
        return {(c, ""): n for (c, reason), n in _filter_counts(db, stage, ("given",)).items()}
    given = stage.given
    if not (given.input or given.query):
        return {}
    inputs = {r.name: ledger.read(replace(r, is_whole=True)) for r in stage.reads if r.name in given.names}
    keys = given_keys(stage, inputs)
    assert keys is not None
    first = pa.compute.list_element(pa.compute.split_pattern(keys, "\x1f"), 0)
    db.register("given_keys", pa.table({stage.writes.key[0]: first}))
    return _count(db, corpus_of.format(rest="'' AS reason", rows="given_keys"))


def _filter_counts(
    db: duckdb.DuckDBPyConnection, stage: Stage, reasons: tuple[str, ...] = ()
) -> dict[tuple[str, str], int]:
    wanted = reasons or stage.reasons
    found = db.execute(
        f'SELECT corpus, reason, sum(n)::BIGINT FROM "{stage.writes.name}_counts" JOIN'
        " (SELECT DISTINCT corpus, partition FROM source_listing) USING (partition) GROUP BY ALL"
    ).fetchall()
    return {(corpus, reason): n for corpus, reason, n in found if reason in wanted}


def write_csv(found: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write the rows of a query as CSV, in batches."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column[0] for column in found.description or ())
        while rows := found.fetchmany(_PORTION):
            writer.writerows([safe_cell(value) for value in row] for row in rows)


def printable(text: str) -> str:
    """Return a text without terminal control characters, as captions and file names are foreign text."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line without markup and without terminal control characters."""
    console.print(printable(text), style=style, markup=False)


def safe_cell(value: object) -> object:
    """Return a value for CSV; a text that begins like a spreadsheet formula gets an apostrophe."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return "" if value is None else value


def _cell(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else printable(str(value)).replace("|", "\\|").replace("\n", " ")
