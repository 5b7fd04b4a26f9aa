"""Check one partition from its files: their bytes, then their rows, against its receipt and the keys it was given.

Runs in any process: it needs no ledger. Not for choosing partitions, nor for checks across them: that is `verify.py`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.ledger.digests import digest_columns
from flows.ledger.pieces import Piece, read_input
from flows.ledger.receipt import Receipt
from flows.ledger.spans import digested_columns
from flows.ledger.store import Store
from stages.checks import check_conserved, check_reasons, check_typed, check_unique, given_keys
from stages.contract import ContractError, InputError, Outcome, Stage


@dataclass(frozen=True)
class Fault:
    """Something wrong with a build; `folder` is the receipt to set aside for a repair, if there is one."""

    where: str
    what: str
    folder: str = ""


@dataclass(frozen=True)
class Check:
    """A partition to check.

    Attributes:
        stage: name of the stage that made it.
        receipt: its current receipt.
        inputs: where the inputs are that name the keys it was given, by input.
        is_quick: only sizes and schemas are looked at.
    """

    stage: str
    receipt: Receipt
    inputs: Mapping[str, list[Piece]]
    is_quick: bool = False


@dataclass(frozen=True)
class SeenFile:
    """A file whose bytes were read and found right, as it was when it was opened."""

    address: str
    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Checked:
    """The result of a check; `seen` are the files that were read."""

    folder: str
    faults: tuple[Fault, ...]
    seen: tuple[SeenFile, ...]


def check_partition(check: Check, store: Store, stages: Sequence[Stage]) -> Checked:
    """Return the faults of the files of one receipt, and of their rows."""
    stage = next(s for s in stages if s.name == check.stage)
    receipt, where = check.receipt, f"{check.stage}/{check.receipt.partition}"
    seen: list[SeenFile] = []
    if check.is_quick:
        whats = [*_quick_faults(store, stage, receipt)]
        return Checked(receipt.folder, tuple(Fault(where, what, receipt.folder) for what in whats), ())
    broken = [what for file in receipt.files if (what := _file_fault(store, receipt, file, seen))]
    if broken:
        return Checked(receipt.folder, tuple(Fault(where, what, receipt.folder) for what in broken), tuple(seen))
    return Checked(receipt.folder, tuple(_row_faults(check, store, stage, stages, where)), tuple(seen))


def see_file(path: Path, address: str) -> SeenFile:
    """Read a file and return its inode, size, time and sha256. Raises OSError."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return SeenFile(address, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, sha256)


def _file_fault(store: Store, receipt: Receipt, file: Mapping[str, Any], seen: list[SeenFile]) -> str | None:
    address = f"{receipt.folder}/{file['file']}"
    path = store.path(address)
    if what := _size_fault(path, file):
        return what
    try:
        found = see_file(path, address)
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    if found.sha256 != file["sha256"]:
        return f"{path.name} does not have the sha256 of its receipt"
    seen.append(found)
    return None


def _size_fault(path: Path, file: Mapping[str, Any]) -> str | None:
    try:
        size_bytes = path.stat().st_size
    except OSError:
        return f"{path.name} is gone"
    return None if size_bytes == file["size_bytes"] else (
        f"{path.name} has {size_bytes} bytes, but {file['size_bytes']} by its receipt"
    )  # fmt: skip


def _quick_faults(store: Store, stage: Stage, receipt: Receipt) -> Iterator[str]:
    """Yield the faults that show in file sizes and in the footers of tables."""
    paths = [(store.path(f"{receipt.folder}/{file['file']}"), file) for file in receipt.files]
    broken = [what for path, file in paths if (what := _size_fault(path, file))]
    yield from broken
    n_rejects = sum(receipt.reasons.values())
    tables = [(receipt.kept_file, stage.writes.schema, receipt.n_kept)]
    tables += [(receipt.rejects_file, stage.writes.reject_schema, n_rejects)] if receipt.rejects_file else []
    for address, schema, n_rows in tables if not broken else ():
        path = store.path(address)
        try:
            with pq.ParquetFile(path) as file:
                found, n_found = file.schema_arrow.remove_metadata(), file.metadata.num_rows
        except (OSError, pa.ArrowException) as error:
            yield f"{path.name} cannot be read: {error}"
            continue
        if not found.equals(schema):
            yield f"{path.name} does not have the columns of {stage.writes.name}, but {', '.join(map(str, found))}"
        elif n_found != n_rows:
            yield f"{n_found} rows in {path.name}, but {n_rows} by the receipt"


def _row_faults(check: Check, store: Store, stage: Stage, stages: Sequence[Stage], where: str) -> Iterator[Fault]:
    receipt, table = check.receipt, stage.writes
    try:
        kept = _read(store, receipt.kept_file, table.schema)
        rejects = _read(store, receipt.rejects_file, table.reject_schema)
    except (OSError, pa.ArrowException) as error:
        yield Fault(where, f"its tables cannot be read: {error}", receipt.folder)
        return
    try:
        check_typed(stage, kept, table.schema, "kept rows")
        check_typed(stage, rejects, table.reject_schema, "reject rows")
        check_unique(stage, kept)
        check_reasons(stage, rejects)
        if stage.keeps == "current":  # observations belong to the inputs of their time, not to the present ones
            writers = {s.writes.name: s for s in stages}
            given = [reads for reads in stage.reads if reads.name in check.inputs]
            inputs = {r.name: read_input(store, r, writers[r.table], check.inputs[r.name]) for r in given}
            check_conserved(stage, given_keys(stage, inputs), Outcome(kept, rejects, receipt.counts or None))
    except ContractError as error:
        yield Fault(where, str(error), receipt.folder)
    except InputError as error:
        yield Fault(where, f"its input cannot be read: {error}")  # not its own fault: nothing to set aside
    yield from (Fault(where, what, receipt.folder) for what in _digest_faults(stage, receipt, kept, rejects))


def _read(store: Store, address: str | None, schema: pa.Schema) -> pa.Table:
    return store.read_spans([(address, 0, -1)], schema) if address else schema.empty_table()


def _digest_faults(stage: Stage, receipt: Receipt, kept: pa.Table, rejects: pa.Table) -> Iterator[str]:
    start = 0
    columns = digested_columns(stage.writes)
    for name, span in receipt.spans.items():
        rows = kept.slice(start, span.n_rows)
        start += span.n_rows
        if digest_columns(rows.select(columns)) != dict(span.digests):
            yield f"rows of span {name} do not match the digests of the receipt"
    if start != kept.num_rows or receipt.n_kept != kept.num_rows:
        yield f"{kept.num_rows} kept rows in the file, but {receipt.n_kept} by the receipt"
    if digest_columns(rejects) != dict(receipt.rejects_digests):
        yield "reject rows do not match the digests of the receipt"
