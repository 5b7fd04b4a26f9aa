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

from flows.ask.dataset_folder import CHECKSUMS, DatasetFolder, draft_folder, folder_faults, lost_files, remove_others
from flows.ask.dictionary import assumptions_report, columns_report
from flows.ask.index import add_index
from flows.ask.metafiles import add_metafiles
from flows.ask.report import Report, stage_reports
from flows.ask.statistics import add_statistics, published_below, statistic_report, statistics_for_people
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
from stages.plurals import counted

if TYPE_CHECKING:
    import duckdb

REPORT_FORMAT = 14  # raised when reports change for the same receipts

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


def publish_dataset(
    ledger: Ledger, sources: Path | None = None, tell: Callable[[str], None] = lambda text: None
) -> Path:
    """Bring `<build>/dataset/` up to date with the current receipts; return its path.

    No tar is read, because receipts have its sha256; files made from unchanged tables are linked again. Each page is
    made once the tables that it is about are complete.

    Args:
        ledger: the build.
        sources: the SOURCES folder, for the page's pictures of labelled corpora.
        tell: prints a line, if published files were lost and are restored.

    Raises:
        InputError: `dataset` is not ours, or a file that a receipt names is missing.
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
    lost = lost_files(made) if made.exists() else []
    if lost:
        tell(f"dataset: {counted(len(lost), 'published file')} missing or cut, such as {lost[0]}: published again")
    if lost or not made.exists():
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
    add_statistics(ledger, folder)
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


def all_reports(ledger: Ledger) -> Iterator[Report]:
    """Yield every table of a build: one per module, the statistics, the assumptions."""
    for module in dict.fromkeys(stage.module for stage in ledger.stages):
        yield from module_reports(ledger, module)
    yield from statistics_for_people(ledger)
    yield assumptions_report(ledger.settings, ledger.stages)


def _digest_states(states: list[StageState]) -> str:
    receipts = [[s.stage.name, [(r.partition, r.fingerprint, r.body["attempt"]) for r in s.receipts]] for s in states]
    return short(digest_json(receipts))
