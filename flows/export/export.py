"""Export a finished build, tar by tar; a stopped export goes on behind the last whole tar.

The formats are in `folders.py` and `parquet.py` beside this module; nothing is exported from source files or bodies.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq

from flows.ask.index import IMAGE_FACTS
from flows.ask.tars import layouts, written_tars
from flows.card.identity import build_id, unfinished
from flows.ledger.ledger import Ledger
from stages.contract import InputError
from stages.identity import digest_json
from stages.plurals import briefly
from stages.shard.layouts import Layout, tar_key

RIGHTS = (
    "Rights differ by corpus and image: columns annotation_licence, image_licence, image_rights. LICENSES.md of the"
    " dataset explains them."
)
_FORMAT = 2  # raised when an export of the same tar changes
_REPORT_S = 10.0  # seconds between two lines of progress
_DONE = ".done"  # folder of the unfinished export: one file for each tar that is exported
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Shard:
    """A tar to export.

    Attributes:
        name: such as pub11-train-0000.
        layout: of the tar.
        tar: the file.
        tar_sha256: of the file, by its receipt.
        rows: table of its samples with their positions.
        metafile: table of their metadata, in the same order.
    """

    name: str
    layout: Layout
    tar: Path
    tar_sha256: str
    rows: Path
    metafile: Path

    @property
    def half(self) -> str:
        """pub11 or rs3."""
        return self.name.split("-")[0]

    @property
    def split(self) -> str:
        """Train or val."""
        return self.name.split("-")[1]


@dataclass(frozen=True)
class Picture:
    """An image of a tar: its file name, its bytes, and the row of the metafile."""

    name: str
    data: bytes
    row: dict[str, Any]


class Format(Protocol):
    """A format: writes the samples of one tar, and the README of the export."""

    name: str

    def paths(self, shard: Shard) -> Path:
        """Return the file or folder that a tar becomes, below the export."""

    def write(self, shard: Shard, pictures: Iterator[Picture], target: Path) -> None:
        """Write the samples of a tar into a new file or folder."""

    def describe(self, shards: list[Shard], identity: str) -> str:
        """Return the README of the export."""


def export(ledger: Ledger, out: Path, form: Format, say: Callable[[str], None]) -> int:
    """Write the samples of a finished build to a new folder; return their number.

    Until it is whole the export is in `<out>.partial`; a run that finds one there goes on with it.

    Args:
        ledger: the build.
        out: the folder; it must not exist.
        form: the format.
        say: prints a line.

    Raises:
        InputError: the build is unfinished, the folder exists, the disk is too small, or a tar was changed.
    """
    if lacking := unfinished(ledger):
        raise InputError(
            f"only a finished build can be exported, but this one lacks {briefly(lacking, 3)}: run `make build`"
        )
    if out.exists():
        raise InputError(f"{out} exists: name another folder with OUT=…, or remove it")
    shards = _shards(ledger)
    partial, n_images = out.with_name(f"{out.name}.partial"), 0
    waiting = [shard for shard in shards if not _is_done(partial, shard, form)]
    _check_room(out, waiting)
    if len(waiting) < len(shards):
        say(f"{partial}: {len(shards) - len(waiting)} of {len(shards)} tars are exported already")
    (partial / _DONE).mkdir(parents=True, exist_ok=True)
    started = reported = time.monotonic()
    for n_done, shard in enumerate(waiting, 1):
        n_images += _export_shard(partial, shard, form)
        if (now := time.monotonic()) - reported > _REPORT_S:
            left_s = (now - started) / n_done * (len(waiting) - n_done)
            say(f"{n_done} of {len(waiting)} tars, {n_images:,} images, {left_s / 60:.0f} min left")
            reported = now
    _remove_others(partial, shards, form)
    (partial / "README.md").write_text(form.describe(shards, build_id(ledger)), encoding="utf-8")
    n_exported = sum(int(_mark(partial, shard).read_text().split()[1]) for shard in shards)
    shutil.rmtree(partial / _DONE)
    partial.rename(out)
    return n_exported


def _shards(ledger: Ledger) -> list[Shard]:
    """Return the tars with samples, of the published layout if it is written."""
    written = layouts(ledger)
    if not written:
        raise InputError("the build has no tars: set shard.layouts, and run `make stage-shard`")
    metadata = {receipt.partition: receipt for receipt in ledger.state(ledger.writer["metafile"]).receipts}
    found = []
    for layout, _, receipt in written_tars(ledger):
        if layout == written[0] and receipt.n_kept:
            (tar,) = receipt.body["files"]
            path = ledger.store.path(f"{receipt.folder}/{tar['file']}")
            of_tar = metadata[receipt.partition]
            found.append(
                Shard(
                    receipt.partition, layout, path, tar["sha256"], ledger.store.path(receipt.kept_file),
                    ledger.store.path(of_tar.kept_file),
                )
            )  # fmt: skip
    return found


def _export_shard(partial: Path, shard: Shard, form: Format) -> int:
    target = partial / form.paths(shard)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.draft")
    for path in (draft, target):
        _remove(path)
    n = 0

    def counted() -> Iterator[Picture]:
        nonlocal n
        for picture in _pictures(shard):
            n += 1
            yield picture

    form.write(shard, counted(), draft)
    draft.rename(target)
    _mark(partial, shard).write_text(f"{_identity(shard, form)} {n}\n", encoding="utf-8")
    return n


def _pictures(shard: Shard) -> Iterator[Picture]:
    """Yield the images of a tar, checked, with their metadata; both tables are in the order of sample_id."""
    ending, length, digest = IMAGE_FACTS[shard.layout]
    columns = ["sample_id", "image_offset", ending, length, digest]
    with (
        shard.tar.open("rb") as tar,
        pq.ParquetFile(shard.rows, memory_map=False) as places,
        pq.ParquetFile(shard.metafile, memory_map=False) as metadata,
    ):
        rows = (row for batch in metadata.iter_batches(_ROWS_AT_ONCE) for row in batch.to_pylist())
        found = (row for batch in places.iter_batches(_ROWS_AT_ONCE, columns=columns) for row in batch.to_pylist())
        for place, row in zip(found, rows, strict=True):
            tar.seek(place["image_offset"])
            data = tar.read(place[length])
            if place["sample_id"] != row["sample_id"] or hashlib.sha256(data).hexdigest() != place[digest]:
                raise InputError(
                    f"{shard.tar}: {place['sample_id']} has changed since it was written: run `make verify`"
                )
            yield Picture(f"{tar_key(place['sample_id'])}.{place[ending]}", data, row)


def _is_done(partial: Path, shard: Shard, form: Format) -> bool:
    mark = _mark(partial, shard)
    is_marked = mark.is_file() and mark.read_text(encoding="utf-8").split(" ")[0] == _identity(shard, form)
    return is_marked and (partial / form.paths(shard)).exists()


def _identity(shard: Shard, form: Format) -> str:
    """Return the digest of an exported tar's inputs; the path of a metafile has the fingerprint of its content."""
    return digest_json([_FORMAT, form.name, shard.tar_sha256, str(shard.metafile.parent.name)])


def _mark(partial: Path, shard: Shard) -> Path:
    return partial / _DONE / shard.name


def _check_room(out: Path, waiting: list[Shard]) -> None:
    folder = next(path for path in (out, *out.absolute().parents) if path.exists())
    free, wanted = shutil.disk_usage(folder).free, sum(shard.tar.stat().st_size for shard in waiting)
    if wanted > free:
        raise InputError(
            f"{out}: the export takes about {wanted / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free. Name a folder on"
            " another disk with OUT=…, or free some space"
        )


def _remove_others(partial: Path, shards: list[Shard], form: Format) -> None:
    """Remove files that an earlier run exported in another format, or from tars that the build no longer has."""
    kept = {partial / form.paths(shard) for shard in shards}
    folders = {path.parent for path in kept}
    for path in partial.iterdir():
        if path.name != _DONE and path not in {
            ancestor for folder in folders for ancestor in (folder, *folder.parents)
        }:
            _remove(path)
    for folder in folders:
        for path in folder.iterdir():
            if path not in kept and path not in folders:
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
