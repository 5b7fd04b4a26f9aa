"""Source files that could not be read completely: the lost rows, and whether the user accepts the loss.

The answers come from receipts and reject rows; no file is read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flows.corpora.sources import mismatches
from flows.ledger.ledger import Ledger
from flows.ledger.receipt import Receipt
from schemas.reasons import REASONS
from schemas.tables import SOURCE_LISTING
from stages.contract import Reads, Stage

STRETCH_REASONS = tuple(reason.code for reason in REASONS if reason.is_stretch)
_LOST = ("unreadable", "faulty_manifest")  # reasons for which a path's content is missing from the build
_TABLE = "candidate"
_LISTED = Reads("source_listing", ("path",))
_ALL_LISTED = Reads("source_listing", ("path",), is_whole=True)
_REJECTED = Reads("source_listing", tuple(SOURCE_LISTING.reject_schema.names), is_whole=True, section="rejects")


@dataclass(frozen=True)
class DamagedFile:
    """A source file with lost rows.

    Attributes:
        path: path under SOURCES; the corpus's folder if its files are one partition and no file is named.
        partition: partition of the table candidate.
        n_rows: number of lost rows, as far as known.
        found: detail of the first stretch.
        n_stretches: number of unreadable stretches.
        is_accepted: whether filter.accept_damaged names it.
    """

    path: str
    partition: str
    n_rows: int
    found: str
    n_stretches: int
    is_accepted: bool

    def __str__(self) -> str:
        more = f" in {self.n_stretches} stretches, the first" if self.n_stretches > 1 else ""
        least = "at least " if self.n_rows == self.n_stretches else ""  # a stretch of unknown length counts as one
        lost = f"{least}{self.n_rows:,} row{'s' if self.n_rows > 1 else ''} lost{more}"
        return (
            f"damaged: {self.path}: {lost}: {self.found}."
            " Restore or replace the file, and the next run reads only that one; or accept the loss with"
        )


def is_damaged(receipt: Receipt) -> bool:
    """Return whether a partition has an unreadable stretch of source rows."""
    reasons = receipt.reasons
    return bool(reasons) and any(reasons.get(reason) for reason in STRETCH_REASONS)


def damaged_files(ledger: Ledger) -> list[DamagedFile]:
    """Return the damaged source files of the current candidates by path, including accepted ones."""
    stage = ledger.writer[_TABLE]
    damaged = [receipt for receipt in ledger.state(stage).receipts if is_damaged(receipt)]
    if not damaged:
        return []
    accepted = _accepted(ledger, stage)
    found = [file for receipt in damaged for file in _files_of(ledger, receipt.partition, accepted)]
    return sorted(found, key=lambda file: (file.path, file.partition))


def unaccepted(ledger: Ledger) -> list[DamagedFile]:
    """Return the damaged source files whose losses are not accepted."""
    return [file for file in damaged_files(ledger) if not file.is_accepted]


def sentences(ledger: Ledger) -> list[tuple[DamagedFile, str]]:
    """Return a message for each damaged file that is not accepted, with its losses and the remedy."""
    accepted = _accepted(ledger, ledger.writer[_TABLE])
    return [(file, f"{file} {_accepting((*accepted, file.path))}") for file in unaccepted(ledger)]


def unreadable(ledger: Ledger) -> list[tuple[str, str]]:
    """Return the unreadable paths under SOURCES that are not accepted, and why they are unreadable."""
    rows = ledger.read(_REJECTED).to_pylist()
    accepted = _accepted(ledger, ledger.writer[_TABLE])
    return sorted((r["path"], r["detail"]) for r in rows if r["reason"] in _LOST and r["path"] not in accepted)


def unreadable_sentences(ledger: Ledger) -> Iterator[str]:
    """Yield a message for each unreadable path, with its fault and the remedy."""
    accepted = _accepted(ledger, ledger.writer[_TABLE])
    for path, detail in unreadable(ledger):
        yield (
            f"unreadable: {path}: {detail}. Its content is missing from the build: correct that and run again;"
            f" or accept that with {_accepting((*accepted, path))}"
        )


def accept_all(ledger: Ledger) -> str:
    """Return the setting that accepts all current damage."""
    paths = [*(path for path, _ in unreadable(ledger)), *(file.path for file in unaccepted(ledger))]
    return _accepting((*_accepted(ledger, ledger.writer[_TABLE]), *paths))


def unknown_accepted(ledger: Ledger) -> list[str]:
    """Return the entries of filter.accept_damaged that name no path of this build."""
    accepted = set(_accepted(ledger, ledger.writer[_TABLE]))
    if not accepted:
        return []
    known = {*ledger.read(_ALL_LISTED)["path"].to_pylist(), *ledger.read(_REJECTED)["path"].to_pylist()}
    return sorted(accepted - known - {file.path for file in damaged_files(ledger)})


def warnings(ledger: Ledger, modules: Sequence[str], is_generated: bool) -> Iterator[str]:
    """Yield the messages at the end of a run: unreadable source files, those unlike the published, misnamed ones.

    Args:
        ledger: the build.
        modules: modules that were run.
        is_generated: whether the sources are the generated world, which differs from the published files.
    """
    for mismatch in () if is_generated else mismatches(ledger):
        yield f"not as published: {mismatch}"
    for path in unknown_accepted(ledger):
        yield f"filter.accept_damaged names {path}, which is not under SOURCES: expected a path as the messages name it"
    said = [*unreadable_sentences(ledger)]
    if set(modules) - {"inventory"}:
        said += [sentence for _, sentence in sentences(ledger)]
    yield from said
    if len(said) > 1:
        yield f"to accept all of it: {accept_all(ledger)}"


def _accepting(paths: Sequence[str]) -> str:
    listed = json.dumps(list(dict.fromkeys(paths)), separators=(",", ":"), ensure_ascii=False)
    quoted = listed.replace("'", "'\\''")  # for the shell
    return f"SET='filter.accept_damaged={quoted}' or in the profile"


def _accepted(ledger: Ledger, stage: Stage) -> tuple[str, ...]:
    return tuple(getattr(ledger.settings.resources(stage), "accept_damaged", ()))


def _files_of(ledger: Ledger, partition: str, accepted: Sequence[str]) -> Iterator[DamagedFile]:
    names = ledger.read(_LISTED, partition)["path"].to_pylist()
    lost: dict[str, list[dict[str, Any]]] = {}
    for row in _stretches(ledger, partition).to_pylist():
        lost.setdefault(row["path"] or _name_in(row["detail"], names) or row["corpus"], []).append(row)
    for path, rows in lost.items():
        # Rows that were found unreadable one by one, when their other columns were read, are one stretch per fault.
        single = [row for row in rows if row["n_rows"] is None]
        n_rows = len(single) + sum(row["n_rows"] or 0 for row in rows)
        n_stretches = len(rows) - len(single) + len({row["detail"] for row in single})
        found = rows[0]["detail"].removeprefix(f"{path.rpartition('/')[2]}: ").rstrip(".")
        yield DamagedFile(path, partition, n_rows, found, n_stretches, path in accepted)


def _name_in(detail: str, paths: Sequence[str]) -> str:
    """Return the only path whose file the detail names, or the only path; "" if there is none."""
    named = [path for path in paths if path.rpartition("/")[2] in detail] or list(paths)
    return named[0] if len(named) == 1 else ""


def _stretches(ledger: Ledger, partition: str) -> pa.Table:
    names = tuple(ledger.writer[_TABLE].writes.reject_schema.names)
    rejects = ledger.read(Reads(_TABLE, names, section="rejects"), partition)
    return rejects.filter(pc.is_in(rejects["reason"], pa.array(STRETCH_REASONS)))
