"""Check a whole build from its files alone: digests, schemas, keys, conservation per partition, stage and corpus.

Results of a run are not trusted; every fault is named with what to do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from flows.ask.damage import sentences, unreadable_sentences
from flows.ask.dataset import dataset_faults
from flows.ask.report import stage_reports, unbalanced
from flows.ask.views import open_views
from flows.ledger.digests import digest_columns, digest_file
from flows.ledger.ledger import Ledger
from flows.ledger.parts import digested_columns
from flows.ledger.receipt import Receipt, read_receipt
from stages.checks import check_conserved, check_reasons, check_typed, check_unique, given_keys
from stages.contract import ContractError, InputError, Outcome, Reads, Stage


@dataclass(frozen=True)
class Fault:
    """Something wrong with a build; `folder` is the receipt to set aside for a repair, if there is one."""

    where: str
    what: str
    folder: str = ""


def verify(ledger: Ledger) -> Iterator[Fault | str]:
    """Yield faults, and between them a line per stage on what was checked."""
    n_faults = 0
    for fault in _damaged_receipts(ledger):
        n_faults += 1
        yield fault
    for stage in ledger.stages:
        state = ledger.state(stage)
        for fault in _verify_stage(ledger, stage):
            n_faults += 1
            yield fault
        rows = sum(r.n_kept + sum(r.reasons.values()) for r in state.receipts)
        missing = f", {len(state.due)} partitions to do" if state.due else ", blocked" if state.blocked else ""
        yield f"{stage.name}: {len(state.receipts)} receipts, {rows:,} rows{missing}"
        if stage.writes.name == "source_listing" and not n_faults:
            yield from (Fault(stage.name, what) for what in unreadable_sentences(ledger))
        if stage.writes.name == "candidate" and not n_faults:
            yield from (Fault(f"{stage.name}/{file.partition}", what) for file, what in sentences(ledger))
    if n_faults:
        return  # sums over tables of which some are damaged would blame the sound ones
    for module in dict.fromkeys(stage.module for stage in ledger.stages):
        yield from _verify_corpora(ledger, module)
    yield from (Fault("dataset", what) for what in dataset_faults(ledger.store.root))


def set_aside(ledger: Ledger, faults: Sequence[Fault]) -> Iterator[tuple[str, str]]:
    """Rename the receipts that faults name, so that the next run does their partitions again; yield lines with style.

    What was seen of the world is left: it cannot be made again.
    """
    observed = {stage.writes.name for stage in ledger.stages if stage.keeps != "current"}
    for folder in sorted({fault.folder for fault in faults if fault.folder}):
        receipt = ledger.store.path(folder) / "receipt.json"
        if folder.split("/")[0] in observed:
            yield f"left unchanged: {folder} records observations, which cannot be repeated", "red"
        elif receipt.exists():
            receipt.rename(receipt.with_name(f"receipt.json.set-aside-{int(time.time())}"))
            yield f"set aside: {folder}", ""


def _verify_stage(ledger: Ledger, stage: Stage) -> Iterator[Fault]:
    state = ledger.state(stage)
    for partition in state.due:
        folder = ledger.store.folder(stage.writes.name, partition.name, partition.fingerprint)
        if isinstance(read_receipt(ledger.store.path(folder) / "receipt.json"), dict):
            what = "its receipt names files that are gone or cut, or belongs to another partition"
            yield Fault(f"{stage.name}/{partition.name}", what, folder)
    faults = [fault for receipt in state.receipts for fault in verify_partition(ledger, stage, receipt)]
    yield from faults
    if not faults and len(state.receipts) > 1:
        yield from verify_table(ledger, stage)


def verify_partition(ledger: Ledger, stage: Stage, receipt: Receipt) -> Iterator[Fault]:
    """Yield what is wrong with the files of one receipt, and with their rows."""
    where = f"{stage.name}/{receipt.partition}"
    broken = [fault for file in receipt.files if (fault := _file_fault(ledger, receipt, file))]
    if broken:
        yield from (Fault(where, what, receipt.folder) for what in broken)
        return
    table = stage.writes
    try:
        kept = _read(ledger, receipt.kept_file, table.schema)
        rejects = _read(ledger, receipt.rejects_file, table.reject_schema)
    except (OSError, pa.ArrowException) as error:
        yield Fault(where, f"its tables cannot be read: {error}", receipt.folder)
        return
    try:
        check_typed(stage, kept, table.schema, "kept rows")
        check_typed(stage, rejects, table.reject_schema, "reject rows")
        check_unique(stage, kept)
        check_reasons(stage, rejects)
        if stage.keeps == "current":  # what was observed was given by inputs of its time, not of now
            inputs = {r.name: ledger.read(r, receipt.partition) for r in stage.reads if _gives_keys(stage, r)}
            check_conserved(stage, given_keys(stage, inputs), Outcome(kept, rejects, receipt.counts or None))
    except ContractError as error:
        yield Fault(where, str(error), receipt.folder)
    except InputError as error:
        yield Fault(where, f"its input cannot be read: {error}")  # not its own fault: nothing to set aside
    yield from (Fault(where, what, receipt.folder) for what in _digest_faults(stage, receipt, kept, rejects))


def verify_table(ledger: Ledger, stage: Stage) -> Iterator[Fault]:
    """Yield a fault where a key occurs in two partitions of a table."""
    with open_views(ledger, (stage,)) as db:
        keys = ", ".join(f'"{name}"' for name in stage.writes.key)
        twice = db.execute(
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


def _file_fault(ledger: Ledger, receipt: Receipt, file: object) -> str | None:
    assert isinstance(file, dict)
    path = ledger.store.path(f"{receipt.folder}/{file['file']}")
    if not path.exists():
        return f"{path.name} is gone"
    if path.stat().st_size != file["size_bytes"]:
        return f"{path.name} has {path.stat().st_size} bytes, {file['size_bytes']} by its receipt"
    return None if digest_file(path) == file["sha256"] else f"{path.name} has not the sha256 of its receipt"


def _read(ledger: Ledger, address: str | None, schema: pa.Schema) -> pa.Table:
    return ledger.store.read_parts([(address, 0, -1)], schema) if address else schema.empty_table()


def _gives_keys(stage: Stage, reads: Reads) -> bool:
    return reads.name in stage.given.names


def _digest_faults(stage: Stage, receipt: Receipt, kept: pa.Table, rejects: pa.Table) -> Iterator[str]:
    start = 0
    columns = digested_columns(stage.writes)
    for name, part in receipt.parts.items():
        rows = kept.slice(start, part.n_rows)
        start += part.n_rows
        if digest_columns(rows.select(columns)) != dict(part.digests):
            yield f"rows of part {name} have not the digests of the receipt"
    if start != kept.num_rows or receipt.n_kept != kept.num_rows:
        yield f"{kept.num_rows} kept rows in the file, {receipt.n_kept} by the receipt"
    if digest_columns(rejects) != dict(receipt.rejects_digests):
        yield "reject rows have not the digests of the receipt"


def _verify_corpora(ledger: Ledger, module: str) -> Iterator[Fault]:
    states = [ledger.state(stage) for stage in ledger.stages if stage.module == module]
    if not all(state.is_complete for state in states):
        return
    for report in stage_reports(ledger, module)[:1]:  # from the tables: what a run noted down proves nothing
        for row in unbalanced(report.rows):
            yield Fault(
                f"{row['stage']}, {row['corpus']}",
                f"{row['given']} samples given, {row['kept']} kept and {row['rejected']} rejected",
            )
