"""One attempt at a partition: its files, and their commit as the partition.

Not for finding or reading files of other attempts: that is the store.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.ledger.cpu import cpu_seconds
from flows.ledger.declared import columns_of, differences
from flows.ledger.digests import digest_columns, digest_file
from flows.ledger.receipt import Receipt, encode_receipt, fsync_folder, must_read, publish, read_receipt
from flows.ledger.spans import count_reasons, write_rejects, write_spans
from flows.ledger.store import Store
from schemas.tables import Table
from stages.contract import Outcome
from stages.rows import Rows, no_rows


class Attempt:
    """The files of one attempt at a partition; nothing of it exists until its receipt is published."""

    def __init__(self, store: Store, table: Table, partition: str, fingerprint: str, sources: Path = Path()) -> None:
        """Prepare an attempt at a partition of a table; SOURCES holds the files of labelled corpora."""
        self._store = store
        self._sources = sources
        self._table = table
        self._folder = store.folder(table.name, partition, fingerprint)
        self.id = uuid.uuid4().hex[:12]
        self._made: list[Path] = []
        self._work: Path | None = None

    def __enter__(self) -> Attempt:
        self._path.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._work:
            shutil.rmtree(self._work, ignore_errors=True)
        for path in self._made:  # files that no receipt names are removed at once if possible
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty: it holds a receipt, or another's attempt
            self._path.rmdir()
            self._path.parent.rmdir()

    @property
    def _path(self) -> Path:
        return self._store.root / self._folder

    def new_file(self, name: str) -> Path:
        """Return the path of a new file that the receipt will name."""
        path = self._path / f"{self.id}.{name}"
        self._made.append(path)
        return path

    def address(self, path: Path) -> str:
        """Return the address of a file of this attempt, for location columns; `Store.locate` returns its path."""
        # Without the attempt: who holds an address finds the file of the receipt that won, even of a later attempt.
        return f"{self._folder}/{path.name.removeprefix(f'{self.id}.')}"

    def work(self) -> Path:
        """Return a scratch folder that ends with the attempt."""
        if self._work is None:
            self._work = self._path / f"{self.id}.work"
            self._work.mkdir()
        return self._work

    def shared(self, name: str) -> Path:
        """Return a folder that all workers of the build share, for locks; nothing in it is data."""
        folder = self._store.root / ".shared" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def read(self, address: str, offset: int, n_bytes: int) -> bytes:
        """Return bytes that a location column points to. Raises InputError."""
        return self._store.read_located(address, offset, n_bytes, self._sources)

    def commit(self, outcome: Outcome, split_by: str, receipt: Mapping[str, Any]) -> Receipt:
        """Write the outcome, make it durable and publish the receipt; the first to publish a fingerprint wins."""
        body = {
            **receipt,
            "attempt": self.id,
            "kept": self._write_kept(outcome.kept, split_by),
            "rejects": self._write_rejects(outcome.rejects),
            "files": [self._seal(path) for path in outcome.files],
            "counts": dict(outcome.counts) if outcome.counts is not None else None,
        }
        run = dict(body["run"])
        ended_cpu_s = cpu_seconds()
        cpu_s = ended_cpu_s - run.pop("started_cpu_s", ended_cpu_s)
        body["run"] = {**run, "finished": time.time(), "cpu_s": cpu_s, "measured": dict(outcome.measured)}
        fsync_folder(self._path)
        target = self._path / "receipt.json"
        standing = read_receipt(target)
        if standing is not None and not self._counts(standing, body):
            target.rename(self._path / f"receipt.json.damaged-{self.id}")
        if not publish(target, encode_receipt(body), self.id):
            return Receipt(must_read(target), self._folder)  # another run was first: keep its files
        self._made.clear()
        return Receipt(body, self._folder)

    def _counts(self, standing: Mapping[str, Any] | str, body: Mapping[str, Any]) -> bool:
        """Return whether a receipt of the same fingerprint is whole and of the same declaration, and so was first."""
        if isinstance(standing, str) or not self._store.files_fit(self._folder, standing):
            return False
        return standing.get("version") == body.get("version") and not differences(self._table, standing)

    def _write_kept(self, kept: Rows, split_by: str) -> dict[str, Any]:
        path = self.new_file("kept.parquet")
        spans = write_spans(path, self._table, kept, split_by, self._folder.split("/")[1])
        columns = columns_of(self._table.schema)
        return {**self._seal(path), "n_rows": kept.num_rows, "spans": spans, "columns": columns}

    def _write_rejects(self, rejects: Rows) -> dict[str, Any]:
        if not rejects.num_rows:
            digests = digest_columns(no_rows(rejects.schema))
            return {"file": None, "n_rows": 0, "digests": digests, "reasons": {}}
        path = self.new_file("rejects.parquet")
        digests = write_rejects(path, rejects)
        reasons, columns = count_reasons(rejects), columns_of(rejects.schema)
        return {
            **self._seal(path), "n_rows": rejects.num_rows, "digests": digests, "reasons": reasons, "columns": columns
        }  # fmt: skip

    def _seal(self, path: Path) -> dict[str, Any]:
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return {"file": path.name, "size_bytes": path.stat().st_size, "sha256": digest_file(path)}
