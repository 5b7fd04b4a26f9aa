"""Compare a build with one of RS5M's lists by normalised URL: rows kept, rows lost by stage, and new samples.

The lists are read by `flows/ask/listed.py`.
"""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flows.ask.fates import fates_query
from flows.ask.listed import read_lists
from flows.ask.report import Report, Row, query_report
from flows.ask.spine import samples_query
from flows.ask.views import open_views, scalar
from flows.ledger.ledger import Ledger
from stages.contract import ContractError, InputError
from stages.rows import quote_text

if TYPE_CHECKING:
    import duckdb

KEPT, LOST = "kept", "lost"
NOT_IN_SOURCES = "not in SOURCES"
NOT_A_CANDIDATE = "not among its candidates"


# As write_csv, ten times as fast: foreign text must not look like a formula to a spreadsheet.
_SAFE = "CASE WHEN {0}[1] IN ('=', '+', '-', '@', chr(9), chr(13)) THEN chr(39) || {0} ELSE {0} END AS {0}"


def csv_safe(name: str) -> str:
    """Return SQL for a text column of a CSV."""
    return _SAFE.format(name)


class Compared(NamedTuple):
    """The table of a list by corpus, that of the build, and notes on the files and rows that were passed over."""

    lost: Report
    kept: Report
    passed_over: tuple[str, ...]


def compare(ledger: Ledger, metafile: Path | None, out: Path) -> Compared:
    """Write the fate of every listed row to a CSV; return the tables of the list and of the build.

    A listed row is kept if any sample with its URL is; else it has the fate of the sample that came furthest, with ties
    broken by sample_id. Labelled images are compared by name instead, where the list names some. In a build without
    tars, samples that no stage has refused yet count as kept.

    Raises:
        InputError: no list is named, one of its files cannot be read, or the build has no plan yet.
        ContractError: not every row of the list is counted exactly once.
    """
    if metafile is None:
        raise InputError("METAFILE is missing: name a list of RS5M or a folder of lists, or a release with RELEASE=…")
    if not ledger.state(ledger.writer["planned"]).is_complete:
        raise InputError(f"{ledger.store.root} cannot be compared by URL yet: run `make stage-plan` first")
    listed, passed_over = read_lists(metafile)
    with open_views(ledger) as db:
        db.register("listed", listed)
        has_labelled = scalar(db, "SELECT count(*) FROM listed WHERE is_labelled") > 0
        db.execute(f"CREATE TEMP TABLE sample_fate AS {_sample_fates(ledger, has_labelled)}")
        db.execute(f"CREATE TEMP TABLE row_fate AS {_ROW_FATES}")
        lost = _lost(db, listed.num_rows)
        kept = query_report(db, "samples that this build keeps", _NEW)
        out.parent.mkdir(parents=True, exist_ok=True)
        db.execute(f"COPY ({_CSV}) TO {quote_text(str(out))} (FORMAT csv, HEADER)")
    return Compared(lost, kept, passed_over)


def _sample_fates(ledger: Ledger, has_labelled: bool) -> str:
    """Return SQL for a row per planned web sample: its URL, its fate, and how far it came.

    Args:
        ledger: the build.
        has_labelled: whether labelled images have rows too, with their sample_id instead of a URL's.
    """
    # Samples on which no stage has decided yet count as kept; in a finished build there are none.
    done = takewhile(lambda stage: ledger.state(stage).is_complete, ledger.stages)
    last = [stage.name for stage in done if stage.reasons and stage.half != "rs3"][-1]
    order = ", ".join(f"'{stage.name}'" for stage in ledger.stages)
    labelled = "UNION ALL SELECT sample_id, sample_id FROM samples WHERE half = 'rs3'" if has_labelled else ""
    return f"""
        WITH samples AS ({samples_query(ledger)}),
        p AS (SELECT fetch_id, sample_id FROM planned {labelled})
        SELECT p.fetch_id, p.sample_id, s.corpus, coalesce(d.stage, '{last}') AS stage,
               coalesce(d.reason, '') AS reason, coalesce(d.fate, '{KEPT}') = '{KEPT}' AS is_kept,
               list_position([{order}], coalesce(d.stage, '{last}')) AS place
        FROM p JOIN samples s USING (sample_id)
        LEFT JOIN ({fates_query(ledger)}) d USING (sample_id)
    """


_ROW_FATES = f"""
    WITH best AS (
        SELECT * FROM sample_fate SEMI JOIN listed USING (fetch_id)
        QUALIFY row_number() OVER (PARTITION BY fetch_id ORDER BY is_kept DESC, place DESC, sample_id) = 1
    )
    SELECT l.row, l.list_name, l.url, l.corpus, b.sample_id,
           CASE WHEN l.fault IS NOT NULL THEN 'list' WHEN b.fetch_id IS NOT NULL THEN b.stage
                WHEN l.is_labelled THEN 'inventory' ELSE 'filter' END AS stage,
           CASE WHEN l.fault IS NULL AND b.is_kept THEN '{KEPT}' ELSE '{LOST}' END AS fate,
           CASE WHEN l.fault IS NOT NULL THEN l.fault WHEN b.is_kept THEN '' WHEN b.fetch_id IS NOT NULL THEN b.reason
                WHEN l.is_labelled THEN '{NOT_IN_SOURCES}' ELSE '{NOT_A_CANDIDATE}' END AS reason
    FROM listed l LEFT JOIN best b ON b.fetch_id = l.fetch_id AND l.fault IS NULL
"""
_CSV = f"""
    SELECT {csv_safe("list_name")}, {csv_safe("url")}, sample_id, stage, fate, nullif(reason, '') AS reason
    FROM row_fate ORDER BY row
"""
_NEW = """
    WITH kept AS (
        SELECT corpus, fetch_id NOT IN
               (SELECT fetch_id FROM listed WHERE fetch_id IS NOT NULL) AS is_new
        FROM sample_fate WHERE is_kept
    )
    SELECT coalesce(corpus, 'Total') AS corpus, count(*) AS kept, count(*) FILTER (NOT is_new) AS listed,
           count(*) FILTER (is_new) AS new
    FROM kept GROUP BY ROLLUP (corpus) ORDER BY corpus = 'Total', corpus
"""


def _lost(db: duckdb.DuckDBPyConnection, n_listed: int) -> Report:
    """Return rows published, kept and lost by stage and reason, per corpus of the list and in total."""
    found = db.execute(
        f"SELECT corpus, CASE fate WHEN '{KEPT}' THEN '{KEPT}' ELSE stage || ': ' || reason END, count(*)"
        " FROM row_fate GROUP BY ALL"
    ).fetchall()
    fates = dict.fromkeys(fate for (fate,) in db.execute(_FATES_IN_ORDER).fetchall() if fate != KEPT)
    counts = {(corpus, fate): n for corpus, fate, n in found}
    rows: list[Row] = []
    for corpus in (*sorted({corpus for corpus, _ in counts}), "Total"):
        of_corpus = {
            fate: sum(n for (c, f), n in counts.items() if f == fate and corpus in (c, "Total"))
            for fate in (KEPT, *fates)
        }
        n_lost = sum(n for fate, n in of_corpus.items() if fate != KEPT)
        rows.append({"corpus": corpus, "published": of_corpus[KEPT] + n_lost, **of_corpus, LOST: n_lost})
    if not sum(counts.values()) == n_listed == rows[-1]["published"]:
        raise ContractError(f"{n_listed} rows are listed, {sum(counts.values())} are counted")
    return Report("rows of the list", ("corpus", "published", KEPT, LOST, *fates), tuple(rows), tuple(fates))


_FATES_IN_ORDER = """
    SELECT stage || ': ' || reason AS fate FROM row_fate LEFT JOIN
        (SELECT stage, min(place) AS place FROM sample_fate GROUP BY stage) USING (stage)
    WHERE fate <> 'kept' GROUP BY stage, reason ORDER BY min(place) NULLS FIRST, stage DESC, count(*) DESC, reason
"""
