"""The build folder: the location of tables, receipts and files, and how they are read.

The only module, beside attempt.py that writes them, that knows paths under the build folder. Not for deciding which
receipts are current: that is the ledger.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from flows.ledger.digests import FINGERPRINT_LENGTH, digest_once
from flows.ledger.receipt import (
    Receipt,
    observation_fingerprint,
    read_receipt,
)
from flows.ledger.row_groups import read_runs
from stages.contract import InputError
from stages.rows import FileRows, Space

IN_SOURCES = "sources:"  # address of a file that is not ours: an image of a labelled corpus, where the user keeps it
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_FINGERPRINT = re.compile(rf"[0-9a-f]{{{FINGERPRINT_LENGTH}}}")


@dataclass
class Store:
    """A build folder on a local file system."""

    root: Path
    _cache: dict[str, Receipt] = field(default_factory=dict)
    _located: dict[str, Path] = field(default_factory=dict)

    def folder(self, table: str, partition: str, fingerprint: str) -> str:
        """Return the address of the folder of a partition's receipt.

        Raises:
            ValueError: when a name would not be a plain file name.
        """
        for name in (table, partition):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be a folder name: letters, digits, dot, dash and underscore only")
        return f"{table}/{partition}/{fingerprint[:FINGERPRINT_LENGTH]}"

    def path(self, address: str) -> Path:
        """Return the local path of an address."""
        return self.root / address

    def locate(self, address: str) -> Path:
        """Return the local path of the file that a location column names."""
        if address not in self._located:
            folder, _, name = address.rpartition("/")
            body = read_receipt(self.root / folder / "receipt.json")
            prefix = f"{body['attempt']}." if isinstance(body, dict) else ""
            self._located[address] = self.root / folder / f"{prefix}{name.removeprefix(prefix)}"
        return self._located[address]

    def forget(self, address: str) -> None:
        """Forget the location of a file and the receipt of its partition: both were replaced."""
        self._located.pop(address, None)
        self._cache.pop(address.rpartition("/")[0], None)

    def forget_all(self) -> None:
        """Forget every receipt and location: another process may have replaced them."""
        self._located.clear()
        self._cache.clear()

    def read_located(self, address: str, offset: int, n_bytes: int, sources: Path) -> bytes:
        """Return bytes that a location column points to.

        Raises:
            InputError: when the file is gone or shorter than that.
        """
        in_sources = address.removeprefix(IN_SOURCES) if address.startswith(IN_SOURCES) else None
        path = self.locate(address) if in_sources is None else sources / in_sources
        try:
            data = _read_at(path, offset, n_bytes)
        except FileNotFoundError:
            data = b""
        if len(data) != n_bytes:
            advice = "Run `make verify REPAIR=yes`, then the stage that wrote it"
            if in_sources is not None:
                advice = f"Put the file back under SOURCES={sources}, or say where it is with SOURCES=…"
            raise InputError(
                f"{address} should hold {n_bytes} bytes at {offset}, found {len(data)}: it was deleted or cut. {advice}"
            )
        return data

    def receipt(self, table: str, partition: str, fingerprint: str) -> Receipt | None:
        """Return the valid receipt of a fingerprint, or None; a damaged one does not count."""
        folder = self.folder(table, partition, fingerprint)
        if folder not in self._cache:
            found = read_receipt(f"{self.root}/{folder}/receipt.json")
            # A receipt counts only where it belongs: a copied or moved one describes other rows.
            belongs = isinstance(found, dict) and _identity(found) == (table, partition, fingerprint)
            if not isinstance(found, dict) or not belongs or not self.files_fit(folder, found):
                return None
            self._cache[folder] = Receipt(found, folder)
        return self._cache[folder]

    def observations(self, table: str, stage: str) -> list[Receipt]:
        """Return the numbered receipts of a stage that observes, in order.

        Raises:
            InputError: when one is damaged or gone: counting on would treat its observations as never made.
        """
        found: list[Receipt] = []
        while True:
            name = f"{len(found):03d}"
            receipt = self.receipt(table, name, observation_fingerprint(stage, name))
            if receipt is None:
                self._refuse_gap(table, name)
                return found
            found.append(receipt)

    def fingerprints(self, table: str, partition: str) -> list[str]:
        """Return the fingerprints (shortened) that have a receipt file, current or not, valid or not."""
        folder = self.root / table / partition
        if not folder.is_dir():
            return []
        return sorted(p.name for p in folder.iterdir() if (p / "receipt.json").exists())

    def read_spans(self, pieces: list[tuple[str, int, int]], schema: pa.Schema) -> pa.Table:
        """Return some columns of runs of row groups: (address, first group, number of groups), in the given order."""
        return read_runs([(self.root / address, first, count) for address, first, count in pieces], schema)

    def open_files(self, files: Mapping[str, tuple[int, str]], schema: pa.Schema, space: Space) -> FileRows:
        """Return some columns of whole files, which stay where they are: address to number of rows and sha256.

        Raises:
            OSError: when a file is gone or is not the one that its receipt names.
        """
        # DuckDB does not look at the checksums of pages: a flipped bit would go on into the rows made of it.
        changed = [address for address, (_, sha256) in files.items() if digest_once(self.root / address) != sha256]
        if changed:
            raise OSError(f"{changed[0]} does not have the sha256 of its receipt")
        paths = tuple(self.root / address for address in files)
        return FileRows(paths, schema, sum(n_rows for n_rows, _ in files.values()), space)

    def free_bytes(self) -> int:
        """Return the bytes that can still be written under the build folder, which need not exist."""
        root = self.root.absolute()
        return shutil.disk_usage(next(path for path in (root, *root.parents) if path.is_dir())).free

    def folders(self, tables: Iterable[str]) -> Iterator[Path]:
        """Yield every fingerprint folder of some tables; nothing else under the build folder is ours to judge."""
        for table in tables:
            for path in sorted((self.root / table).glob("*/*")):
                if _FINGERPRINT.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                    yield path

    def note_failure(self, folder: str, message: str) -> None:
        """Leave a note on why the last attempt at a partition failed; `status` shows it."""
        target = self.root / folder
        target.mkdir(parents=True, exist_ok=True)
        try:
            (target / "failure.txt").write_text(message, encoding="utf-8")
        except OSError as error:
            if error.errno != errno.ENOSPC:  # on a full disk the message on the screen must do
                raise

    def failure(self, folder: str) -> str | None:
        """Return the note of a failed partition that has no receipt yet."""
        path = self.root / folder / "failure.txt"
        return path.read_text(encoding="utf-8") if path.exists() else None

    def files_fit(self, folder: str, body: Mapping[str, Any]) -> bool:
        """Return whether all files that a receipt names have the size that it states."""
        # A size reveals a lost or cut file for one stat each; `verify` reads the bytes.
        whole = f"{self.root}/{folder}"
        try:
            for f in (body["kept"], body["rejects"], *body["files"]):
                if f["file"] and os.stat(f"{whole}/{f['file']}").st_size != f["size_bytes"]:  # noqa: PTH116, 10,000 of them
                    return False
        except FileNotFoundError:
            return False
        return True

    def _refuse_gap(self, table: str, name: str) -> None:
        numbers = sorted({p.parent.parent.name for p in (self.root / table).glob("[0-9][0-9][0-9]/*/receipt.json*")})
        if any(number >= name for number in numbers):
            seen = [read_receipt(path) for path in sorted((self.root / table / name).glob("*/receipt.json"))]
            fault = next((f" ({one})" for one in seen if isinstance(one, str)), "")
            raise InputError(
                f"{table}/{name} is damaged or was removed{fault}, and it cannot be made again: it records what was"
                f" seen. Restore it from a copy, or delete {table}/{name} and all later ones to begin again from there"
            )


def _identity(body: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return body.get("table"), body.get("partition"), body.get("fingerprint")


def _read_at(path: Path, offset: int, n_bytes: int) -> bytes:
    """Return bytes of a file, fewer at its end; an open file's own buffer would take as long as a small picture."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        data = os.pread(descriptor, n_bytes, offset)
        while len(data) < n_bytes and (more := os.pread(descriptor, n_bytes - len(data), offset + len(data))):
            data += more  # one call reads at most 2 GiB
    finally:
        os.close(descriptor)
    return data
