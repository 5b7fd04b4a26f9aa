"""`<build>/dataset/`: what people use and publish, made of hard links to what the current receipts name.

Replaced as a whole by one rename of a link; no stage reads it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from flows.ask.dictionary import assumptions_report, columns_report
from flows.ask.report import Report, Row, query_report, stage_reports, write_csv
from flows.ask.views import open_views
from flows.ledger.digests import digest_file
from flows.ledger.ledger import Ledger, StageState, short
from stages.contract import InputError
from stages.identity import digest_json

if TYPE_CHECKING:
    import duckdb

REPORT_FORMAT = 5  # raised when a report says something else of the same receipts
CHECKSUMS = "SHA256SUMS"
_METAFILE_CSV_SPLITS = ("train", "val")
_ROWS_SHOWN = 12
STATISTICS = {
    "pub11_funnel": "PUB11 funnel",
    "source_count": "rows of the source files",
    "keyword_count": "candidates by keyword",
    "rs3": "RS3",
    "text_count": "published samples with metadata",
    "country_count": "published samples by country",
    "month_count": "published samples by month",
    "utm_count": "published samples by UTM zone",
}


def module_reports(ledger: Ledger, module: str) -> list[Report]:
    """Return the tables of a module; kept beside the build until one of its receipts changes."""
    last = max(i for i, stage in enumerate(ledger.stages) if stage.module == module)
    digest = _digest_states([ledger.state(stage) for stage in ledger.stages[: last + 1]])
    path = ledger.store.root / ".reports" / f"{module}-{digest}-{REPORT_FORMAT}.json"
    if not path.exists() or not path.stat().st_size:
        reports = stage_reports(ledger, module)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps([asdict(report) for report in reports]), encoding="utf-8")
        draft.rename(path)
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [Report(r["title"], tuple(r["columns"]), tuple(r["rows"]), tuple(r["folded"])) for r in stored]


def publish_dataset(ledger: Ledger) -> Path:
    """Make `<build>/dataset/` what the current receipts say; return its path. Does nothing where it is that."""
    digest = _digest_states([ledger.state(stage) for stage in ledger.stages]) + f"-{REPORT_FORMAT}"
    root = ledger.store.root
    link, made = root / "dataset", root / ".dataset" / digest
    if link.exists() and not link.is_symlink():
        raise InputError(f"{link} is a folder of its own, not ours to replace: move it away and run this again")
    if not made.exists():
        draft = made.with_name(f"{digest}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        _fill(ledger, draft)
        draft.rename(made)
    if not link.is_symlink() or link.readlink() != made.relative_to(root):
        new = root / f".dataset-link.{os.getpid()}"
        new.unlink(missing_ok=True)
        new.symlink_to(made.relative_to(root))
        new.replace(link)
    for other in made.parent.iterdir():
        if other != made:
            shutil.rmtree(other)
    return link


def tars(ledger: Ledger) -> dict[str, Path]:
    """Return the current tar of each shard, under its published path."""
    writer = ledger.writer["shard"]
    state = ledger.state(writer)
    if not state.is_complete:
        return {}
    found = {}
    for receipt in state.receipts:
        split = receipt.partition.split("-")[1]
        tar = next(f["file"] for f in receipt.body["files"])
        found[f"{split}/{receipt.partition}.tar"] = ledger.store.path(f"{receipt.folder}/{tar}")
    return found


def _fill(ledger: Ledger, folder: Path) -> None:
    for name in ("train", "val", "metafiles", "tables"):
        (folder / name).mkdir(parents=True)
    for name, tar in tars(ledger).items():
        _link(tar, folder / name)
    modules = dict.fromkeys(stage.module for stage in ledger.stages)
    for module in modules:
        for report in module_reports(ledger, module)[:1]:
            (folder / "tables" / f"stage_{module}.csv").write_text(report.csv(), encoding="utf-8")
    for name, report in (
        ("tables/assumptions", assumptions_report(ledger.settings, ledger.stages)),
        ("metafiles/columns", columns_report(ledger.stages)),
    ):
        (folder / f"{name}.csv").write_text(report.csv(), encoding="utf-8")
    with open_views(ledger) as db:
        _write_statistics(ledger, db, folder / "tables")
        _write_metafiles(ledger, db, folder / "metafiles")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{digest_file(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def dataset_faults(root: Path) -> Iterator[str]:
    """Yield what is wrong with the files of `<build>/dataset/`, by their checksums."""
    folder = root / "dataset"
    if not folder.exists():
        return
    if not (folder / CHECKSUMS).exists():
        yield f"{CHECKSUMS} is missing: remove {root / '.dataset'} and run `make build`"
        return
    for line in (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines():
        stated, _, name = line.partition("  ")
        if not (folder / name).exists() or digest_file(folder / name) != stated:
            yield f"{name} is not what was published: remove {root / '.dataset'} and run `make build`"


def statistic_report(db: duckdb.DuckDBPyConnection, table: str) -> Report:
    """Return a table of the module stats; the PUB11 funnel in its published order: by what remained, the total last."""
    query = f"SELECT * FROM {table}"
    if table == "pub11_funnel":
        query += " ORDER BY source = 'Total', published_remain DESC NULLS LAST, source"
    return query_report(db, STATISTICS[table], query)


def statistics_for_people(ledger: Ledger) -> Iterator[Report]:
    """Yield the statistics that are made, the long ones cut to their most frequent rows."""
    with open_views(ledger) as db:
        for table in STATISTICS:
            if not ledger.state(ledger.writer[table]).is_complete:
                continue
            report = statistic_report(db, table)
            if any(name.startswith("published_") for name in report.columns):
                yield published_below(report)
            elif "n_pub11" in report.columns and report.rows:
                rows = sorted(report.rows, key=lambda row: -int(str(row["n_pub11"])) - int(str(row["n_rs3"])))
                cut = "" if len(rows) <= _ROWS_SHOWN else f" (the {_ROWS_SHOWN} largest of {len(rows)})"
                yield Report(report.title + cut, report.columns, tuple(rows[:_ROWS_SHOWN]))


def all_reports(ledger: Ledger) -> Iterator[Report]:
    """Yield every table that a build has: per module, the statistics, the assumptions."""
    for module in dict.fromkeys(stage.module for stage in ledger.stages):
        yield from module_reports(ledger, module)
    yield from statistics_for_people(ledger)
    yield assumptions_report(ledger.settings, ledger.stages)


def published_below(report: Report) -> Report:
    """Return a table with the published figures below ours instead of beside them: it fits a terminal."""
    ours = tuple(name for name in report.columns if name != "source" and not name.startswith("published_"))
    rows: list[Row] = []
    for row in report.rows:
        rows.append({"source": row["source"], "build": "this one", **{name: row[name] for name in ours}})
        published = {name: row[f"published_{name}"] for name in ours if row.get(f"published_{name}") is not None}
        if published:
            rows.append({"source": "", "build": "published", **published})
    return Report(report.title, ("source", "build", *ours), tuple(rows))


def _write_statistics(ledger: Ledger, db: duckdb.DuckDBPyConnection, folder: Path) -> None:
    for stage in ledger.stages:
        name, state = stage.writes.name, ledger.state(stage)
        if stage.module != "stats" or not state.is_complete:
            continue
        report = statistic_report(db, name)
        (folder / f"{name}.csv").write_text(report.csv(), encoding="utf-8")
        (folder / f"{name}.md").write_text(report.markdown(), encoding="utf-8")
        _link(ledger.store.path(state.receipts[0].kept_file), folder / f"{name}.parquet")


def _write_metafiles(ledger: Ledger, db: duckdb.DuckDBPyConnection, folder: Path) -> None:
    if not all(ledger.state(ledger.writer[name]).is_complete for name in ("metafile", "crosswalk")):
        return
    _link(
        ledger.store.path(ledger.state(ledger.writer["crosswalk"]).receipts[0].kept_file), folder / "crosswalk.parquet"
    )
    for half, origin in (("pub11", "url"), ("rs3", "path")):
        rows = db.sql(f"SELECT * FROM metafile WHERE half = '{half}' ORDER BY sample_id").to_arrow_table()
        pq.write_table(pa.table(rows), folder / f"{half}_metadata.parquet", compression="zstd")
        for split in _METAFILE_CSV_SPLITS:
            query = (
                f"SELECT img_name, published_text AS text, {origin}, corpus FROM metafile"
                f" WHERE half = '{half}' AND split = '{split}' ORDER BY 1"
            )
            write_csv(db.execute(query), folder / f"{half}_{split}_metadata.csv")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _digest_states(states: list[StageState]) -> str:
    receipts = [[s.stage.name, [(r.partition, r.fingerprint, r.body["attempt"]) for r in s.receipts]] for s in states]
    return short(digest_json(receipts))
