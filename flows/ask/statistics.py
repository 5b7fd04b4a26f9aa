"""The statistics of a build as tables: for people, and as files of the published folder.

Not for computing them: that is `stages/stats`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flows.ask.dataset_folder import DatasetFolder
from flows.ask.report import Report, Row, query_report
from flows.ask.views import open_views
from flows.ledger.ledger import Ledger

if TYPE_CHECKING:
    import duckdb

_ROWS_SHOWN = 12
STATISTICS = {
    "pub11_funnel": "PUB11 funnel",
    "pub11_rate": "PUB11 rates, of the step before",
    "outlier_overlap": "survivors removed by each score and by both",
    "outlier_cell": "survivors that pairs of shares leave",
    "caption_tier": "samples by the match of image and caption",
    "caption_cos_bin": "samples by the cosine of image and caption",
    "image_size": "published images by size",
    "caption_length": "words of the published texts",
    "source_count": "rows of the source files",
    "keyword_count": "candidates by keyword",
    "rs3": "RS3",
    "text_count": "published samples with metadata",
    "contamination": "pictures and captions of evaluation sets",
    "split_count": "groups and splits of published samples",
    "email_count": "e-mail addresses in captions",
    "further_count": "texts that others published",
    "country_count": "published samples by country",
    "month_count": "published samples by month",
    "utm_count": "published samples by UTM zone",
}


def statistic_report(db: duckdb.DuckDBPyConnection, table: str) -> Report:
    """Return a statistic; the PUB11 funnel is ordered by the published remainder, the total last."""
    query = f"SELECT * FROM {table}"
    if table == "pub11_funnel":
        query += " ORDER BY source = 'Total', published_remain DESC NULLS LAST, source"
    return query_report(db, STATISTICS[table], query)


def statistics_for_people(ledger: Ledger) -> Iterator[Report]:
    """Yield the available statistics; long ones are cut to their most frequent rows."""
    with open_views(ledger) as db:
        for table in STATISTICS:
            if not ledger.state(ledger.writer[table]).is_complete:
                continue
            report = statistic_report(db, table)
            if "source" in report.columns and any(name.startswith("published_") for name in report.columns):
                yield published_below(report)
            elif table == "split_count":
                yield report
            elif "n_pub11" in report.columns and report.rows:
                rows = sorted(report.rows, key=lambda row: -int(str(row["n_pub11"])) - int(str(row["n_rs3"])))
                cut = "" if len(rows) <= _ROWS_SHOWN else f" (the {_ROWS_SHOWN} largest of {len(rows)})"
                yield Report(report.title + cut, report.columns, tuple(rows[:_ROWS_SHOWN]))


def published_below(report: Report) -> Report:
    """Return a table with the published figures below ours instead of beside them, to fit a terminal."""
    ours = tuple(name for name in report.columns if name != "source" and not name.startswith("published_"))
    rows: list[Row] = []
    for row in report.rows:
        rows.append({"source": row["source"], "build": "this one", **{name: row[name] for name in ours}})
        published = {name: row[f"published_{name}"] for name in ours if row.get(f"published_{name}") is not None}
        if published:
            rows.append({"source": "", "build": "published", **published})
    return Report(report.title, ("source", "build", *ours), tuple(rows))


def add_statistics(ledger: Ledger, folder: DatasetFolder) -> None:
    """Add each statistic whose table is complete to a folder, as CSV, Markdown and parquet."""
    made = [stage for stage in ledger.stages if stage.writes.name in STATISTICS and ledger.state(stage).is_complete]
    if not made:
        return
    with open_views(ledger, made) as db:
        for stage in made:
            name, receipt = stage.writes.name, ledger.state(stage).receipts[0]
            report = statistic_report(db, name)
            folder.write(f"tables/{name}.csv", report.csv())
            folder.write(f"tables/{name}.md", report.markdown())
            folder.link(f"tables/{name}.parquet", ledger.store.path(receipt.kept_file), receipt.kept_sha256)
