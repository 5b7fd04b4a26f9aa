"""The published tars: the files of receipts under their published names, and the empty tars among them.

Not for writing their samples (`stages/shard`).
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import get_args

from flows.ask.dataset_folder import DatasetFolder, read_checksums
from flows.ask.pairs_card import pairs_card
from flows.ledger.ledger import Ledger
from flows.ledger.receipt import Receipt
from stages.identity import digest_json
from stages.shard.layouts import Layout

TABLES: dict[Layout, str] = {"rs5m": "shard", "pairs": "pair"}  # the table whose receipts name a layout's tars
FOLDERS: dict[Layout, str] = {"rs5m": "", "pairs": "pairs/"}
HALVES, SPLITS = ("pub11", "rs3"), ("train", "val")
# RS5M's loader opens 0000 to 0031 of each half and split, and stops at the first missing one.
LEAST_NAMES: dict[Layout, int] = {"rs5m": 32, "pairs": 1}
EMPTY = bytes(tarfile.RECORDSIZE)
_SHA256_OF_EMPTY = hashlib.sha256(EMPTY).hexdigest()
SIZES = "sizes.json"  # open_clip takes the number of samples of an epoch from it


def tars(ledger: Ledger, layout: Layout = "rs5m") -> dict[str, Path]:
    """Return the current tar of each shard with samples, by published path."""
    return {name: path for name, path, _ in _written(ledger, layout)}


def tar_digests(ledger: Ledger) -> dict[str, str]:
    """Return the sha256 of each tar with samples, of all layouts, by published path."""
    return {name: sha256 for layout in layouts(ledger) for name, _, sha256 in _written(ledger, layout)}


def published_tars(root: Path) -> dict[str, str]:
    """Return the same of the dataset folder as it is published now, current or not; empty if there is none."""
    try:
        found = read_checksums(root / "dataset")
    except FileNotFoundError:
        return {}
    return {name: sha256 for name, sha256 in found.items() if name.endswith(".tar") and sha256 != _SHA256_OF_EMPTY}


def layouts(ledger: Ledger) -> tuple[Layout, ...]:
    """Return the configured layouts whose tars are all written, in a fixed order."""
    wanted: tuple[Layout, ...] = ledger.settings.params(ledger.writer["shard"]).layouts  # type: ignore[attr-defined]
    return tuple(
        layout
        for layout in get_args(Layout)
        if layout in wanted and ledger.state(ledger.writer[TABLES[layout]]).is_complete
    )


def add_tars(ledger: Ledger, folder: DatasetFolder) -> None:
    """Link the tars of all layouts into a folder; a name without samples becomes a tar without members."""
    for layout in layouts(ledger):
        written = set()
        for name, path, sha256 in _written(ledger, layout):
            folder.link(name, path, sha256)
            written.add(name)
        for name in tar_names(layout, _n_shards(ledger)):
            if name not in written:
                folder.make(name, "no samples", _write_empty)
    if "pairs" in layouts(ledger):
        card = pairs_card()
        folder.make("pairs/README.md", digest_json(card), partial(_write_text, card))
        for split, sizes in pair_sizes(ledger).items():
            folder.write(f"pairs/{split}/{SIZES}", json.dumps(sizes, indent=1) + "\n")


def pair_sizes(ledger: Ledger) -> dict[str, dict[str, int]]:
    """Return the number of samples of each tar of the layout pairs, empty ones too, by split and file name."""
    sizes = {split: {} for split in SPLITS}  # type: dict[str, dict[str, int]]
    n_samples = {name: receipt.n_kept for layout, name, receipt in written_tars(ledger) if layout == "pairs"}
    for name in tar_names("pairs", _n_shards(ledger)):
        _, split, file = name.split("/")
        sizes[split][file] = n_samples.get(name, 0)
    return sizes


def tar_names(layout: Layout, n_shards: int) -> list[str]:
    """Return the published path of every tar of a layout.

    Args:
        layout: layout of the tars.
        n_shards: number of tars per half and split that may have samples.
    """
    return [
        f"{FOLDERS[layout]}{split}/{half}-{split}-{number:04d}.tar"
        for split in SPLITS
        for half in HALVES
        for number in range(max(n_shards, LEAST_NAMES[layout]))
    ]


def _write_empty(path: Path) -> None:
    path.write_bytes(EMPTY)


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _n_shards(ledger: Ledger) -> int:
    params = ledger.settings.params(ledger.writer["shard_plan"])
    return int(params.n_shards)  # type: ignore[attr-defined]


def written_tars(ledger: Ledger) -> Iterator[tuple[Layout, str, Receipt]]:
    """Yield the layout, the published path and the receipt of each tar with samples."""
    for layout in layouts(ledger):
        for receipt in ledger.state(ledger.writer[TABLES[layout]]).receipts:
            split = receipt.partition.split("-")[1]
            yield layout, f"{FOLDERS[layout]}{split}/{receipt.partition}.tar", receipt


def _written(ledger: Ledger, layout: Layout) -> Iterator[tuple[str, Path, str]]:
    """Yield the published name, the path and the sha256 of each tar of a layout with samples."""
    for of_layout, name, receipt in written_tars(ledger):
        if of_layout == layout:
            (tar,) = receipt.body["files"]
            yield name, ledger.store.path(f"{receipt.folder}/{tar['file']}"), tar["sha256"]
