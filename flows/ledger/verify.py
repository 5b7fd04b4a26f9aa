"""Check a whole build from its files alone: digests, schemas, keys, conservation per partition, stage and corpus.

Trusts no conclusion of a run; every fault is named with its remedy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from flows.ask.damage import sentences, unreadable_sentences
from flows.ask.dataset import dataset_faults
from flows.ask.report import stage_tables, unbalanced
from flows.ask.views import open_views
from flows.ledger.check_pool import run_checks
from flows.ledger.declared import differences
from flows.ledger.journal import Journal, receipt_digest
from flows.ledger.ledger import Ledger
from flows.ledger.partition_check import Check, Checked, Fault, SeenFile, see_file
from flows.ledger.receipt import Receipt, read_receipt
from flows.ledger.state import StageState
from flows.ledger.store import Store
from flows.ledger.verify_progress import Progress
from stages.contract import Stage
from stages.plurals import counted

if TYPE_CHECKING:
    import duckdb

# A process takes a second to begin: in that time these are checked.
_BYTES_WORTH_A_PROCESS = 400_000_000
_CHECKS_WORTH_A_PROCESS = 400


@dataclass(frozen=True)
class How:
    """How a build is verified.

    Attributes:
        workers: processes that read files.
        is_quick: only sizes, receipts and schemas are looked at, no bytes and no rows.
        is_resumed: skip files found sound by an earlier verification and unchanged since, by size, inode and time.
        has_journal: note in the build what is sound, which needs a folder that can be written.
        catalogue: `module:NAME` of the stages, for other processes.
        show: takes the progress whenever a partition was checked.
    """

    workers: int = 1
    is_quick: bool = False
    is_resumed: bool = False
    has_journal: bool = True
    catalogue: str = "stages:STAGES"
    show: Callable[[Progress], None] = lambda progress: None


IN_FULL = How()


def verify(ledger: Ledger, how: How = IN_FULL) -> Iterator[Fault | str]:
    """Yield faults, and between them a line per stage on its checks.

    The bytes of every file are hashed once, however many names it has; the keys that a partition was given are read
    from the tables they are in. A journal in the build lists the sound partitions and files, if it can be written.
    """
    if how.is_quick or not how.has_journal:
        yield from _verify(ledger, how, None)
        return
    with Journal(ledger.store, how.is_resumed) as journal:
        yield from _verify(ledger, how, journal)


def _verify(ledger: Ledger, how: How, journal: Journal | None) -> Iterator[Fault | str]:
    n_faults, sound = 0, list[Stage]()
    for fault in _damaged_receipts(ledger):
        n_faults += 1
        yield fault
    files = _Files(ledger.store, journal)
    known = {r.folder for stage in ledger.stages for r in ledger.state(stage).receipts if files.is_known(r)}
    found = _check_all(ledger, how, files, known)
    for stage in ledger.stages:
        state, n_before = ledger.state(stage), n_faults
        checked = islice(found, sum(r.folder not in known for r in state.receipts))
        for fault in chain(_cut_receipts(ledger, stage), chain.from_iterable(one.faults for one in checked)):
            n_faults += 1
            yield fault
        if n_faults == n_before:
            sound.append(stage)
        yield _line(state, known)
        if stage.writes.name == "source_listing" and not n_faults:
            yield from (Fault(stage.name, what) for what in unreadable_sentences(ledger))
        if stage.writes.name == "candidate" and not n_faults:
            yield from (Fault(f"{stage.name}/{file.partition}", what) for file, what in sentences(ledger))
    next(found, None)  # ends the processes
    if not how.is_quick:
        # If some tables are damaged, sums over all would blame the sound ones.
        for fault in _verify_tables(ledger, sound, with_sums=not n_faults):
            n_faults += 1
            yield fault
    if n_faults:
        return
    digest_of = None if how.is_quick else files.digest_of
    yield from (Fault("dataset", what) for what in dataset_faults(ledger.store.root, digest_of))


def set_aside(ledger: Ledger, faults: Sequence[Fault]) -> Iterator[tuple[str, str]]:
    """Rename the receipts that faults name, so that the next run does their partitions again; yield lines with style.

    Observations of the world are left: they cannot be made again.
    """
    observed = {stage.writes.name for stage in ledger.stages if stage.keeps != "current"}
    for folder in sorted({fault.folder for fault in faults if fault.folder}):
        receipt = ledger.store.path(folder) / "receipt.json"
        if folder.split("/")[0] in observed:
            yield f"left as it is: {folder} records observations and cannot be made again", "red"
        elif receipt.exists():
            receipt.rename(receipt.with_name(f"receipt.json.set-aside-{int(time.time())}"))
            yield f"set aside: {folder}", ""


def _check_all(ledger: Ledger, how: How, files: _Files, known: Collection[str]) -> Iterator[Checked]:
    """Yield the check of each receipt that is not known to be sound, in the order of stages and partitions."""
    due = [(s, r) for s in ledger.stages for r in ledger.state(s).receipts if r.folder not in known]
    progress = Progress(len(due), sum(r.n_bytes for _, r in due))
    checks = (_check(ledger, stage, receipt, how.is_quick) for stage, receipt in due)
    workers = min(how.workers, 1 + progress.bytes_due // _BYTES_WORTH_A_PROCESS + len(due) // _CHECKS_WORTH_A_PROCESS)
    results = run_checks(checks, ledger.store, ledger.stages, how.catalogue, workers)
    for (_, receipt), checked in zip(due, results, strict=True):
        if not how.is_quick:
            files.take(receipt, checked)
        progress.advance(receipt.n_bytes)
        how.show(progress)
        yield checked


def _check(ledger: Ledger, stage: Stage, receipt: Receipt, is_quick: bool) -> Check:
    given = [r for r in stage.reads if r.name in stage.given.names] if stage.keeps == "current" and not is_quick else []
    return Check(stage.name, receipt, {r.name: ledger.pieces(r, receipt.partition) for r in given}, is_quick)


def _cut_receipts(ledger: Ledger, stage: Stage) -> Iterator[Fault]:
    for partition in ledger.state(stage).due:
        folder = ledger.store.folder(stage.writes.name, partition.name, partition.fingerprint)
        body = read_receipt(ledger.store.path(folder) / "receipt.json")
        if isinstance(body, dict):
            other = differences(stage.writes, body)
            what = f"it was made by an earlier version: its table {other}" if other else (
                "its receipt names files that are gone or cut, or belongs to another partition or version"
            )  # fmt: skip
            yield Fault(f"{stage.name}/{partition.name}", what, folder)


def _line(state: StageState, known: Collection[str]) -> str:
    rows = sum(r.n_kept + sum(r.reasons.values()) for r in state.receipts)
    missing = f", {counted(len(state.due), 'partition')} to do" if state.due else ", blocked" if state.blocked else ""
    n_known = sum(r.folder in known for r in state.receipts)
    before = f", {n_known} of them verified before" if n_known else ""
    return f"{state.stage.name}: {counted(len(state.receipts), 'receipt')}{before}, {counted(rows, 'row')}{missing}"


def _verify_tables(ledger: Ledger, sound: Sequence[Stage], with_sums: bool) -> Iterator[Fault]:
    """Yield the faults of whole tables: keys in two partitions, then sums over all stages."""
    if not sound:
        return
    with open_views(ledger, sound) as db:
        faults = [fault for stage in sound for fault in _repeated_keys(ledger, stage, db)]
        yield from faults
        if with_sums and not faults:
            yield from _verify_corpora(ledger, db)


def _repeated_keys(ledger: Ledger, stage: Stage, views: duckdb.DuckDBPyConnection) -> Iterator[Fault]:
    if len(ledger.state(stage).receipts) < 2:
        return  # keys of one partition were compared when it was checked
    keys = ", ".join(f'"{name}"' for name in stage.writes.key)
    twice = views.execute(
        f'SELECT {keys}, count(*) FROM "{stage.writes.name}" GROUP BY {keys} HAVING count(*) > 1 LIMIT 3'
    ).fetchall()
    if twice:
        yield Fault(stage.name, f"keys occur in more than one partition of {stage.writes.name}: {twice}")


def _damaged_receipts(ledger: Ledger) -> Iterator[Fault]:
    for folder in ledger.store.folders(stage.writes.name for stage in ledger.stages):
        found = read_receipt(folder / "receipt.json")
        if isinstance(found, str):
            address = str(folder.relative_to(ledger.store.root))
            yield Fault(address, f"{found}; the next run does the partition again", address)


class _Files:
    """The files that were read, by inode: a file that is published under a second name is not read again."""

    def __init__(self, store: Store, journal: Journal | None) -> None:
        self._store = store
        self._journal = journal
        self._seen: dict[tuple[int, int], SeenFile] = {}

    def is_known(self, receipt: Receipt) -> bool:
        """Return whether a partition was found sound before and has not changed since."""
        return self._remember(receipt.folder, receipt_digest(self._store, receipt.folder))

    def take(self, receipt: Receipt, checked: Checked) -> None:
        """Note the files that a check read; a sound partition goes into the journal."""
        self._seen.update({(file.device, file.inode): file for file in checked.seen})
        if self._journal is not None and not checked.faults:
            self._journal.add(receipt.folder, receipt_digest(self._store, receipt.folder), checked.seen)

    def digest_of(self, path: Path) -> str:
        """Return the sha256 of a published file, which is read only if that was not done before."""
        now = path.stat()
        seen = self._seen.get((now.st_dev, now.st_ino))
        address = path.resolve().relative_to(self._store.root.resolve()).as_posix()
        if seen is None and self._remember(address, ""):
            seen = self._seen.get((now.st_dev, now.st_ino))
        if seen is None or (seen.size_bytes, seen.mtime_ns) != (now.st_size, now.st_mtime_ns):
            seen = see_file(path, address)
            if self._journal is not None:
                self._journal.add(address, "", (seen,))
        return seen.sha256

    def _remember(self, name: str, receipt: str) -> bool:
        files = self._journal.known(name, receipt) if self._journal is not None else None
        self._seen.update({(file.device, file.inode): file for file in files or ()})
        return files is not None


def _verify_corpora(ledger: Ledger, views: duckdb.DuckDBPyConnection) -> Iterator[Fault]:
    unfinished = {stage.module for stage in ledger.stages if not ledger.state(stage).is_complete}
    finished = [module for module in dict.fromkeys(s.module for s in ledger.stages) if module not in unfinished]
    for report in stage_tables(ledger, finished, views):  # from the tables: the records of a run prove nothing
        for row in unbalanced(report.rows):
            yield Fault(
                f"{row['stage']}, {row['corpus']}",
                f"{row['given']} samples given, {row['kept']} kept and {row['rejected']} rejected",
            )
