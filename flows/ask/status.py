"""Answer how far a build is from its receipts: partitions, rows and disk of each stage, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from flows.ask.damage import is_damaged, unaccepted, unreadable
from flows.ask.report import Report
from flows.ledger.ledger import Ledger
from flows.ledger.state import PartitionState
from stages.collector import collector_paused
from stages.contract import Stage


def status_report(ledger: Ledger) -> Report:
    """Return stages × partitions done, stale, missing, failed and damaged, rows kept and rejected, and disk.

    Damaged partitions are done, but rows of their source files could not be read and the loss is not accepted.
    """
    rows, waiting = [], dict[str, str]()
    with collector_paused():
        states = [ledger.state(stage) for stage in ledger.stages]
    for stage, state in zip(ledger.stages, states, strict=True):
        due = Counter(_why_due(ledger, stage, partition) for partition in state.due)
        has_damage, n_kept, n_rejected, n_bytes = False, 0, 0, 0
        for receipt in state.receipts:  # each is brought from memory once
            has_damage = has_damage or is_damaged(receipt)
            n_kept += receipt.n_kept
            n_rejected += sum(receipt.rejected.values())
            n_bytes += receipt.n_bytes
        row = {
            "stage": stage.name,
            "done": len(state.receipts),
            "missing": due["missing"],
            "stale": due["stale"],
            "failed": due["failed"],
            "damaged": _n_damaged(ledger, stage, has_damage),
            "kept": n_kept,
            "rejected": n_rejected,
            "megabytes": round(n_bytes / 1e6, 1),
            "note": _note(ledger, stage, waiting),
        }
        rows.append(row)
    return Report(f"status of {ledger.store.root}", tuple(rows[0]), tuple(rows))


def _n_damaged(ledger: Ledger, stage: Stage, has_damage: bool) -> int:
    """Return the number of damaged partitions; for the listing, the number of unreadable paths."""
    if stage.writes.name == "source_listing":
        return len(unreadable(ledger))
    return len({file.partition for file in unaccepted(ledger)}) if has_damage else 0


def failures(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """Yield the name and the message of every partition whose last attempt failed."""
    for stage in ledger.stages:
        for partition in ledger.state(stage).due:
            message = _failure(ledger, stage, partition)
            if message is not None:
                yield f"{stage.name}/{partition.name}", message


def _failure(ledger: Ledger, stage: Stage, partition: PartitionState) -> str | None:
    return ledger.store.failure(ledger.store.folder(stage.writes.name, partition.name, partition.fingerprint))


def _why_due(ledger: Ledger, stage: Stage, partition: PartitionState) -> str:
    """Return the column of `status` for a partition without a current receipt."""
    if _failure(ledger, stage, partition) is not None:
        return "failed"
    return "stale" if ledger.store.fingerprints(stage.writes.name, partition.name) else "missing"


def _note(ledger: Ledger, stage: Stage, waiting: dict[str, str]) -> str:
    """Return the last column of `status`; `waiting` has the first stage that waits for each thing, and is extended."""
    state = ledger.state(stage)
    if reason := ledger.why_off(stage):
        return f"off: {reason}"
    if state.blocked:
        first = waiting.setdefault(state.blocked, stage.name)
        return f"waits: {state.blocked if first == stage.name else f'see {first}'}"
    if stage.keeps != "current" and not state.partitions:
        return f"run `make stage-{stage.module}`"
    return ""
