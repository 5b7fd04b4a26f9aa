"""Publish `<build>/dataset/`: hard links to the files that the current receipts name.

It is replaced atomically by renaming one link; no stage reads it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from flows.ask.dataset_folder import CHECKSUMS, DatasetFolder, draft_folder, folder_faults, remove_others
from flows.ask.dictionary import assumptions_report, columns_report
from flows.ask.index import add_index
from flows.ask.metafiles import add_metafiles
from flows.ask.report import Report, Row, query_report, stage_reports
from flows.ask.tars import add_tars
from flows.ask.views import open_views
from flows.card.facts import card_digest
from flows.card.files import LATEX
from flows.ledger.digests import digest_file
from flows.ledger.ledger import Ledger, short
from flows.ledger.state import StageState
from flows.rate.results import read_results
from stages.contract import InputError, Stage
from stages.identity import digest_json

if TYPE_CHECKING:
    import duckdb

REPORT_FORMAT = 14  # raised when reports change for the same receipts
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

PAGE, OUTLIERS = "report.html", "outliers.html"
LOADER = Path(__file__).with_name("rs5m_loader.py")  # published as it is: it imports nothing of this project
_ON_THE_PAGE = ("metafile", "pub11_funnel", "rs3")
_ON_OUTLIERS = ("survivor", "outlier_rule", "vlm_score", "detector_score")


def module_reports(
    ledger: Ledger, module: str, views: Callable[[], duckdb.DuckDBPyConnection | None] = lambda: None
) -> list[Report]:
    """Return the tables of a module, cached beside the build until one of its receipts changes.

    Args:
        ledger: the build.
        module: as STAGES has it.
        views: returns the open views of all tables, for those who want many modules.
    """
    digest = _digest_states([ledger.state(stage) for stage in _up_to(ledger, module)])
    path = ledger.store.root / ".reports" / f"{module}-{digest}-{REPORT_FORMAT}.json"
    if not path.exists() or not path.stat().st_size:
        reports = stage_reports(ledger, module, views())
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps([asdict(report) for report in reports]), encoding="utf-8")
        draft.rename(path)
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [Report(r["title"], tuple(r["columns"]), tuple(r["rows"]), tuple(r["folded"])) for r in stored]


def _up_to(ledger: Ledger, module: str) -> Sequence[Stage]:
    last = max(i for i, stage in enumerate(ledger.stages) if stage.module == module)
    return ledger.stages[: last + 1]


def publish_dataset(ledger: Ledger, sources: Path | None = None) -> Path:
    """Bring `<build>/dataset/` up to date with the current receipts; return its path.

    No tar is read, because receipts have its sha256; files made from unchanged tables are linked again. Each page is
    made once the tables that it is about are complete.

    Args:
        ledger: the build.
        sources: the SOURCES folder, for the page's pictures of labelled corpora.
    """
    states = _digest_states([ledger.state(stage) for stage in ledger.stages])
    unreceipted = digest_json([card_digest(ledger), digest_file(LOADER)])
    digest = f"{states}-{short(unreceipted)}-{REPORT_FORMAT}"
    root = ledger.store.root
    judged = short(digest_json(read_results(root)))
    digest += f"-{judged}"
    link, made = root / "dataset", root / ".dataset" / digest
    if link.exists() and not link.is_symlink():
        raise InputError(f"{link} was not made by this program and is not replaced: move it away and run this again")
    if not made.exists():
        before = root / link.readlink() if link.is_symlink() else None
        with draft_folder(made, before) as folder:
            _fill(ledger, folder)
            if all(ledger.state(ledger.writer[name]).is_complete for name in _ON_THE_PAGE):
                folder.make(PAGE, f"{states}-{judged}-{REPORT_FORMAT}", lambda path: _write_page(ledger, sources, path))
            if all(ledger.state(ledger.writer[name]).is_complete for name in _ON_OUTLIERS):
                decided = _digest_states([ledger.state(stage) for stage in _up_to(ledger, "outliers")])
                folder.make(OUTLIERS, f"{decided}-{REPORT_FORMAT}", lambda path: _write_outliers(ledger, sources, path))
            folder.publish(made)
    if not link.is_symlink() or link.readlink() != made.relative_to(root):
        new = root / f".dataset-link.{os.getpid()}"
        new.unlink(missing_ok=True)
        new.symlink_to(made.relative_to(root))
        new.replace(link)
    remove_others(made)
    return link


def _write_page(ledger: Ledger, sources: Path | None, path: Path) -> None:
    from flows.page.page import write_page  # imports PIL and jinja2, which most commands do without

    write_page(ledger, sources, path)


def _write_outliers(ledger: Ledger, sources: Path | None, path: Path) -> None:
    from flows.page.outliers import write_outliers  # imports PIL and jinja2, which most commands do without

    write_outliers(ledger, sources, path)


def _fill(ledger: Ledger, folder: DatasetFolder) -> None:
    for name in ("train", "val", "metafiles", "tables"):
        (folder.path / name).mkdir(parents=True)
    add_tars(ledger, folder)
    add_index(ledger, folder)
    folder.write(LOADER.name, LOADER.read_text(encoding="utf-8"))
    with ExitStack() as stack:
        views = cache(lambda: stack.enter_context(open_views(ledger)))
        for module in dict.fromkeys(stage.module for stage in ledger.stages):
            for report in module_reports(ledger, module, views)[:1]:
                folder.write(f"tables/stage_{module}.csv", report.csv())
    folder.write("tables/assumptions.csv", assumptions_report(ledger.settings, ledger.stages).csv())
    for name, text in read_results(ledger.store.root).items():
        folder.write(f"tables/{name}", text)
    folder.write("metafiles/columns.csv", columns_report(ledger.stages).csv())
    _add_statistics(ledger, folder)
    add_metafiles(ledger, folder)
    _add_card(ledger, folder)


def _add_card(ledger: Ledger, folder: DatasetFolder) -> None:
    from flows.card.write import add_card  # imports jinja2 and yaml, which most commands do without

    add_card(ledger, folder, _beside_published(ledger))


def _beside_published(ledger: Ledger) -> dict[str, Report]:
    """Return the statistics that have published figures, these below the build's own."""
    names = [name for name in LATEX if ledger.state(ledger.writer[name]).is_complete]
    with open_views(ledger, [ledger.writer[name] for name in names]) as db:
        return {name: published_below(statistic_report(db, name)) for name in names}


def dataset_faults(root: Path, digest_of: Callable[[Path], str] | None = digest_file) -> Iterator[str]:
    """Yield the files of `<build>/dataset/` that differ from their checksums.

    Args:
        root: the build folder.
        digest_of: returns the sha256 of a file: files read before need not be read again. None to check only that
            files exist.
    """
    folder = root / "dataset"
    if not folder.exists():
        return
    advice = f"remove {root / '.dataset'} and run `make build`"
    if not (folder / CHECKSUMS).exists():
        yield f"{CHECKSUMS} is missing: {advice}"
        return
    for name in folder_faults(folder, digest_of):
        yield f"{name} differs from the published file: {advice}"


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


def all_reports(ledger: Ledger) -> Iterator[Report]:
    """Yield every table of a build: one per module, the statistics, the assumptions."""
    for module in dict.fromkeys(stage.module for stage in ledger.stages):
        yield from module_reports(ledger, module)
    yield from statistics_for_people(ledger)
    yield assumptions_report(ledger.settings, ledger.stages)


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


def _add_statistics(ledger: Ledger, folder: DatasetFolder) -> None:
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


def _digest_states(states: list[StageState]) -> str:
    receipts = [[s.stage.name, [(r.partition, r.fingerprint, r.body["attempt"]) for r in s.receipts]] for s in states]
    return short(digest_json(receipts))
