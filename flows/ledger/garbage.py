"""Remove files that no current receipt names; observations, fetched files and files outside our tables are kept."""

from __future__ import annotations

import shutil
from pathlib import Path

from flows.ledger.ledger import Ledger
from flows.ledger.receipt import read_receipt
from stages.plurals import briefly

_SHOWN = 5


def collect_garbage(ledger: Ledger, is_dry_run: bool) -> tuple[int, int, list[str]]:
    """Remove files that no current receipt names; return their number and bytes, and notes on incomplete stages."""
    needed: set[Path] = set()
    spared: set[str] = set()
    undone = []
    for stage in ledger.stages:
        state = ledger.state(stage)
        if state.blocked or state.due:
            # The current receipts are not known, or not all made yet: older ones may still be needed.
            spared.add(stage.writes.name)
            undone.append(stage.name)
        if stage.is_accumulating or stage.keeps != "current":
            spared.add(stage.writes.name)  # the ledger of the world is never shortened
        for receipt in state.receipts:
            folder = ledger.store.path(receipt.folder)
            needed |= {folder / "receipt.json", *(folder / f["file"] for f in receipt.files)}
    n_files = n_bytes = 0
    if not is_dry_run:
        shutil.rmtree(ledger.store.root / ".reports", ignore_errors=True)  # made again when they are asked for
    for folder in list(ledger.store.folders(stage.writes.name for stage in ledger.stages)):
        is_spared = folder.parent.parent.name in spared and (folder / "receipt.json").exists()
        for path in sorted(folder.rglob("*")):
            if path in needed or path.is_dir() or (is_spared and not _is_stray(path, folder)):
                continue
            n_files, n_bytes = n_files + 1, n_bytes + path.stat().st_size
            if not is_dry_run:
                path.unlink()
        if not is_dry_run:
            _prune(folder)
    notes = [f"nothing removed of what is not complete: {briefly(undone, _SHOWN)}"] if undone else []
    return n_files, n_bytes, notes


def _is_stray(path: Path, folder: Path) -> bool:
    body = read_receipt(folder / "receipt.json")
    if not isinstance(body, dict):
        return False
    return not path.name.startswith(body["attempt"]) and path.name != "receipt.json"


def _prune(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for path in (folder, folder.parent):
        if path.exists() and not any(path.iterdir()):
            shutil.rmtree(path)
